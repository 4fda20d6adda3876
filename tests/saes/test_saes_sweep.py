"""Many SAEs on one stream: each as if it were alone, however often they are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from freud import artifacts
from freud.activations import Activations, ModelFrames
from freud.corpus import Corpus
from freud.errors import DamagedFileError, FreudError
from freud.models import AudioModel
from freud.saes import L1, BatchTopK, Gated, JumpReLU, Matryoshka, Options, Run, TopK, load, sweep, train
from freud.saes.architecture import Training
from freud.saes.trainer import Trainer

SITE = "encoder.blocks.0"
OPTIONS = Options(steps=24, batch_size=64, lr=1e-2)
ARCHITECTURES = {
    "topk": TopK(d_sae=48, k=2, aux_k=8, dead_after=300),
    "multi": TopK(d_sae=48, k=2, multi_topk=True),
    "batchtopk": BatchTopK(d_sae=48, k=2, aux_k=8, dead_after=300),
    "matryoshka": Matryoshka(d_sae=48, k=2, aux_k=8, dead_after=300),
    "jumprelu": JumpReLU(d_sae=48),
    "gated": Gated(d_sae=48, scaling="dimension"),
    "l1": L1(d_sae=48, resample_every=5, dead_after=100, scaling="frame"),
    "tied": L1(d_sae=48, tied=True),
}
RUNS = [Run(name=name, site=SITE, architecture=kind, options=OPTIONS) for name, kind in ARCHITECTURES.items()]
RUNS += [
    replace(RUNS[0], name="seed", options=replace(OPTIONS, seed=1)),
    replace(RUNS[0], name="average", options=replace(OPTIONS, ema=0.9)),
    replace(RUNS[0], name="shorter", options=replace(OPTIONS, steps=13)),
    replace(RUNS[0], name="typical", options=replace(OPTIONS, largest_norm=1.2)),
    replace(RUNS[0], name="order", options=replace(OPTIONS, data_seed=1)),
]


def weights(folder: Path) -> bytes:
    return (folder / "sae_weights.safetensors").read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each run by itself, on `sparse_data`; tests of this module compare with it."""
    return tmp_path_factory.mktemp("alone")


def by_itself(alone: Path, run: Run, source: Any) -> Path:
    folder = alone / run.name
    if not (folder / "manifest.json").exists():
        train(source, run.architecture, folder, options=run.options, progress=False)
    return folder


