"""Every way in gives the same model; a checkpoint that is damaged, hostile or absent gives one clear line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import freud.models
from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models.base import AudioModel

SITES = ["encoder.blocks.1.mlp.1", "encoder.ln_post"]


def same(ours: AudioModel, theirs: AudioModel, mel: torch.Tensor) -> bool:
    a, b = (model.activations(mel, SITES) for model in (ours, theirs))
    return all(torch.equal(a[site], b[site]) for site in SITES)


def message(name: Any, kind: type[FreudError] = FreudError) -> str:
    """The one line that loading `name` fails with."""
    with pytest.raises(kind) as caught:
        freud.models.load(str(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_import_is_cheap_and_loads_no_torch() -> None:
    code = (
        "import sys, freud.models; freud.models.available(); freud.models.catalog.locate('tiny');"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_is_available() -> None:
    names = freud.models.available()
    assert names[0] == "nano"
    assert {"tiny", "tiny.en", "base", "medium.en", "large-v1", "large-v2", "large-v3", "large", "turbo"} <= {*names}


def test_pt_and_folder_are_the_same_model(model: AudioModel, hf_folder: Path, mel: torch.Tensor) -> None:
    folder = freud.models.load(str(hf_folder))
    assert same(folder, model, mel)
    assert folder.fingerprint == model.fingerprint
    assert (folder.name, model.name) == ("small", "small.pt")
    assert folder.can_transcribe
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(folder.logits(mel[:1], tokens), model.logits(mel[:1], tokens))


def test_a_sharded_folder(hf_folder: Path, model: Any, theirs: Any, tmp_path: Path, mel: torch.Tensor) -> None:
    theirs.save_pretrained(tmp_path / "sharded", max_shard_size="300KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    loaded = freud.models.load(str(tmp_path / "sharded"))
    assert same(loaded, model, mel)
    assert loaded.fingerprint == model.fingerprint
    victim = sorted((tmp_path / "sharded").glob("*.safetensors"))[0]
    victim.unlink()
    assert victim.name in message(tmp_path / "sharded", DamagedFileError)


def test_a_pickled_folder_of_tensors(hf_folder: Path, model: AudioModel, mel: torch.Tensor) -> None:
    torch.save(load_file(hf_folder / "model.safetensors"), hf_folder / "pytorch_model.bin")
    (hf_folder / "model.safetensors").unlink()
    assert same(freud.models.load(str(hf_folder)), model, mel)


def test_an_encoder_saved_by_itself(model: Any, theirs: Any, tmp_path: Path, mel: torch.Tensor) -> None:
    theirs.model.encoder.save_pretrained(tmp_path / "encoder")
    encoder = freud.models.load(str(tmp_path / "encoder"))
    assert same(encoder, model, mel)
    assert not encoder.can_transcribe
    assert not any(site.startswith("decoder") for site in encoder.sites)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_dtypes(model: AudioModel, pt_file: Path, mel: torch.Tensor, dtype: torch.dtype) -> None:
    half = freud.models.load(str(pt_file), dtype=dtype)
    assert half.dtype == dtype
    assert half.fingerprint == model.fingerprint
    exact = model.activations(mel, SITES)
    for site, values in half.activations(mel, SITES).items():
        assert values.dtype == dtype
        error = (values.float() - exact[site]).pow(2).mean() / exact[site].pow(2).mean()
        assert error < 0.01, site


def test_fingerprint_tells_weights_apart(hf_folder: Path, model: AudioModel) -> None:
    def nudge(weights: dict[str, torch.Tensor]) -> None:
        weights["model.encoder.layers.0.fc1.bias"][0] += 0.01

    rewrite(hf_folder, nudge)
    assert freud.models.load(str(hf_folder)).fingerprint != model.fingerprint


def test_describe_is_json(pt_file: Path) -> None:
    told = json.loads(json.dumps(freud.models.describe(str(pt_file))))
    assert told["window_seconds"] == 2.0
    assert told["n_mels"] == 80
    assert told["can_transcribe"]
    assert told["parameters"] == sum(
        w.numel() for w in torch.load(pt_file, weights_only=True)["model_state_dict"].values()
    )
    assert told["sites"][6]["name"] == "encoder.blocks.0.mlp.1"
    assert told["sites"][6]["privileged"]


@pytest.mark.shared
def test_the_shared_encoder(shared: Path) -> None:
    model = freud.models.load(str(shared / "models" / "whisper-base-encoder"))
    assert not model.can_transcribe
    assert (model.frames_per_window, model.window_samples, model.n_mels) == (1500, 480000, 80)
    assert [s.name for s in model.select(["encoder.blocks.*"])] == [f"encoder.blocks.{n}" for n in range(6)]
    assert list(model.sites)[-1] == "encoder.ln_post"
    assert model.sites["encoder.blocks.3.mlp.1"].width == 2048
    for act in (
        lambda: model.transcribe("a.wav"),
        lambda: model.logits(torch.zeros(1, 80, 3000), torch.ones(1, 1)),
    ):
        with pytest.raises(FreudError, match="whisper-base-encoder has only an encoder and cannot"):
            act()
    with pytest.raises(UnknownNameError, match=r"this model has encoder\.blocks\.0 to \.5"):
        model.activations(torch.zeros(1, 80, 3000), ["decoder.blocks.0"])


def test_unknown_names_list_what_exists(tmp_path: Path) -> None:
    assert "tiny.en" in message("tinny", UnknownNameError)
    assert "turbo" in message("tinny", UnknownNameError)
    assert "no such file or folder" in message(tmp_path / "absent.pt", UnknownNameError)
    assert "no such file or folder" in message("./tiny", UnknownNameError)
    assert "no such file or folder" in message("../a/b/c", UnknownNameError)
    assert "unknown model 'a/b/c'" in message("a/b/c", UnknownNameError)


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    assert "has no config.json" in message(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    assert "has no weights; expected model.safetensors" in message(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": ')
    assert "config.json: not valid JSON" in message(tmp_path, DamagedFileError)
    (tmp_path / "config.json").write_text("[]")
    assert "expected a JSON object" in message(tmp_path, DamagedFileError)


def test_another_family(hf_folder: Path) -> None:
    edit_json(hf_folder / "config.json", model_type="wav2vec2")
    assert "is a 'wav2vec2' model; supported are whisper" in message(hf_folder)


@pytest.mark.parametrize("keep", [0, 5, 500, 100_000, -1])
def test_safetensors_cut_short(hf_folder: Path, keep: int) -> None:
    path = hf_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "model.safetensors: cut short or altered" in message(hf_folder, DamagedFileError)


def test_missing_weights_are_never_made_up(hf_folder: Path) -> None:
    whole = (hf_folder / "model.safetensors").read_bytes()
    for gone in ["encoder.layers.1.fc1.bias", "encoder.layer_norm.weight", "decoder.embed_tokens.weight"]:
        (hf_folder / "model.safetensors").write_bytes(whole)
        rewrite(hf_folder, lambda weights, gone=gone: weights.pop(f"model.{gone}"))
        assert f"lacks the weights {gone};" in message(hf_folder, DamagedFileError)
    (hf_folder / "model.safetensors").write_bytes(whole)
    rewrite(hf_folder, lambda weights: [weights.pop(name) for name in list(weights) if "encoder.conv" in name])
    assert "lacks the weights encoder.conv1.weight and 3 more" in message(hf_folder, DamagedFileError)


def test_weights_of_the_wrong_kind(hf_folder: Path) -> None:
    whole = (hf_folder / "model.safetensors").read_bytes()
    rewrite(hf_folder, lambda weights: weights.update({"model.encoder.conv1.bias": torch.zeros(63)}))
    assert "encoder.conv1.bias has shape [63]; its configuration says [64]" in message(hf_folder, DamagedFileError)
    (hf_folder / "model.safetensors").write_bytes(whole)
    rewrite(
        hf_folder,
        lambda weights: weights.update({"model.encoder.conv1.bias": torch.zeros(64, dtype=torch.int8)}),
    )
    assert "encoder.conv1.bias is not a tensor of floating-point" in message(hf_folder, DamagedFileError)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"d_model": 10**9}, "d_model = 1000000000; expected a size"),
        ({"d_model": 2**20}, "encoder.conv1.weight has shape [64, 80, 3]"),
        (
            {"encoder_layers": 10**6},
            "it has the weights of 3 encoder blocks; its configuration says 1000000",
        ),
        ({"encoder_attention_heads": 7}, "d_model = 64 for 7 encoder heads"),
        ({"num_mel_bins": "many"}, "num_mel_bins = many; expected a size"),
        ({"encoder_ffn_dim": None}, "encoder_ffn_dim = None"),
        ({"max_source_positions": -1}, "max_source_positions = -1"),
        ({"vocab_size": True}, "vocab_size = True"),
        ({"activation_function": "os.system"}, "unknown activation_function 'os.system'"),
    ],
)
def test_nonsense_in_the_configuration(hf_folder: Path, changes: dict[str, Any], says: str) -> None:
    edit_json(hf_folder / "config.json", **changes)
    assert says in message(hf_folder, DamagedFileError)


def test_entries_that_would_fetch_code_are_not_passed_on(hf_folder: Path, model: AudioModel, mel: torch.Tensor) -> None:
    edit_json(
        hf_folder / "config.json",
        auto_map={"AutoModel": "evil.Model"},
        _attn_implementation="evil/kernels",
        attn_implementation="evil/kernels",
        dropout=0.9,
        encoder_layerdrop=1.0,
    )
    assert same(freud.models.load(str(hf_folder)), model, mel)


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, ("touch PWNED",)


@pytest.mark.parametrize("where", ["pt", "bin"])
def test_code_in_a_checkpoint_is_not_run(hf_folder: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.chdir(hf_folder)
    (hf_folder / "model.safetensors").unlink()
    path = hf_folder / ("small.pt" if where == "pt" else "pytorch_model.bin")
    for write in (
        lambda: torch.save({"dims": Hostile()}, path),
        lambda: path.write_bytes(pickle.dumps(Hostile())),
    ):
        write()
        assert f"{path.name}: holds code" in message(path if where == "pt" else hf_folder, DamagedFileError)
    assert not (hf_folder / "PWNED").exists()


def test_damaged_pt_files(pt_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    whole = pt_file.read_bytes()
    for cut in (0, 10, 1000, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:cut])
        assert str(path) in message(path, DamagedFileError)
    path.write_text("this is a text file, not a model\n" * 10)
    assert str(path) in message(path, DamagedFileError)
    torch.save([1, 2], path)
    assert "expected a dict of tensors, found list" in message(path, DamagedFileError)
    torch.save({"state_dict": {}}, path)
    assert "has no dims and model_state_dict" in message(path)
    good = torch.load(pt_file, weights_only=True)
    torch.save({**good, "dims": {**good["dims"], "n_audio_state": 0}}, path)
    assert "d_model = 0" in message(path, DamagedFileError)
    del good["dims"]["n_mels"]
    torch.save(good, path)
    assert "dims lack n_mels" in message(path, DamagedFileError)


def test_a_pickle_whose_archive_is_altered(pt_file: Path, tmp_path: Path) -> None:
    """torch.load compares no checksum, and gives what was in memory for a record that it cannot read."""
    path = tmp_path / "model.pt"
    whole = pt_file.read_bytes()
    value = torch.load(pt_file, weights_only=True)["model_state_dict"]["encoder.ln_post.weight"]
    for at, says in (
        (whole.index(value.numpy().tobytes()) + 3, "has a wrong checksum"),  # a number
        (whole.rindex(b"PK\1\2") + 10, "has compressed records"),  # how the last record is compressed
        (whole.rindex(b"PK\1\2") + 20, "a record has two sizes, or is no file"),
        (whole.rindex(b"PK\1\2") + 38, "a record has two sizes, or is no file"),  # a directory
    ):
        data = bytearray(whole)
        data[at] ^= 16 if whole[at - 38 : at - 34] == b"PK\1\2" else 8
        path.write_bytes(data)
        assert says in message(path, DamagedFileError)


def test_safetensors_by_itself(hf_folder: Path) -> None:
    assert "give the folder that holds it" in message(hf_folder / "model.safetensors")


class Hub(SimpleHTTPRequestHandler):
    """As much of the Hugging Face hub's interface as downloading `test/small` takes."""

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, body: bool) -> None:
        folder, commit = Path(self.directory), "0" * 40
        if self.path.startswith("/api/models/test/small"):
            told: Any = {"id": "test/small", "sha": commit}
            if "/tree/" in self.path:
                told = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                    for file in sorted(folder.iterdir())
                ]
            self.reply(json.dumps(told).encode(), body)
        elif self.path.startswith("/test/small/resolve/"):
            file = folder / self.path.split("?")[0].rsplit("/", 1)[1]
            self.reply(file.read_bytes(), body, {"ETag": f'"{file.name}"', "X-Repo-Commit": commit})
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def reply(self, data: bytes, body: bool, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(hf_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub on this machine that serves `test/small` from the folder it yields."""
    served = tmp_path / "served"
    shutil.copytree(hf_folder, served)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield served
        server.shutdown()


def test_download_from_a_hub(hub: Path, model: AudioModel, mel: torch.Tensor, tmp_path: Path) -> None:
    (hub / "README.md").write_text("not wanted")
    loaded = freud.models.load("test/small")
    assert loaded.name == "test/small"
    assert loaded.fingerprint == model.fingerprint
    assert same(loaded, model, mel)
    fetched = {file.name for file in (tmp_path / "cache").rglob("*") if file.is_symlink()}
    assert fetched == {"config.json", "generation_config.json", "model.safetensors"}


def test_pickled_weights_come_only_where_there_is_nothing_better(hub: Path, model: AudioModel) -> None:
    torch.save(load_file(hub / "model.safetensors"), hub / "pytorch_model.bin")
    (hub / "model.safetensors").unlink()
    assert freud.models.load("test/small").fingerprint == model.fingerprint


def test_a_cached_model_needs_no_network(hub: Path, monkeypatch: pytest.MonkeyPatch, model: AudioModel) -> None:
    freud.models.load("test/small")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert freud.models.load("test/small").fingerprint == model.fingerprint


def test_an_id_that_the_hub_does_not_have(hub: Path) -> None:
    assert "has no public model 'test/other'" in message("test/other", UnknownNameError)


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert "cannot download openai/whisper-tiny from http://127.0.0.1:9" in message("tiny")
