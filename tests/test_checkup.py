"""What `doctor` says of the machine, and of whole, damaged and unfinished folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import freud
from freud import FreudError

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"


def test_doctor_finds_nothing_wrong_with_a_good_result(result: Path):
    checks = {check.name: check for check in freud.doctor(result)}
    assert all(check.ok for name, check in checks.items() if name != "disk")
    for folder in (".", "corpus", "activations", f"saes/{RESIDUAL}", f"features/{RESIDUAL}/latents"):
        assert "as they were written" in checks[str(result / folder)].detail
    machine = [check.name for check in freud.doctor()]
    assert machine == ["freud", "torch", "gpu", "transformers", "audio", "duckdb", "disk"]


def test_doctor_names_every_damage_and_every_unfinished_folder(result: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(result, copy)
    shard = next((copy / "activations").glob("frames-*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    peaks = copy / "features" / NEURONS / "neurons" / "peaks.parquet"
    peaks.unlink()
    (copy / "corpus" / "manifest.json").write_text('{"kind": "corpus", "par')
    unfinished = copy / "features" / RESIDUAL / "latents"
    (unfinished / "manifest.json").rename(unfinished / "x")
    (unfinished / "unfinished.json").write_text('{"kind": "index", "parameters": {}}')
    (copy / "saes" / RESIDUAL / "unfinished.json").write_text('{"kind": "train"}')  # beside a manifest: no harm
    (copy / "web").mkdir()
    (copy / "web" / "manifest.json").write_text('{"name": "some other program"}')
    wrong = {Path(check.name): check.detail for check in freud.doctor(copy) if not check.ok and check.name != "disk"}
    assert set(wrong) == {shard.parent, peaks.parent, copy / "corpus", unfinished}
    assert f"{shard}: its content has changed" in wrong[shard.parent]
    assert f"{peaks}: missing" in wrong[peaks.parent]
    assert "not valid JSON" in wrong[copy / "corpus"]
    assert "run the same `freud index` command again" in wrong[unfinished]


def test_doctor_of_no_folder(tmp_path: Path):
    with pytest.raises(FreudError, match="no such folder"):
        freud.doctor(tmp_path / "absent")
