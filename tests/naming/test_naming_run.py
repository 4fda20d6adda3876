"""Naming a real index: the folder, its tables, a label's page, people's names, detection, and the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import freud
from freud import naming
from freud.cli import main
from freud.corpus import Corpus
from freud.errors import FreudError, UnknownNameError
from freud.features import FeatureIndex
from freud.features import read as read_index
from freud.models import AudioModel
from freud.naming import Names, detection, tables
from freud.naming.acoustics import MEASURES, clip_acoustics
from freud.naming.labels import LabelBank
from freud.naming.sources import Latents
from freud.saes import load

SAE = Path(freud.__file__).parent / "bundled" / "sae"


@pytest.fixture(scope="module")
def some(demo: Corpus) -> Corpus:
    """18 spoken clips and six sounds of the bundled corpus."""
    wanted = [clip.id for clip in demo if clip.transcript][::4] + [clip.id for clip in demo if clip.label][::3]
    keep = [clip.id in wanted for clip in demo]
    manifest = {"fingerprint": "some", "parameters": {"layout": "csv"}, "problems": []}
    table = demo.table.filter(keep)
    return Corpus(None, demo.root, manifest, table, lambda: demo.segment_table)


@pytest.fixture(scope="module")
def index(nano: AudioModel, some: Corpus, tmp_path_factory: pytest.TempPathFactory) -> FeatureIndex:
    """The latents of the bundled SAE on those clips."""
    folder = tmp_path_factory.mktemp("named")
    store = freud.collect(nano, some, ["encoder.blocks.2"], folder / "acts", progress=False)["encoder.blocks.2"]
    return freud.index(store, load(SAE), folder / "latents", corpus=some, progress=False)


@pytest.fixture(scope="module")
def names(index: FeatureIndex, some: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Names:
    out = tmp_path_factory.mktemp("names") / "names" / index.site / "latents"
    kinds = ("phone", "class", "silence", "sound", "place")
    return naming.name(index, out, corpus=some, kinds=kinds, controls=False, progress=False)


def test_every_feature_has_a_row_and_every_score_its_n_split_and_null(names: Names, index: FeatureIndex) -> None:
    rows = names.table("names")
    assert rows["feature"].to_pylist() == list(range(index.features))
    facts = names.artifact.manifest
    assert facts["named"] + facts["unnamed"] + facts["dead"] == index.features
    assert facts["named"] > 50
    named = [row for row in names.names() if not (row["unnamed"] or row["dead"])]
    assert all(row["q"] <= 0.05 and row["frames"] == facts["split"]["held_out_frames"] for row in named)
    assert all(row["null"] is not None and row["positives"] > 0 and row["clips"] > 0 for row in named)
    assert {row["name"] for row in rows.to_pylist() if row["dead"]} == {"dead"}
    best = named[0]
    assert f"on {best['clips']} held-out clips" in best["name"]
    for name, schema in tables.SCHEMAS.items():
        assert names.table(name).schema.equals(schema), name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/m/ · F1 0.81 on 20 held-out clips · lag +20 ms · null 0.07", "/m/"),
        ("F0 ↓ · ρ -0.52 on 1 held-out clip · null 0.01", "F0 ↓"),
        ("hiss · F1 car", "hiss · F1 car"),
        ("− /m/", "− /m/"),
        ("unnamed", "unnamed"),
    ],
)
def test_what_a_name_says_without_its_scores(name: str, text: str) -> None:
    assert naming.said(name) == text


def test_names_say_their_labels(names: Names) -> None:
    """Whatever the template makes of a label, `said` finds the label in it again."""
    rows = names.names()
    assert {row["kind"] for row in rows} >= {"phone", "class", "silence"}
    assert [naming.said(row["name"]) for row in rows] == [row["short"] for row in rows]


def test_the_model_has_phones_and_shuffled_labels_do_not(names: Names) -> None:
    best = [names.best(label, "auc")[0] for label in ("/s/", "f", "phone:L")]
    assert all(row["auc"] > 0.75 > 0.6 > row["null_auc"] for row in best)
    assert names.label("/S/") == "phone:S"
    with pytest.raises(UnknownNameError, match="not among"):
        names.label("zz")


def test_names_are_kept_and_the_same_again(names: Names, index: FeatureIndex, some: Corpus) -> None:
    again = naming.name(
        index, names.path, corpus=some, kinds=("phone", "class", "silence", "sound", "place"), controls=False
    )
    assert again.artifact.manifest == names.artifact.manifest
    assert not names.artifact.verify()
    with pytest.raises(FreudError, match="other settings"):
        naming.name(index, names.path, corpus=some, seed=1)


def test_people_have_the_last_word(names: Names, tmp_path: Path) -> None:
    mine = naming.read(shutil.copytree(names.path, tmp_path / "copy"))
    mine.set_name(3, "hiss of kal16", author="me")
    assert mine.shown()[3] == "hiss of kal16"
    assert mine.feature(3)[0]["user_name"] == "hiss of kal16"
    assert [row["feature"] for row in mine.names("HISS OF")] == [3]
    mine.set_name(3, None)
    assert mine.feature(3)[0]["user_name"] is None
    for bad, error in (((99_999, "x"), "no such feature"), ((3, "a\nb"), "one line"), ((3, "x" * 300), "at most 200")):
        with pytest.raises(FreudError, match=error):
            mine.set_name(*bad)


def test_a_labels_page_and_the_matrix(names: Names) -> None:
    page = naming.label_page([names], "s")
    assert page.label == "phone:S"
    assert page.latent == page.best[0]
    assert page.neuron is None
    assert page.latent["site"] == names.site
    rows = naming.features_for([names], "s", 3)
    assert rows[0]["agreement"] >= rows[-1]["agreement"]
    matrix = names.matrix()
    at = matrix.labels.index("phone:S")
    own = next(i for i, column in enumerate(matrix.features) if column["label"] == "phone:S")
    assert matrix.rates[at][own] == max(row[own] for row in matrix.rates)
    assert all(0 <= rate <= 1 for row in matrix.rates for rate in row)


@pytest.mark.parametrize("name", list(tables.SCHEMAS))
def test_every_table_leaves_as_csv_and_parquet(names: Names, name: str, tmp_path: Path) -> None:
    for ending in (".csv", ".parquet"):
        names.export(name, tmp_path / f"{name}{ending}")
    lines = (tmp_path / f"{name}.csv").read_text().splitlines()
    assert lines[0].count(",") == len(names.table(name).schema) + 2
    rows = pq.read_table(tmp_path / f"{name}.parquet")
    assert rows.drop_columns(["site", "basis", "split"]).equals(names.table(name))
    facts = {(row["site"], row["basis"], row["split"]) for row in rows.to_pylist()}
    assert facts == ({(names.site, "latents", names.artifact.manifest["split"]["by"])} if len(rows) else set())
    with pytest.raises(FreudError, match="ends in"):
        names.export(name, tmp_path / "x.txt")


def test_detection_tells_a_good_name_from_a_wrong_one(names: Names, index: FeatureIndex, some: Corpus) -> None:
    rows = [row for row in names.names() if row["kind"] == "phone" and row["recall"] and row["f1"] > 0.5]
    row = rows[0]
    asked = detection.items(index, names, row["feature"], 40)
    assert sum(item.fires for item in asked) == len(asked) / 2
    held = set(names.held_out_clips())
    assert all(index.clip_number(item.clip) in held for item in asked)
    assert any(item.kind == "hard negative" for item in asked)
    for item in asked:
        values = index.trace(row["feature"], item.clip)
        inside = values[round(item.mark_start * 50) : round(item.mark_end * 50)]
        assert bool((inside > 0).any()) == item.fires
        for tier, marked in item.marked.items():
            around = [s for s in some.segments(item.clip, tier) if s.start < item.end and s.end > item.start]
            assert marked.replace("<<", "").replace(">>", "").split() == [s.label for s in around]
            within = [s.label for s in around if s.start < item.mark_end and s.end > item.mark_start]
            assert marked.partition("<<")[2].partition(">>")[0] == " ".join(within) == item.heard.get(tier, "")
    right = detection.detect(asked, detection.by_label(some, index, row["label"], row["lag_ms"]))
    wrong = detection.detect(asked, detection.by_label(some, index, "phone:AA", 0))
    assert right.accuracy > 0.7 > wrong.accuracy
    assert right.low < right.accuracy < right.high or right.accuracy == 1
    voiced = detection.by_label(some, index, "acoustic:voiced")
    for item in asked:
        clip = some[item.clip]
        pitch = clip_acoustics(some, clip)[:, MEASURES.index("F0")]
        assert voiced(item) == np.isfinite(pitch[round(item.mark_start * 50) : round(item.mark_end * 50)]).any()
    for label, error in (("measure:F0", "is a number"), ("phone:XX", "not among"), ("fone:X", "kind of label")):
        with pytest.raises(FreudError, match=error):
            detection.by_label(some, index, label)
    marks = detection.fuzzing(index, names, row["feature"], 20)
    assert {item.kind for item in marks} == {"right", "wrong"}
    assert detection.score([True, False], [True, True]).accuracy == 0.5
    with pytest.raises(FreudError, match="one to each"):
        detection.score([True], [])


def test_the_command_names_a_result_and_the_index_shows_it(result: Path, tmp_path: Path, capsys) -> None:
    copy = shutil.copytree(result, tmp_path / "discovered")
    options = ["--kind", "class", "--kind", "acoustic", "--no-controls", "--basis", "neurons", "--json"]
    main(["name", str(copy), "--site", "encoder.blocks.0.mlp.1", *options])
    (said,) = json.loads(capsys.readouterr().out)
    assert said["basis"] == "neurons"
    assert said["split"]["by"] in {"clip", "speaker"}
    names = naming.read_all(copy)[0]
    names.set_name(0, "mine", "-")
    from freud.results import open_index

    rows = open_index(copy, "encoder.blocks.0.mlp.1").table(sort="feature", n=1, dead=True)
    assert rows[0]["name"] == "mine"
    main(["search", str(copy), "--site", "encoder.blocks.0.mlp.1", "--feature", "0"])
    assert capsys.readouterr().out.splitlines()[0] == "feature 0: mine"


def test_names_elsewhere_are_those_that_are_shown(result: Path, tmp_path: Path, capsys) -> None:
    """`freud names --folder` shows and exports the names that `freud name --out` wrote, not those of the result."""
    copy, out = shutil.copytree(result, tmp_path / "discovered"), tmp_path / "elsewhere"
    site = ["--site", "encoder.blocks.0.mlp.1", "--basis", "neurons", "--json"]
    for options in (["--kind", "class"], ["--kind", "acoustic", "--out", str(out)]):
        main(["name", str(copy), *site, "--no-controls", *options])
    capsys.readouterr()
    for options, kinds in (([], {"class"}), (["--folder", str(out)], {"acoustic"})):
        main(["names", str(copy), *site, *options, "--table", "labels", "--export", str(tmp_path / "labels.parquet")])
        assert json.loads(capsys.readouterr().out)["table"] == "labels"
        assert set(pq.read_table(tmp_path / "labels.parquet")["kind"].to_pylist()) == kinds
    assert naming.read_all(copy, out)[0].path == out / "encoder.blocks.0.mlp.1" / "neurons"
    assert naming.read_all(copy, naming.read_all(copy, out)[0].path)[0].path == naming.read_all(copy, out)[0].path


def test_names_are_asked_for_changed_and_exported(names: Names, tmp_path: Path, capsys) -> None:
    folder = shutil.copytree(names.path, tmp_path / "names" / names.site / "latents")
    name = names.names()[0]
    number = str(name["feature"])

    def run(*arguments: str) -> str:
        main(["names", str(tmp_path), *arguments])
        return capsys.readouterr().out

    (shown,) = json.loads(run("--top", "3", "--json"))
    assert shown["path"] == str(folder)
    assert shown["names"] == names.names()[:3]
    assert f"{names.site} latents: " in run()
    assert json.loads(run("--label", "s", "--json")) == naming.features_for([names], "s", 20)
    assert len(run("--label", "s", "--top", "2").splitlines()) == 3
    assert name["name"] in run("--feature", number)
    assert run("--feature", number, "--set-name", "mine", "--side", name["side"]).startswith(f"{number} +: mine\n")
    assert json.loads(run("--feature", number, "--json"))["names"][0]["user_name"] == "mine"
    assert name["name"] in run("--feature", number, "--set-name", "")
    run("--export", str(tmp_path / "names.csv"))
    assert (tmp_path / "names.csv").read_text().count("\n") == 1 + len(names.table("names"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--set-name mine", "--set-name: has no meaning without --feature"),
        ("--label s --set-name mine", "--set-name: has no meaning without --feature"),
        ("--feature 3 --side -", "--side: has no meaning without --set-name"),
        ("--table scores", "--table: has no meaning without --export"),
        ("--label s --feature 3 --export x.csv", "--feature, --export: have no meaning with --label"),
        ("--feature 3 --export x.csv", "--export: has no meaning with --feature"),
        ("--feature 3 --top 3", "--top: has no meaning with --feature"),
        ("--export x.csv --top 3", "--top: has no meaning with --export"),
        ("--basis neurons", "no names of any site neurons; it has those of encoder.blocks.2 latents"),
        ("--folder absent", "absent: has no names yet; run `freud name` on it first"),
        ("--label zz", "not among"),
    ],
)
def test_what_names_cannot_answer_is_one_line(
    names: Names, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    shutil.copytree(names.path, tmp_path / "names" / names.site / "latents")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["names", str(tmp_path), *arguments.split()])
    assert stop.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x.csv").exists()


def test_too_little_to_name_is_said(index: FeatureIndex, demo: Corpus, tmp_path: Path) -> None:
    with pytest.raises(FreudError, match="other clips"):
        naming.name(index, tmp_path / "a", corpus=demo)
    with pytest.raises(FreudError, match="kind of label 'fone'"):
        LabelBank(demo, kinds=("fone",))


@pytest.mark.parametrize("folder", ["latents[1]", "feature=3"])
def test_postings_are_read_from_their_own_folder(index: FeatureIndex, tmp_path: Path, folder: str) -> None:
    """A folder whose name DuckDB would take for a pattern or a column, beside an index that the pattern matches."""
    shutil.copytree(index.path, tmp_path / folder)
    shutil.copytree(index.path, tmp_path / "latents1")
    table = pq.read_table(index.path / "postings.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "latents1" / "postings.parquet")
    moved = read_index(tmp_path / folder)
    for source in (Latents(index), Latents(moved)):
        blocks = list(source.blocks(np.ones(int(source.index.sql("SELECT count(*) FROM clips")[0][0]), bool)))
        assert sum(len(block.row) for block in blocks) == table.num_rows
