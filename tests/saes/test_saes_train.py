"""Training: it learns, resumes to the same bits, and says what is wrong."""

from __future__ import annotations

import importlib
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from freud import artifacts
from freud.activations import Activations, ModelFrames, split_clips
from freud.corpus import Corpus
from freud.corpus import read as read_corpus
from freud.errors import DamagedFileError, FreudError
from freud.models import AudioModel
from freud.saes import L1, SAE, Options, TopK, load, reconstruction, train
from freud.saes.kernels import choose

training_module = importlib.import_module("freud.saes.training")
trainer_module = importlib.import_module("freud.saes.trainer")
SMALL = TopK(d_sae=48, k=2, aux_k=8, dead_after=300)
QUICK = Options(steps=30, batch_size=64, lr=1e-2)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def results_of(folder: Path) -> dict[str, Any]:
    return artifacts.read(folder, "train").manifest["results"]


def interrupt(at: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of step `at` (the first is 0): after the optimizer, before the step is counted."""
    calls = iter(range(10_000))

    def stop(self: Any) -> None:
        if next(calls) == at:
            raise KeyboardInterrupt
        real(self)

    kind = importlib.import_module("freud.saes.architecture").Training
    real = kind.after_step
    patch.setattr(kind, "after_step", stop)


# ---- it learns


@pytest.mark.parametrize(
    ("architecture", "similarity", "fvu", "l0"),
    [
        (TopK(d_sae=48, k=2, dead_after=5000), 0.95, 0.07, 2),
        (L1(d_sae=48, coefficient=0.3), 0.9, 0.2, 8),
        (L1(d_sae=48, coefficient=0.3, tied=True), 0.75, 0.2, 8),
    ],
    ids=["topk", "l1", "tied"],
)
def test_training_recovers_the_dictionary_that_made_the_data(
    source: Any, dictionary: Tensor, tmp_path: Path, architecture: Any, similarity: float, fvu: float, l0: float
) -> None:
    options = Options(steps=400, batch_size=128, lr=1e-2)
    if isinstance(architecture, L1) and architecture.tied:  # it has no bias for the offset of the data
        source.x -= 0.3
    start = architecture.start(source.x, 0).finish()
    sae = train(source, architecture, tmp_path / "sae", options=options, progress=False)
    log = log_of(tmp_path / "sae")
    assert log[-1]["fvu"] < log[0]["fvu"] / 3
    assert log[-1]["loss"] < log[0]["loss"]
    found = (dictionary @ sae.W_dec.T).amax(1).mean()
    assert found > similarity > (dictionary @ start.W_dec.T).amax(1).mean() + 0.05
    held = results_of(tmp_path / "sae")["validation"]
    assert held["fvu"] < fvu
    assert held["l0"] <= l0


def test_what_is_written_is_what_is_returned(source: Any, sparse_data: Tensor, tmp_path: Path) -> None:
    sae = train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    loaded = load(tmp_path / "sae")
    assert torch.equal(loaded(sparse_data), sae(sparse_data))
    assert loaded.metadata == json.loads((tmp_path / "sae" / "cfg.json").read_text())["metadata"]
    assert {p.name for p in (tmp_path / "sae").iterdir()} == {
        "cfg.json",
        "manifest.json",
        "sae_weights.safetensors",
        "training.jsonl",
    }
    kept, held = split_clips(source.clips, 0.1, 0)
    results = results_of(tmp_path / "sae")
    assert results["clips"] == {"train": len(kept), "validation": len(held)} == {"train": 18, "validation": 2}
    for part, clips in (("train", kept), ("validation", held)):
        expected = asdict(reconstruction(sae, source.only(clips).ordered()))
        assert results[part] == pytest.approx(expected, abs=1e-6)
    assert results["steps"] == 30
    assert results["bad_batches"] == 0


def test_the_same_run_again_is_loaded_not_trained(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    monkeypatch.setattr(training_module, "Trainer", None)
    again = train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    assert torch.equal(first.W_enc, again.W_enc)
    for architecture, options, named in (
        (replace(SMALL, k=3), QUICK, "k"),
        (SMALL, replace(QUICK, lr=1e-3), "options"),
        (L1(), QUICK, "architecture, "),
    ):
        with pytest.raises(FreudError, match=rf"other settings \(.*{named}"):
            train(source, architecture, tmp_path / "sae", options=options, progress=False)


def test_validation_clips_are_never_trained_on(source: Any, tmp_path: Path) -> None:
    train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    _, held = split_clips(source.clips, 0.1, 0)
    forbidden = {row.tobytes() for frames in source.only(held).parts for row in frames.numpy()}
    dealt = {row.tobytes() for frames in source.dealt for row in frames.numpy()}
    assert forbidden
    assert len(dealt) == 3600
    assert not forbidden & dealt


def test_no_validation(source: Any, tmp_path: Path) -> None:
    train(source, SMALL, tmp_path / "sae", options=replace(QUICK, validation=0.0), progress=False)
    results = results_of(tmp_path / "sae")
    assert results["clips"] == {"train": 20, "validation": 0}
    assert results["validation"] is None


@pytest.mark.parametrize("architecture", [SMALL, L1(d_sae=48)], ids=["topk", "l1"])
def test_units_of_the_activations_make_no_difference(
    sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, architecture: Any
) -> None:
    """Times 1024, a power of two, everything is the same to the last bit, but for the units of the latents."""
    plain = train(tensor_frames(sparse_data), architecture, tmp_path / "a", options=QUICK, progress=False)
    large = train(tensor_frames(sparse_data * 1024), architecture, tmp_path / "b", options=QUICK, progress=False)
    assert torch.equal(plain.W_enc, large.W_enc)
    assert torch.equal(plain.encode(sparse_data) * 1024, large.encode(sparse_data * 1024))
    assert results_of(tmp_path / "a")["train"] == results_of(tmp_path / "b")["train"]


@pytest.mark.parametrize("tied", [False, True])
def test_l1_does_not_diverge_on_large_inputs(
    sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, tied: bool
) -> None:
    sparse_data[::97] *= 30  # massive activations too
    options = Options(steps=200, batch_size=128)
    sae = train(
        tensor_frames(100 * sparse_data), L1(d_sae=64, tied=tied), tmp_path / "sae", options=options, progress=False
    )
    results = results_of(tmp_path / "sae")
    assert results["bad_batches"] == 0
    assert results["train"]["fvu"] < 0.9
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(64))


@pytest.mark.parametrize("mean", [0, 30])
def test_bfloat16_learns_the_same(
    monkeypatch: pytest.MonkeyPatch, sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, mean: float
) -> None:
    """Inputs are centered before they are rounded: a mean of 30 does not swallow differences of 1.

    At a rate of 1e-2 so small a training is chaotic: over six seeds, frames changed by a thousandth move the FVU of
    float32 by -12 to 26 %, as much as bfloat16 does. So the rate is lower here.
    """
    monkeypatch.setattr(choose, "_bfloat16_is_faster", lambda *_: True)
    fvu = {}
    architecture = TopK(d_sae=128, k=2, aux_k=8, dead_after=300)  # enough latents that they are screened
    for precision in ("float32", "bfloat16"):
        options = replace(QUICK, steps=200, lr=3e-3, precision=precision)
        source = tensor_frames(sparse_data + mean)
        sae = train(source, architecture, tmp_path / precision, options=options, progress=False)
        assert all(weight.dtype == torch.float32 for weight in sae.parameters())
        fvu[precision] = results_of(tmp_path / precision)["validation"]["fvu"]
    assert fvu["bfloat16"] == pytest.approx(fvu["float32"], rel=0.05)
    assert not torch.equal(load(tmp_path / "float32").W_enc, load(tmp_path / "bfloat16").W_enc)


def test_a_stored_site_and_the_model_itself_train(
    store: Activations, nano: AudioModel, few: Corpus, tmp_path: Path
) -> None:
    architecture, options = TopK(d_sae=64, k=4), Options(steps=5, batch_size=256)
    frames = {"stored": store["encoder.blocks.2"], "model": ModelFrames(nano, few, "encoder.blocks.2")}
    results = {}
    for name, source in frames.items():
        sae = train(source, architecture, tmp_path / name, options=options, progress=False)
        assert sae.metadata["site"] == "encoder.blocks.2"
        assert sae.metadata["model_fingerprint"] == nano.fingerprint
        assert sae.metadata["training"]["corpus"] == few.fingerprint
        sae.check_site(store["encoder.blocks.2"].origin, 192)
        results[name] = results_of(tmp_path / name)
    assert results["stored"]["clips"] == results["model"]["clips"] == {"train": 7, "validation": 1}
    assert results["stored"]["train"]["frames"] == results["model"]["train"]["frames"]


# ---- the schedule


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_the_learning_rate_rises_and_falls_as_it_should(
    source: Any, tmp_path: Path, schedule: Any, warmup: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "LOG_EVERY", 1)
    options = Options(steps=40, batch_size=16, lr=0.5, warmup=warmup, schedule=schedule)
    train(source, SMALL, tmp_path / "sae", options=options, progress=False)
    rates = [entry["lr"] for entry in log_of(tmp_path / "sae")]
    rise = max(1, round(40 * warmup))
    shape: dict[str, Callable[[float], float]] = {
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "linear": lambda t: 1 - t,
        "constant": lambda t: 1.0,
    }
    expected = [0.5 * (step + 1) / rise for step in range(rise)]
    expected += [0.5 * shape[schedule]((step - rise) / (40 - rise)) for step in range(rise, 40)]
    assert rates == pytest.approx(expected, rel=1e-4)
    assert max(rates) == 0.5


def test_the_number_of_steps_fits_the_data() -> None:
    def steps(frames: int) -> int | None:
        return Options(batch_size=1000).checked(frames, 64).steps

    assert steps(10) == 1000  # a million frames at least
    assert steps(100_000) == 5000  # fifty passes
    assert steps(10**9) == 50_000  # fifty million frames at most


def test_the_learning_rate_fits_the_number_of_latents() -> None:
    rates = [Options().checked(10, d_sae).lr for d_sae in (64, 16384, 4 * 16384)]
    assert rates == pytest.approx([3e-3, 1.6e-3, 0.8e-3])
    assert Options(lr=0.5).checked(10, 64).lr == 0.5


# ---- resuming


@pytest.mark.parametrize("architecture", [SMALL], ids=["topk"])  # of the others, the weights: test_saes_sweep.py
def test_an_interrupted_training_goes_on_to_the_same_bits(
    source: Any, tmp_path: Path, architecture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 3600 frames in two pools of 28 batches: the interruptions lie in several pools and epochs.
    options = replace(QUICK, steps=120)
    train(source, architecture, tmp_path / "whole", options=options, progress=False)
    for at in (0, 29, 60):
        with monkeypatch.context() as patch:
            interrupt(at, patch)
            with pytest.raises(KeyboardInterrupt):
                train(source, architecture, tmp_path / "parts", options=options, checkpoint_seconds=0, progress=False)
        assert not (tmp_path / "parts" / "manifest.json").exists()
    train(source, architecture, tmp_path / "parts", options=options, checkpoint_seconds=3600, progress=False)
    for name in ("sae_weights.safetensors", "cfg.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert results_of(tmp_path / "parts") == results_of(tmp_path / "whole")
    logs = [log_of(tmp_path / name) for name in ("whole", "parts")]
    assert [entry["step"] for entry in logs[0]] == list(range(10, 121, 10))
    for log in logs:
        for entry in log:
            assert entry.pop("frames_per_second") > 0
    assert logs[0] == logs[1]
    if isinstance(architecture, TopK):
        assert any(entry["auxiliary"] > 0 for entry in logs[0])  # the test would prove less without
        assert any(0 < entry["dead"] < 1 for entry in logs[0])
    assert not (tmp_path / "parts" / "checkpoint").exists()


def test_a_half_written_line_of_the_log_is_dropped(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(25, patch)
        with pytest.raises(KeyboardInterrupt):
            train(source, SMALL, tmp_path / "sae", options=QUICK, checkpoint_seconds=0, progress=False)
    log = tmp_path / "sae" / "training.jsonl"
    log.write_text(log.read_text() + '{"step": 30, "loss": 0.1}\n{"step": 40, "lo\n{"step": 50, "x": {}')
    train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    assert [entry["step"] for entry in log_of(tmp_path / "sae")] == [10, 20, 30]
    assert all("l0" in entry for entry in log_of(tmp_path / "sae"))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other"])
def test_a_damaged_checkpoint_is_named(
    source: Any, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(5, patch)
        with pytest.raises(KeyboardInterrupt):
            train(source, SMALL, tmp_path / "sae", options=QUICK, checkpoint_seconds=0, progress=False)
    path = tmp_path / "sae" / "checkpoint" / "state.safetensors"
    data = path.read_bytes()
    content = {"cut": data[:-5], "empty": b"", "text": b"x" * 99, "other": data.replace(b"since_fired", b"since_fires")}
    path.write_bytes(content[damage])
    with pytest.raises(DamagedFileError) as error:
        train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)
    message = str(error.value)
    assert message.startswith(f"{path}: damaged (")
    assert message.endswith("delete it to train from the start")
    assert "\n" not in message
    path.unlink()
    train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stands(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, saved = trainer_module.save_file, []

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        if len(saved) == 3:
            raise OSError(28, "No space left on device")
        saved.append(real(tensors, path, metadata))

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "save_file", full)
        with pytest.raises(FreudError, match=r"state.safetensors: cannot write: No space left on device") as error:
            train(source, SMALL, tmp_path / "parts", options=QUICK, checkpoint_seconds=0, progress=False)
        assert "\n" not in str(error.value)
    train(source, SMALL, tmp_path / "parts", options=QUICK, progress=False)
    train(source, SMALL, tmp_path / "whole", options=QUICK, progress=False)
    assert torch.equal(load(tmp_path / "parts").W_enc, load(tmp_path / "whole").W_enc)


# ---- bad input


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_one_clear_line(
    sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, bad: float
) -> None:
    sparse_data[::3] = bad
    with pytest.raises(FreudError, match=r"^encoder.blocks.0: activations are not finite; check the model"):
        train(tensor_frames(sparse_data), SMALL, tmp_path / "sae", options=QUICK, progress=False)


def test_silent_activations_are_one_clear_line(tensor_frames: Any, tmp_path: Path) -> None:
    with pytest.raises(FreudError, match=r"all zero or not finite"):
        train(tensor_frames(torch.zeros(400, 8)), SMALL, tmp_path / "sae", options=QUICK, progress=False)


def test_a_bad_batch_is_skipped_and_counted(
    sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tensor_frames(sparse_data)
    kept, _ = split_clips(source.clips, 0.1, 0)
    source.only(kept[:1]).parts[0][1::2] = torch.nan  # half of the frames of one clip; views share their memory
    monkeypatch.setattr(training_module, "SAMPLE", 900)  # of 1800: every other frame
    run = trainer_module.Trainer
    finite: list[bool] = []
    advance = run.advance

    def checked(self: Any, x: Tensor, following: Any) -> Any:
        loss = advance(self, x, following)
        finite.append(all(bool(torch.isfinite(w).all()) for w in self.weights.values()))
        return loss

    monkeypatch.setattr(run, "advance", checked)
    monkeypatch.setattr(trainer_module, "MOST_BAD_BATCHES", 1000)
    train(source, SMALL, tmp_path / "sae", options=replace(QUICK, batch_size=8, steps=300), progress=False)
    bad = results_of(tmp_path / "sae")["bad_batches"]
    assert 10 < bad < 290
    assert all(finite)
    assert log_of(tmp_path / "sae")[-1]["bad_batches"] == bad


@pytest.mark.parametrize("architecture", [SMALL, L1(d_sae=48)], ids=["topk", "l1"])
def test_a_training_that_diverges_stops_with_a_clear_line(source: Any, tmp_path: Path, architecture: Any) -> None:
    options = replace(QUICK, lr=1e30, steps=500)
    with pytest.raises(FreudError) as error:
        train(source, architecture, tmp_path / "sae", options=options, progress=False)
    assert re.match(r"training: 2\d batches in a row were not finite at step \d+; lower --lr", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("batch_size", 1),
        ("batch_size", -5),
        ("lr", 0.0),
        ("lr", -1e-3),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("validation", 1.0),
        ("validation", -0.5),
        ("clip_norm", 0.0),
        ("clip_norm", float("nan")),
        ("seed", -1),
        ("schedule", "cubic"),
        ("precision", "float16"),
    ],
)
def test_an_option_out_of_range_is_named(source: Any, tmp_path: Path, field: str, value: Any) -> None:
    with pytest.raises(FreudError, match=rf"^{field} {value}: expected ") as error:
        train(source, SMALL, tmp_path / "sae", options=Options(**{field: value}), progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sae").exists()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (TopK, "d_sae", 0),
        (TopK, "expansion", 0),
        (TopK, "expansion", 0.001),
        (TopK, "k", 0),
        (TopK, "k", 257),
        (TopK, "aux_k", 0),
        (TopK, "aux_coefficient", -1.0),
        (TopK, "aux_coefficient", float("nan")),
        (TopK, "dead_after", -1),
        (L1, "d_sae", -3),
        (L1, "coefficient", -0.1),
        (L1, "coefficient", float("nan")),
        (L1, "coefficient_warmup", 1.5),
        (L1, "coefficient_warmup", -0.5),
    ],
)
def test_a_setting_out_of_range_is_named(source: Any, tmp_path: Path, kind: Any, field: str, value: Any) -> None:
    with pytest.raises(FreudError, match=rf"^{field} {value}: expected ") as error:
        train(source, kind(**{field: value}), tmp_path / "sae", options=QUICK, progress=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "sae").exists()


def test_clips_that_cannot_be_read_are_noted(nano: AudioModel, few: Corpus, tmp_path: Path) -> None:
    shutil.copytree(few.root, tmp_path / "audio")
    corpus = read_corpus(tmp_path / "audio")
    kept, held = split_clips([clip.id for clip in corpus], 0.1, 0)
    bad = [corpus[kept[0]], corpus[held[0]]]
    for clip in bad:
        corpus.audio_path(clip).write_bytes(b"")
    options = Options(steps=3, batch_size=64)
    train(ModelFrames(nano, corpus, "encoder.blocks.0"), TopK(d_sae=32, k=2), tmp_path / "sae", options=options)
    results = results_of(tmp_path / "sae")
    assert [problem["clip"] for problem in results["problems"]] == [clip.name for clip in bad]
    assert results["validation"] is None  # its only clip is bad; hours of training are not thrown away for that
    assert results["train"]["frames"] > 0


def test_an_sae_is_an_sae(source: Any, tmp_path: Path) -> None:
    assert isinstance(train(source, None, tmp_path / "sae", options=replace(QUICK, steps=1), progress=False), SAE)
