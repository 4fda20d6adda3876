"""Killed at any moment, a full disk, a flipped byte: the same command completes, or one line says what to do."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import freud
from freud import DamagedFileError, FreudError, artifacts
from freud.activations import Activations
from freud.corpus import Corpus
from freud.saes import Options, TopK

SITE = "encoder.blocks.0"
STAGES = ("collect", "train", "index")
KILLS = 20


class Forks:
    """Runs freud commands in forks of `forking.py`, and keeps an undisturbed result of every stage.

    All results lie side by side, so that even the relative paths in their manifests are the same.
    """

    def __init__(self, folder: Path, audio: Path) -> None:
        self.folder = folder
        self.audio = audio
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("forking.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.answer() == "ready"
        self.seconds: dict[str, float] = {}
        for stage in STAGES:
            start = time.perf_counter()
            assert self.run(stage, self.whole(stage)) == (0, "")
            self.seconds[stage] = time.perf_counter() - start

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def whole(self, stage: str) -> Path:
        return self.folder / f"{stage}-whole"

    def command(self, stage: str, out: Path) -> list[str]:
        acts, sae = self.whole("collect"), self.whole("train")
        rest = {
            "collect": [self.audio, "--model", "nano", "--batch-size", 1],
            "train": [acts, "--steps", 60, "--train-batch-size", 64, "--expansion", 2, "--k", 4],
            "index": [acts, "--sae", sae],
        }[stage]
        return [str(word) for word in (stage, *rest, "--site", SITE, "--out", out)]

    def run(
        self,
        stage: str,
        out: Path,
        *,
        kill_after: float | None = None,
        kill_at: str | None = None,
        largest: int | None = None,
    ) -> tuple[int, str]:
        """Exit status and standard error.

        It is killed after `kill_after` seconds, or when there is something in `out` that matches `kill_at`; the status
        is -9 if that was soon enough.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([self.command(stage, out), largest]) + "\n")
        self.process.stdin.flush()
        answers = self.answer()
        with contextlib.suppress(ProcessLookupError):  # it was quicker
            while kill_at is not None and not any(out.glob(kill_at)):
                os.kill(answers["pid"], 0)
                time.sleep(0.001)
            if kill_after is not None or kill_at is not None:
                time.sleep(kill_after or 0)
                os.kill(answers["pid"], signal.SIGKILL)
        while "status" not in answers:
            answers |= self.answer()
        return answers["status"], answers.get("stderr", "")


