"""L1 on environmental sounds, which the original code's training took to NaN, stays finite and learns."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from freud import artifacts, models
from freud.activations import collect
from freud.corpus import read
from freud.saes import L1, Options, train

SITE = "encoder.blocks.3"


@pytest.mark.shared
@pytest.mark.slow
def test_l1_on_environmental_sounds_does_not_collapse(shared: Path, tmp_path: Path) -> None:
    for path in sorted((shared / "data" / "real-audio" / "esc10").glob("*.ogg"))[::16]:  # ten, of several classes
        (tmp_path / "sounds").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "sounds")
    model = models.load(str(shared / "models" / "whisper-base-encoder"))
    frames = collect(model, read(tmp_path / "sounds"), [SITE], tmp_path / "acts", progress=False)[SITE]
    norm = frames.norm
    assert norm["max"] > 20 * norm["median"]  # massive frames, which are kept
    options = Options(steps=60, batch_size=256, precision="bfloat16", largest_norm=None)
    sae = train(frames, L1(expansion=1), tmp_path / "sae", options=options, progress=False)
    results = artifacts.read(tmp_path / "sae", "train").manifest["results"]
    assert results["bad_batches"] == 0
    assert all(torch.isfinite(weight).all() for weight in sae.parameters())
    assert results["validation"]["fvu"] < 0.5
    assert results["train"]["dead"] < 0.5
