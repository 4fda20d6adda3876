"""Every verb, for people and for programs, and every mistake in one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import freud.cli
from freud.cli import VERBS
from freud.models import AudioModel

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"


@pytest.fixture(autouse=True)
def loaded(nano: AudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Load nano once for all tests; any other name, device or dtype as always."""
    from freud import models
    from freud.activations import collect
    from freud.models import loading

    def load(name: str, *, device: str = "cpu", dtype: str = "float32") -> AudioModel:
        usual = (name, device, dtype) == ("nano", "cpu", "float32")
        return nano if usual else loading_load(name, device=device, dtype=dtype)

    loading_load = loading.load
    for module in (models, loading, sys.modules[collect.__module__]):
        name = "load_model" if hasattr(module, "load_model") else "load"
        monkeypatch.setattr(module, name, load)


class Freud:
    """`freud ...` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> str:
        """Run a command that succeeds; return what it prints."""
        self.capsys.readouterr()
        freud.cli.main([str(argument) for argument in arguments])
        return self.capsys.readouterr().out

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))

    def fails(self, *arguments: object, status: int = 1) -> str:
        """Run a command that fails; return its message, which must be one line and all that is printed."""
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            freud.cli.main([str(argument) for argument in arguments])
        said = self.capsys.readouterr()
        assert stop.value.code == status
        assert said.out == ""
        assert said.err.startswith("freud: ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("\n")
        return said.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Freud:
    return Freud(capsys)


# ---- every verb


def test_corpus(run: Freud, speech: Path, tmp_path: Path):
    only_said = run.json("corpus", "info", speech)
    assert (only_said["clips"], only_said["path"]) == (5, None)
    facts = run.json("corpus", "import", speech, "--out", tmp_path / "out")
    assert facts["clips"] == facts["transcribed"] == 5
    assert facts["path"] == str(tmp_path / "out")
    assert facts["fingerprint"] == only_said["fingerprint"]
    assert [(tier["name"], tier["clips"]) for tier in facts["tiers"]] == [("phones", 5), ("words", 5)]
    assert (facts["problems"], facts["labeled"]) == ([], 0)
    text = run("corpus", "info", tmp_path / "out")
    assert "clips         5, of " in text
    assert "tier phones   " in text
    exported = run.json("corpus", "export", tmp_path / "out", "--out", tmp_path / "tiers", "--tier", "words")
    assert (exported["recordings"], exported["files"]) == (5, 5)
    assert "librispeech" in run.json("corpus", "download")["download"]
    assert "alignments" in run("corpus", "download")
    assert "choose with --part" in run.fails("corpus", "download", "librispeech", "--out", tmp_path / "dl")
    assert "--out: name the folder" in run.fails("corpus", "download", "musan")


def test_models(run: Freud, nano: AudioModel):
    assert "nano" in run.json("models")
    assert run("models").split()[0] in run.json("models")
    facts = run.json("models", "nano")
    assert facts["frames_per_window"] == nano.frames_per_window
    assert "sites" not in facts
    sites = run.json("models", "nano", "--sites")["sites"]
    assert [site["name"] for site in sites] == list(nano.sites)
    assert "encoder.blocks.0.mlp.1" in run("models", "nano", "--sites")


def test_collect_train_and_index(run: Freud, speech: Path, tmp_path: Path):
    """The stages one by one, each for programs first and then, since it is finished, for people."""
    acts, sae, found = tmp_path / "acts", tmp_path / "sae", tmp_path / "index"
    collect = ("collect", speech, "--model", "nano", "--site", RESIDUAL, "--site", NEURONS, "--out", acts)
    facts = run.json(*collect)
    assert list(facts["sites"]) == [NEURONS, RESIDUAL]
    assert (facts["clips"], facts["path"], facts["parameters"]["dtype"]) == (5, str(acts), "float16")
    assert f"{facts['frames']} frames of 5 clips in {acts}" in run(*collect)

    train = ("train", acts, "--site", RESIDUAL, "--out", sae, "--expansion", 2, "--k", 3, "--steps", 5,
             "--train-batch-size", 32, "--validation", 0.25, "--seed", 7)  # fmt: skip
    facts = run.json(*train)
    assert facts["results"]["steps"] == 5
    assert facts["parameters"]["k"] == 3
    assert (facts["parameters"]["options"]["seed"], facts["parameters"]["options"]["batch_size"]) == (7, 32)
    assert 0 < facts["results"]["validation"]["l0"] <= 3
    header, first, second = run(*train).splitlines()
    assert header.split()[:4] == ["sae", "architecture", "steps", "clips"]
    assert [line.split()[:4] for line in (first, second)] == [
        [str(sae), "topk", "5", p] for p in ("train", "validation")
    ]

    arguments = ("index", acts, "--site", RESIDUAL, "--out", found, "--sae", sae)
    facts = run.json(*arguments)
    assert (facts["site"], facts["basis"], facts["path"]) == (RESIDUAL, "latents", str(found))
    assert facts["bytes"] == sum(path.stat().st_size for path in found.glob("*.parquet"))
    assert f"{facts['features']} latents of {RESIDUAL} over {facts['frames']} frames" in run(*arguments)
    assert run.json("search", found, "--feature", 0) is not None


def test_collecting_in_another_dtype(run: Freud, speech: Path, tmp_path: Path):
    """What the model computes in, and what its frames are stored as."""
    import torch

    frames = {}
    for dtypes, computed, stored in (
        ([], "float32", "float16"),
        (["--dtype", "bfloat16"], "bfloat16", "bfloat16"),
        (["--dtype", "bfloat16", "--store-dtype", "float32"], "bfloat16", "float32"),
        (["--store-dtype", "float32"], "float32", "float32"),
    ):
        out = tmp_path / "-".join(["acts", *dtypes])
        facts = run.json("collect", speech, "--model", "nano", "--site", RESIDUAL, "--out", out, *dtypes)
        assert (facts["parameters"]["compute_dtype"], facts["parameters"]["dtype"]) == (computed, stored)
        frames[computed, stored] = freud.activations.read(out)[RESIDUAL].shard(0).float()
    exact, rounded = frames["float32", "float32"], frames["bfloat16", "float32"]
    assert torch.equal(rounded, frames["bfloat16", "bfloat16"])  # storing in bfloat16 loses nothing that was computed
    error = (rounded - exact).pow(2).mean() / exact.pow(2).mean()
    assert 0 < error < 1e-3


def test_a_device_that_is_not_there_is_one_line(run: Freud, speech: Path, result: Path, tmp_path: Path):
    out, site = ("--out", tmp_path / "out"), ("--model", "nano", "--site", RESIDUAL)
    for verb in (
        ("collect", speech, *site, *out),
        ("discover", speech, *site, *out),
        ("train", "--corpus", speech, *site, *out),
        ("serve", result, "--no-browser"),
        ("export", "site", result, "--site", RESIDUAL, "--features", 0, *out),
    ):
        assert "device cuda:99: " in run.fails(*verb, "--device", "cuda:99")
        assert "device gpu: unknown; expected cpu, cuda or cuda:N" in run.fails(*verb, "--device", "gpu")


def test_flags_that_do_not_apply_are_refused(run: Freud, speech: Path, result: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    discover = ("discover", speech, "--model", "nano", "--site", RESIDUAL, *out, "--architecture", "none")
    assert "--k, --steps: have no meaning with --architecture none" in run.fails(*discover, "--k", 3, "--steps", 9)
    assert "--sites: has no meaning without the name of a model" in run.fails("models", "--sites")
    message = run.fails("corpus", "download", *out, "--part", "dev")
    assert "--out, --part: have no meaning without the name of a corpus" in message
    features = ("features", result, "--site", NEURONS)
    assert "--start: has no meaning without --clip" in run.fails(*features, "--start", 0)
    assert "--end: has no meaning without --clip" in run.fails(*features, "--feature", 3, "--end", 1)
    assert "--sort: has no meaning with --feature" in run.fails(*features, "--feature", 3, "--sort", "max")
    assert "--dead: has no meaning with --clip" in run.fails(*features, "--clip", "x", "--dead")
    assert "--feature: has no meaning with --clip" in run.fails(*features, "--clip", "x", "--feature", 0)
    export = ("export", "site", result, "--site", NEURONS, *out, "--features", 3)
    assert "--top: has no meaning with --features" in run.fails(*export, "--top", 2)
    assert not (tmp_path / "out").exists()


def test_names_are_asked_for_after_they_are_made(run: Freud, result: Path):
    assert "has no names yet; run `freud name` on it first" in run.fails("names", result)
    message = run.fails("name", result, "--label", "m", status=2)
    assert "unrecognized options: --label" in message
    assert "for --label use freud names; see freud name --help" in message


def test_l1_takes_its_own_flags(run: Freud, store: Any, tmp_path: Path):
    train = ("train", store.path, "--site", "encoder.blocks.2", "--architecture", "l1", "--d-sae", 20, "--steps", 2,
             "--out", tmp_path / "sae")  # fmt: skip
    facts = run.json(*train, "--tied", "--coefficient", 0)
    assert (facts["parameters"]["tied"], facts["parameters"]["coefficient"]) == (True, 0)
    assert "--k: has no meaning with --architecture l1" in run.fails(*train, "--k", 3)


def test_discover(run: Freud, speech: Path, tmp_path: Path):
    out = tmp_path / "with spaces"
    arguments = ("discover", speech, "--model", "nano", "--site", "encoder.blocks.0.mlp*", "--out", out,
                 "--architecture", "none")  # fmt: skip
    with pytest.raises(SystemExit):
        run(*arguments, "--k")
    facts = run.json(*arguments)
    assert facts["clips"] == 5
    assert [row["basis"] for row in facts["sites"]] == ["neurons"]
    text = run(*arguments)
    assert "5 clips, 0.2 minutes, model nano" in text
    assert f"next: freud search '{out}' --site encoder.blocks.0.mlp --feature 0" in text


def test_search(run: Freud, result: Path):
    arguments = ("search", result, "--site", NEURONS, "--feature", 3)
    hits = run.json(*arguments)
    index = freud.results.open_index(result, NEURONS)
    assert [(hit["clip"], hit["value"]) for hit in hits] == [(hit.clip, hit.value) for hit in index.top(3)]
    assert {"rank", "clip", "name", "value", "frame", "time", "transcript", "tiers"} <= set(hits[0])
    assert len(run.json(*arguments, "--top", 2)) == 2
    limited = run.json(*arguments, "--max", hits[1]["value"])
    assert [hit["clip"] for hit in limited] == [hit["clip"] for hit in hits[1:]]
    negative = run.json(*arguments, "--max", "0", "--absolute")
    assert all(hit["value"] <= 0 for hit in negative)
    lines = run(*arguments).splitlines()
    assert lines[0].split()[:4] == ["rank", "value", "time", "phones"]
    assert len(lines) == 1 + len(hits)
    assert hits[0]["name"] in lines[1]
    assert hits[0]["transcript"] in lines[1], "nothing is cut where there is no terminal"
    assert "no clip" in run(*arguments, "--min", "1e9")


def test_features(run: Freud, result: Path, speech: Path):
    index = freud.results.open_index(result, RESIDUAL)
    rows = run.json("features", result, "--site", RESIDUAL)
    assert [row["feature"] for row in rows] == [row["feature"] for row in index.table(n=20)]
    everything = run.json("features", result, "--site", RESIDUAL, "--sort", "feature", "--top", 10**6, "--dead")
    assert [row["feature"] for row in everything] == list(range(index.features))
    one = run.json("features", result, "--site", RESIDUAL, "--feature", rows[0]["feature"])
    assert len(one["histogram"]) == 64
    assert one["threshold_low"] is None, "minus infinity is no JSON"
    assert one["strongest_events"]
    clip = index.top(rows[0]["feature"], 1)[0].clip
    ranked = run.json("features", result, "--site", RESIDUAL, "--clip", clip, "--start", 0.1, "--end", 0.5, "--top", 3)
    assert [row["rank"] for row in ranked] == [1, 2, 3]
    assert all(0.1 <= row["time"] <= 0.5 for row in ranked)
    text = run("features", result, "--site", RESIDUAL, "--feature", rows[0]["feature"])
    assert "#" in text
    assert "onset" in text
    assert run("features", result, "--site", RESIDUAL).splitlines()[0].split()[:3] == ["feature", "name", "density"]
    assert len(run("features", result, "--site", RESIDUAL, "--clip", clip).splitlines()) == 21


def test_doctor(run: Freud, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    checks = run.json("doctor", result)
    assert all(check["ok"] for check in checks)
    assert "ok    torch: " in run("doctor")
    shutil.copytree(result / "activations", tmp_path / "acts")
    shard = next((tmp_path / "acts").glob("frames-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SystemExit) as stop:
        freud.cli.main(["doctor", str(tmp_path)])
    assert stop.value.code == 1
    assert f"FAIL  {tmp_path / 'acts'}: {shard}: " in capsys.readouterr().out


def test_demo(run: Freud, result: Path, monkeypatch: pytest.MonkeyPatch, speech: Path, tmp_path: Path):
    from freud import discovery

    def short(out: Path, progress: bool) -> discovery.Discovery:
        return discovery.discover(speech, "nano", [NEURONS], out, architecture=None, progress=progress)

    monkeypatch.setattr(discovery, "demo", short)
    monkeypatch.setattr(
        discovery, "demo_transcripts", lambda model: [(freud.corpus.read(speech).clips[0], "what it heard")]
    )
    text = run("demo", "--out", tmp_path / "out")
    assert "heard: what it heard" in text
    assert f"most active neurons of {NEURONS}" in text
    assert " s /" in text, "the phone at the peak"
    assert run.json("demo", "--out", tmp_path / "out")["clips"] == 5


def test_the_demo_hears_four_voices() -> None:
    from freud import discovery

    heard = discovery.demo_transcripts(freud.models.load("nano"))
    assert len({clip.speaker for clip, _ in heard}) == 4
    assert all(clip.split == "test" for clip, _ in heard)
    assert sum(text == clip.transcript for clip, text in heard) >= 2


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch"], "no verb 'serch'; did you mean `freud search`?"),
        (["xyzzy"], "no verb 'xyzzy'; expected one of demo, discover, corpus,"),
        (["search"], "missing: RESULT, --feature INT; see freud search --help"),
        (["search", "x", "--feature", "one"], "error parsing --feature: "),
        (["search", "x", "--feature", "1", "--topp", "3"], "unrecognized options: --topp, 3; Perhaps you meant: --top"),
        (
            ["search", "x", "--feature", "1", "--basis", "foo"],
            "invalid choice 'foo' for argument '--basis'. Expected one of",
        ),
        (["search", "x", "y", "--feature", "1"], "unrecognized options: y"),
        (["search", "x", "--feature"], "--feature"),
        (["train", "x", "--site", "y", "--out", "z", "--architecture", "best"], "'topk'"),
        (["discover", "x", "--dtype", "int8"], "'bfloat16'"),
        (["discover", "x", "--store-dtype", "int8"], "'bfloat16'"),
        (["doctor", "--nope"], "unrecognized options: --nope"),
    ],
)
def test_wrong_usage_is_one_line(run: Freud, arguments: list[str], message: str):
    said = run.fails(*arguments, status=2)
    assert message in said
    assert "None" not in said


def test_what_does_not_exist_is_one_line_that_says_what_does(run: Freud, result: Path, speech: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    search = ("search", result, "--feature", 0, "--site")
    assert f"no site 'encoder'; it has {RESIDUAL}, {NEURONS}" in run.fails(*search, "encoder")
    assert "give a site; it has" in run.fails("search", result, "--feature", 0)
    assert "has no latents; it has neurons" in run.fails(*search, NEURONS, "--basis", "latents")
    assert "has latents 0 to" in run.fails("search", result, "--site", RESIDUAL, "--feature", 10**6)
    assert "expected at least 1" in run.fails(*search, NEURONS, "--top", 0)
    assert "no value lies between" in run.fails(*search, NEURONS, "--min", 1, "--max", 0)
    assert "clip 'x': not in" in run.fails("features", result, "--site", NEURONS, "--clip", "x")
    assert "no such folder" in run.fails("search", tmp_path / "absent", "--feature", 0)
    assert "unknown model 'nanoo'" in run.fails("models", "nanoo")
    site = ("--site", "encoder.block.0")
    assert "sites: expected at least one" in run.fails("discover", speech, "--model", "nano", "--out", tmp_path)
    message = run.fails("collect", speech, "--model", "nano", *site, *out)
    assert "unknown site 'encoder.block.0'" in message
    assert "did you mean encoder.blocks.0" in message
    assert "no such file or folder" in run.fails("corpus", "import", tmp_path / "absent", *out)
    assert "no recordings found" in run.fails("corpus", "import", tmp_path, *out)
    layout = ("--layout", "fodler")
    assert "no layout 'fodler': there are auto, csv," in run.fails("corpus", "import", speech, *layout, *out)
    activations = result / "activations"
    assert f"has no site 'x'; it holds {NEURONS}, {RESIDUAL}" in run.fails("index", activations, "--site", "x", *out)
    assert "d_sae -4: expected at least" in run.fails("train", activations, "--site", RESIDUAL, "--d-sae", -4, *out)
    assert "expected one written by `freud collect`" in run.fails("train", result / "corpus", "--site", "x", *out)
    assert "SAE of width" in run.fails(
        "index", activations, "--site", NEURONS, "--sae", result / "saes" / RESIDUAL, *out
    )
    assert not (tmp_path / "out").exists()


def test_a_full_or_forbidden_disk_is_one_line(run: Freud, speech: Path, tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    assert "cannot create the folder" in run.fails("corpus", "import", speech, "--out", tmp_path / "file" / "out")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere/else")

    monkeypatch.setattr(freud.corpus, "import_corpus", full)
    assert "/somewhere/else: No space left on device; finished work is kept" in run.fails(
        "corpus", "import", speech, "--out", tmp_path / "out"
    )


def test_a_bug_is_not_hidden(speech: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*args: object) -> None:
        raise FileNotFoundError(2, "a bug of ours")

    monkeypatch.setattr(freud.corpus, "read", broken)
    with pytest.raises(FileNotFoundError):
        freud.cli.main(["corpus", "info", str(speech)])


def test_control_c_says_how_to_go_on(run: Freud, speech: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(freud.corpus, "read", interrupted)
    assert "the same command goes on from there" in run.fails("corpus", "info", speech, status=130)


def test_a_table_fits_the_terminal_and_no_name_breaks_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from freud.cli import output

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    output.print_table(["n", "name"], [[1, "two\nlines \x1b[31m"], [2.5, "long " * 10], [None, True]])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  n  name", "  1  two lines  [31m", "2.5  long long long…", "  -  yes"]
    output.say_problems([{"path": f"a\n{i}", "reason": "bad"} for i in range(12)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "skipped: a 0: bad"
    assert len(lines) == 11
    assert lines[-1] == "skipped: and 2 more, listed in manifest.json"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5e12, "5.0 TB")]
)
def test_sizes_for_people(count: float, text: str):
    from freud.cli.output import size

    assert size(count) == text


# ---- in a process of its own

FREUD = [sys.executable, "-c", "import freud.cli; freud.cli.main()"]
HEAVY = ("torch", "transformers", "duckdb", "pyarrow", "tyro", "numpy")
LOADED = f"""
import sys
from freud.cli import main
try:
    main(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
print("loaded:", *[name for name in {HEAVY} if name in sys.modules])
"""


def started(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_help_and_version_import_nothing_heavy():
    for arguments in (["--help"], ["-h"], ["help"], ["--version"]):
        done = started(LOADED, *arguments)
        assert done.stderr == ""
        assert done.stdout.endswith("loaded:\n")
    assert f"freud {freud.__version__}" in started(LOADED, "--version").stdout
    usage = started(LOADED, "--help").stdout
    assert all(f"\n  {verb:<10}{what}\n" in usage for verb, what in VERBS.items())


def test_help_of_every_verb_needs_no_torch():
    """All in one process, so that it stays quick; nothing that one verb imports is taken away again."""
    program = LOADED.replace("main(sys.argv[1:])", "[one(verb) for verb in sys.argv[1:]]").replace(
        "try:", "def one(verb):\n    try:\n        main([verb, '--help'])\n    except SystemExit as stop:\n"
        "        assert not stop.code, stop.code\ntry:", 1
    )  # fmt: skip
    done = started(program, *VERBS)
    assert done.stderr == ""
    assert done.stdout.endswith("loaded: tyro\n")
    for verb in VERBS:
        assert f"usage: freud {verb} " in done.stdout
    assert "None}" not in done.stdout
    assert "default: None" not in done.stdout
    assert "default: False" not in done.stdout


def test_freud_without_a_verb_prints_its_usage(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        freud.cli.main([])
    assert stop.value.code == 2
    assert capsys.readouterr().out.startswith("usage: freud VERB")


def test_a_closed_pipe_is_silent(result: Path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*FREUD, "features", result, "--site", NEURONS, "--top", "2000", "--json"],
        stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_real_control_c(result: Path):
    program = "import os, signal, freud.cli, freud.results\n" + (
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background is started without
        "freud.results.open_index = lambda *a: os.kill(os.getpid(), signal.SIGINT)\n"
        f"freud.cli.main(['features', {str(result)!r}])"
    )
    done = started(program)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "freud: interrupted; what is finished is kept, and the same command goes on from there\n"


def test_names_that_the_terminal_cannot_show_are_escaped(speech: Path, tmp_path: Path):
    folder = tmp_path / "größe"
    shutil.copytree(speech, folder)
    done = subprocess.run(
        [*FREUD, "corpus", "info", folder],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe" in done.stdout