@pytest.fixture(scope="module")
def forks(few: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    forks = Forks(tmp_path_factory.mktemp("forks"), few.root)
    yield forks
    assert forks.process.stdin is not None
    forks.process.stdin.close()
    forks.process.wait()


def data(folder: Path) -> dict[str, Any]:
    """All there is in a folder; of the log of a training, all but the speed."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "training.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[name] = [{key: value for key, value in line.items() if "per_second" not in key} for line in lines]
        elif path.name == "manifest.json":
            manifest = json.loads(path.read_text())
            if manifest["kind"] == "train":  # it has the log's checksum
                manifest = {key: manifest[key] for key in ("parameters", "results")}
            found[name] = manifest
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_killed_twenty_times_it_goes_on_to_the_same_result(forks: Forks, stage: str):
    """Every kill hits a run that the next one resumes; a run that gets through is checked, and another begun."""
    moments = random.Random(f"kill {stage}")
    whole = data(forks.whole(stage))
    leaves = {"collect": "frames-*", "train": "checkpoint/state*", "index": "parts/*"}[stage]
    longest = forks.seconds[stage]
    kills = resumed = attempt = 0
    out = forks.folder / f"{stage}-{attempt}"
    # At least twenty kills, and on until enough of them hit a run that resumed. On a quick machine few moments leave
    # something to resume, so every other kill of a new run waits for that.
    while kills < KILLS or (resumed < KILLS // 5 and kills < 5 * KILLS):
        found_something = bool(list(out.glob(leaves)))
        moment = moments.uniform(0, longest)
        wait = not found_something and kills % 2 == 1
        when = {"kill_at": leaves} if wait else {"kill_after": moment}
        status, said = forks.run(stage, out, **when)
        if status == -signal.SIGKILL:
            kills += 1
            resumed += found_something
            if not list(out.glob(leaves)):  # too early, maybe as the machine has become slower
                longest *= 1.05
            continue
        assert (status, said) == (0, "")
        assert data(out) == whole
        if not found_something and not wait:  # the machine has become quicker
            longest = min(longest, moment)
        attempt += 1
        out = forks.folder / f"{stage}-{attempt}"
    assert forks.run(stage, out) == (0, "")
    assert data(out) == whole
    print(
        f"{stage}: {forks.seconds[stage]:.2f} s; {attempt + 1} runs, {kills} kills, {resumed} resumed", file=sys.stderr
    )
    assert resumed >= KILLS // 5, "kills must leave something to resume, or this tests nothing"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("largest", [10, 1500, 9000, 60_000])
def test_a_full_disk_is_one_line_and_the_rerun_completes(forks: Forks, stage: str, largest: int):
    """No file can grow beyond `largest` bytes: as a full disk does, this stops a write midway."""
    out = forks.folder / f"{stage}-full-{largest}"
    status, said = forks.run(stage, out, largest=largest)
    biggest = max(path.stat().st_size for path in forks.whole(stage).iterdir())
    if largest < biggest or status:
        assert status == 1, said
        assert said.startswith(f"freud: {out}/")
        assert said.endswith(": cannot write: File too large; free some room or choose another --out\n")
        assert said.count("\n") == 1
        assert not (out / "manifest.json").exists()
        assert not [path for path in out.rglob(".*") if path.is_file()], "nothing half-written"
    assert forks.run(stage, out) == (0, "")
    assert data(out) == data(forks.whole(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_killed_right_after_it_finished_the_next_run_sweeps_up(forks: Forks, stage: str):
    out = forks.folder / f"{stage}-swept"
    shutil.copytree(forks.whole(stage), out)
    (out / "unfinished.json").write_text('{"kind": "x"}')
    work = {"train": "checkpoint", "index": "parts"}.get(stage)
    if work:
        (out / work).mkdir()
        (out / work / "00000.safetensors").touch()
    assert forks.run(stage, out) == (0, "")
    assert data(out) == data(forks.whole(stage))


def train(acts: Activations, out: Path) -> None:
    options = Options(steps=20, batch_size=64)
    freud.train(acts[SITE], TopK(k=4, expansion=1), out, options=options, checkpoint_seconds=0, progress=False)


@pytest.mark.parametrize("stage", STAGES)
def test_no_room_at_any_of_its_writes(
    stage: str, nano: Any, result: Path, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first attempt has room for no file, the second for one, and so on until all is written."""
    acts = freud.activations.read(result / "activations")
    run: Callable[[Path], Any] = {
        "collect": lambda out: freud.collect(nano, speech, [SITE], out, progress=False),
        "train": lambda out: train(acts, out),
        "index": lambda out: freud.index(acts[SITE], None, out, progress=False),
    }[stage]
    run(tmp_path / "whole")
    real, written = os.fsync, 0

    def fsync(file: int) -> None:
        nonlocal written
        written += 1
        if written > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    out = tmp_path / "cut"
    for room in range(200):  # noqa: B007 - read by fsync
        written = 0
        try:
            run(out)
            break
        except FreudError as error:
            message = f"{error}"
            assert message.startswith(f"{out}/")
            assert message.endswith(": cannot write: No space left on device; free some room or choose another --out")
            assert not (out / "manifest.json").exists()
            assert not list(out.rglob("*.partial"))
    else:
        pytest.fail("it never got through")
    assert room >= 3
    assert data(out) == data(tmp_path / "whole")


# ---- damaged files


def use_corpus(folder: Path) -> None:
    assert freud.corpus.read(folder).segment_table.num_rows


def use_activations(folder: Path) -> None:
    acts = freud.activations.read(folder)
    acts[SITE].clip(acts.clip_ids[0])


def use_sae(folder: Path) -> None:
    freud.saes.load(folder)


def use_index(folder: Path) -> None:
    index = freud.features.read(folder)
    hit = index.top(index.table(sort="density")[0]["feature"], 1)[0]
    index.events(0)
    index.statistics(0)
    if index.basis == "latents":
        index.trace(0, hit.clip)


USES = {
    "corpus": use_corpus,
    "activations": use_activations,
    f"saes/{SITE}": use_sae,
    f"features/{SITE}/latents": use_index,
    f"features/{SITE}.mlp.1/neurons": use_index,
}
KINDS = {"corpus": "corpus", "activations": "collect", "saes": "train", "features": "index"}


@pytest.mark.parametrize(
    "damage", ["first byte", "middle byte", "last byte", "one byte short", "half", "empty", "gone"]
)
@pytest.mark.parametrize("folder", USES)
def test_damage_to_any_file_is_found_on_use(result: Path, tmp_path: Path, folder: str, damage: str):
    copy = tmp_path / "copy"
    shutil.copytree(result / folder, copy)
    use = USES[folder]
    use(copy)
    files = [name for name in artifacts.read(copy, KINDS[folder.split("/")[0]]).manifest["files"]]
    assert len(files) >= 2
    for name in files:
        if name == "training.jsonl":  # a record that nothing reads
            continue
        path = copy / name
        original = path.read_bytes()
        content = bytearray(original)
        place = {"first": 0, "middle": len(content) // 2, "last": -1}.get(damage.split()[0])
        if place is not None:
            content[place] ^= 1
        path.write_bytes(
            {"one byte short": content[:-1], "half": content[: len(content) // 2], "empty": b""}.get(damage, content)
        )
        if damage == "gone":
            path.unlink()
        with pytest.raises(FreudError) as caught:
            use(copy)
        message = str(caught.value)
        assert str(path) in message or (damage == "gone" and name in message)
        assert "\n" not in message
        if damage != "gone":
            assert isinstance(caught.value, DamagedFileError)
            assert "rebuild it: delete" in message
            assert "again" in message
        path.write_bytes(original)
    use(copy)


@pytest.fixture(scope="module")
def manifest(result: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("manifest")
    return folder, (result / "activations" / "manifest.json").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_manifest_is_never_believed(manifest: tuple[Path, bytes], place: float, bit: int, cut: bool):
    folder, original = manifest
    content = bytearray(original)
    content[int(place * len(content))] ^= 1 << bit
    (folder / "manifest.json").write_bytes(original[: int(place * len(original))] if cut else content)
    try:
        found: Any = artifacts.read(folder, "collect").manifest
    except DamagedFileError as error:
        found = str(error)
    if found != json.loads(original):  # which it is if only white space has changed
        assert str(folder / "manifest.json") in found
        assert "run the stage again" in found
        assert "\n" not in found


@pytest.mark.parametrize("basis", ["neurons", "latents"])
def test_an_index_of_a_damaged_store_is_not_built(result: Path, tmp_path: Path, basis: str):
    shutil.copytree(result / "activations", tmp_path / "acts")
    shutil.copytree(result / "corpus", tmp_path / "corpus")
    shard = next((tmp_path / "acts").glob("frames-*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 64
    shard.write_bytes(content)
    sae = result / "saes" / SITE if basis == "latents" else None
    with pytest.raises(
        DamagedFileError, match=r"frames-00000\.safetensors: its content has changed .* `freud collect`"
    ):
        freud.index(freud.activations.read(tmp_path / "acts")[SITE], sae, tmp_path / "out", progress=False)
    with pytest.raises(DamagedFileError, match=r"frames-00000\.safetensors: its content has changed"):
        train(freud.activations.read(tmp_path / "acts"), tmp_path / "sae")
    assert not list(tmp_path.rglob("out/manifest.json"))


def test_what_belongs_to_another_model_is_one_line(result: Path, tmp_path: Path):
    """An SAE and an index of the same site and width, but of other weights."""
    shutil.copytree(result, tmp_path / "result")
    folder = tmp_path / "result" / "activations"
    facts = json.loads((folder / "manifest.json").read_text())
    facts["model"] |= {"model": "other", "model_fingerprint": "feedbeef"}
    facts["parameters"] |= {"model": "feedbeef"}
    (folder / "manifest.json").unlink()
    (folder / "unfinished.json").unlink(missing_ok=True)
    rest = {name: facts[name] for name in ("model", "corpus", "frames", "clips", "sites", "problems")}
    artifacts.finish(folder, "collect", facts["parameters"], list(facts["files"]), **rest)
    other = freud.activations.read(folder)[SITE]
    with pytest.raises(FreudError, match=r"SAE of model nano \(\w+\): these are activations of other \(feedbeef\)"):
        freud.index(other, tmp_path / "result" / "saes" / SITE, tmp_path / "out")
    index = freud.results.open_index(tmp_path / "result", SITE, "neurons")
    with pytest.raises(FreudError, match=r"activations: not the activations that .* was made from; run `freud index`"):
        index.trace(0, index.top(0, 1)[0].clip)