def test_a_sweep_is_the_same_as_its_runs_one_by_one(source: Any, alone: Path, tmp_path: Path) -> None:
    saes = sweep({SITE: source}, RUNS, tmp_path / "all", progress=False)
    assert list(saes) == [run.name for run in RUNS]
    pools = len(source.dealt)
    for run in RUNS:
        folder = by_itself(alone, run, source)
        assert weights(tmp_path / "all" / run.name) == weights(folder), run.name
        manifests = [artifacts.read(path, "train").manifest for path in (tmp_path / "all" / run.name, folder)]
        for name in ("parameters", "results"):
            assert manifests[0][name] == manifests[1][name]
    different = {weights(tmp_path / "all" / run.name) for run in RUNS}
    assert len(different) == len(RUNS)
    # Three streams: of the eleven that share theirs, of those without massive frames, and in another order.
    assert pools <= 3 * 2


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_run_that_is_interrupted_goes_on_to_the_same_weights(
    name: str, source: Any, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(run for run in RUNS if run.name == name)
    real = Training.after_step
    for at in (0, 7, 11):  # in the middle of a step: what it has done by then is lost
        with monkeypatch.context() as patch:
            calls = iter(range(1000))

            def stop(self: Any, calls: Iterator[int] = calls, at: int = at) -> None:
                if next(calls) == at:
                    raise KeyboardInterrupt
                real(self)

            patch.setattr(Training, "after_step", stop)
            with pytest.raises(KeyboardInterrupt):
                train(source, run.architecture, tmp_path / "sae", options=OPTIONS, checkpoint_seconds=0, progress=False)
    train(source, run.architecture, tmp_path / "sae", options=OPTIONS, progress=False)
    assert weights(tmp_path / "sae") == weights(by_itself(alone, run, source))


def test_a_sweep_killed_between_two_checkpoints_goes_on_to_the_same_weights(
    source: Any, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some runs are ahead then; they wait for the others."""
    chosen = [run for run in RUNS if run.name in {"topk", "l1", "average", "shorter", "typical"}]
    real = Trainer.checkpoint
    for kill_at in (13, 27, 51):
        with monkeypatch.context() as patch:
            calls = iter(range(1000))

            def kill(self: Any, calls: Iterator[int] = calls, kill_at: int = kill_at) -> None:
                if next(calls) == kill_at:
                    raise KeyboardInterrupt
                real(self)

            patch.setattr(Trainer, "checkpoint", kill)
            with pytest.raises(KeyboardInterrupt):
                sweep({SITE: source}, chosen, tmp_path / "all", checkpoint_seconds=0, progress=False)
    sweep({SITE: source}, chosen, tmp_path / "all", progress=False)
    for run in chosen:
        assert weights(tmp_path / "all" / run.name) == weights(by_itself(alone, run, source)), run.name


def test_resuming_does_not_look_for_a_sample_again(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.checkpoint

    def stop_after(self: Any) -> None:
        real(self)
        if self.step == 20:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "checkpoint", stop_after)
        with pytest.raises(KeyboardInterrupt):
            train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, checkpoint_seconds=0, progress=False)
    assert len(source.dealt) == 1  # the pool that the sample is from is the one trained on first
    source.dealt.clear()
    train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, progress=False)
    assert len(source.dealt) == 1


def test_frames_of_a_great_norm_are_not_trained_on(
    sparse_data: Tensor, tensor_frames: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse_data[::50] *= 1000
    seen: list[float] = []
    real = Trainer.advance

    def look(self: Any, x: Tensor, following: Any) -> Any:
        seen.append(float(x.norm(dim=1).max()))
        return real(self, x, following)

    monkeypatch.setattr(Trainer, "advance", look)
    norms = sparse_data.norm(dim=1)
    for limit in (None, 10.0):
        seen.clear()
        options = replace(OPTIONS, largest_norm=limit)
        train(tensor_frames(sparse_data), RUNS[0].architecture, tmp_path / str(limit), options=options, progress=False)
        assert len(seen) == 24
        assert (max(seen) > 10 * norms.median()) == (limit is None)
    assert load(tmp_path / "10.0").b_dec.norm() < 10


def test_sites_of_a_model_share_its_passes(
    nano: AudioModel, few: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = ["encoder.blocks.2", "encoder.blocks.0"]
    options = Options(steps=4, batch_size=256)
    runs = [Run(name=site, site=site, architecture=TopK(d_sae=64, k=4), options=options) for site in sites]
    passes: list[int] = []
    real = nano.activations
    monkeypatch.setattr(nano, "activations", lambda mel, wanted: passes.append(len(wanted)) or real(mel, wanted))
    both = {source.site.name: source for source in ModelFrames.of_sites(nano, few, sites)}
    sweep(both, runs, tmp_path / "both", progress=False)
    training = [count for count in passes if count == 2]
    assert len(training) == len(passes)
    for site in sites:
        train(ModelFrames(nano, few, site), TopK(d_sae=64, k=4), tmp_path / site, options=options, progress=False)
        assert weights(tmp_path / site) == weights(tmp_path / "both" / site)


def test_a_store_gives_its_sites(store: Activations, tmp_path: Path) -> None:
    runs = [
        Run(name=site, site=site, architecture=TopK(d_sae=64, k=4), options=Options(steps=2, batch_size=256))
        for site in store.sites
    ]
    saes = sweep(store, runs, tmp_path, progress=False)
    assert {name: sae.d_in for name, sae in saes.items()} == {site: store[site].width for site in store.sites}
    missing = replace(runs[0], site="encoder.blocks.9")
    with pytest.raises(FreudError, match=r"has no site 'encoder.blocks.9'"):
        sweep(store, [missing], tmp_path / "missing", progress=False)


# ---- Ctrl-C


@pytest.fixture
def usual_ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as at a terminal; a test run in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_ctrl_c")
def test_ctrl_c_stops_after_a_step_with_a_checkpoint(
    source: Any, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    real = Trainer.advance

    def advance(self: Any, x: Tensor, following: Any) -> Any:
        if self.step == 15:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)  # the signal has arrived in the middle of the step
        loss = real(self, x, following)
        steps.append(self.step)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", advance)
        with pytest.raises(KeyboardInterrupt):
            train(source, RUNS[0].architecture, tmp_path / "sae", options=OPTIONS, progress=False)
    assert steps[-1] == 16
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed: list[int] = []
    monkeypatch.setattr(Trainer, "advance", lambda *a: resumed.append(a[0].step) or real(*a))
    train(source, RUNS[0].architecture, tmp_path / "sae", options=OPTIONS, progress=False)
    assert resumed[0] == 16  # not a step is lost
    assert weights(tmp_path / "sae") == weights(by_itself(alone, RUNS[0], source))


@pytest.mark.usefixtures("usual_ctrl_c")
def test_a_second_ctrl_c_does_not_wait(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(self: Any, x: Tensor, following: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
        raise AssertionError("still here")

    monkeypatch.setattr(Trainer, "advance", stuck)
    with pytest.raises(KeyboardInterrupt):
        train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, progress=False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_in_a_thread_leaves_signals_alone(source: Any, tmp_path: Path) -> None:
    thread = threading.Thread(
        target=train, args=(source, RUNS[0].architecture, tmp_path), kwargs={"options": OPTIONS, "progress": False}
    )
    thread.start()
    thread.join()
    assert (tmp_path / "manifest.json").exists()


def test_ctrl_c_on_the_command_line(store: Activations, tmp_path: Path) -> None:
    command = [
        sys.executable, "-c", "from freud.cli import main; main()", "train", str(store.path), "--site",
        "encoder.blocks.2", "--out", str(tmp_path / "sae"), "--d-sae", "64", "--k", "4", "--steps", "100000",
        "--train-batch-size", "64",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_default_sigint)
    log = tmp_path / "sae" / "training.jsonl"
    while not (log.exists() and log.stat().st_size) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "the same command goes on from there" in said
    assert (tmp_path / "sae" / "checkpoint" / "state.safetensors").is_file()


def _default_sigint() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it


# ---- bad checkpoints


@pytest.mark.parametrize("damage", ["shape", "dtype", "step", "negative", "position", "another"])
def test_a_checkpoint_that_does_not_fit_is_refused(
    source: Any, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    real = Trainer.checkpoint

    def stop_after(self: Any) -> None:
        real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "checkpoint", stop_after)
        with pytest.raises(KeyboardInterrupt):
            train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, checkpoint_seconds=0, progress=False)
    path = tmp_path / "checkpoint" / "state.safetensors"
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["freud"])
    name = "training.b_enc"
    match damage:
        case "shape":
            tensors[name] = tensors[name][:1].clone()  # would spread over all of them
        case "dtype":
            tensors[name] = tensors[name].half()
        case "step":
            state["step"] = 10**6
        case "negative":
            state["step"] = -1
        case "position":
            state["position"] = [0, 0]
        case "another":
            state["parameters"] = "0" * 16
    save_file(tensors, path, {"freud": json.dumps(state)})
    before = path.read_bytes()
    with pytest.raises(DamagedFileError, match=r"state.safetensors: damaged \(.*\); delete it to train from the start"):
        train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, progress=False)
    assert path.read_bytes() == before
    path.unlink()
    train(source, RUNS[0].architecture, tmp_path, options=OPTIONS, progress=False)


def test_a_device_that_is_not_there_is_one_line(source: Any, tmp_path: Path) -> None:
    for name in ("cuda:99", "nonsense"):
        with pytest.raises(FreudError, match=rf"^device {name}: .*; expected cpu, cuda or cuda:N$") as error:
            train(source, RUNS[0].architecture, tmp_path / "sae", options=OPTIONS, device=name, progress=False)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "sae").exists()


def test_averaged_weights_lie_between_the_others(source: Any, tmp_path: Path) -> None:
    """With hardly any memory the average is the last weights; with a long one it lags behind."""
    saes = {
        ema: train(source, ARCHITECTURES["l1"], tmp_path / str(ema), options=replace(OPTIONS, ema=ema), progress=False)
        for ema in (None, 1e-6, 0.9)
    }
    torch.testing.assert_close(saes[1e-6].W_enc, saes[None].W_enc, rtol=1e-4, atol=1e-5)
    assert (saes[0.9].W_enc - saes[None].W_enc).norm() > 1e-3
    torch.testing.assert_close(saes[0.9].W_dec.norm(dim=1), torch.ones(48))
