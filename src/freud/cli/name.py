"""`freud name`: name every feature after the label that it responds to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from freud.cli.options import Json, Maybe, Switch
from freud.cli.output import print_json, print_table

if TYPE_CHECKING:
    from freud.naming import Names


def main(
    result: tyro.conf.Positional[Path],
    site: Maybe[str] = None,
    basis: Maybe[Literal["neurons", "latents"]] = None,
    label: Maybe[str] = None,
    feature: Maybe[int] = None,
    set_name: Maybe[str] = None,
    side: Literal["+", "-"] = "+",
    kind: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    words: int = 20,
    by: Literal["auto", "speaker", "clip"] = "auto",
    no_controls: Switch = False,
    seed: int = 0,
    corpus: Maybe[Path] = None,
    out: Maybe[Path] = None,
    top: int = 20,
    export: Maybe[Path] = None,
    table: Literal["names", "scores", "labels", "best", "controls", "matrix", "split"] = "names",
    json: Json = False,
) -> None:
    """Name every feature after the label that it responds to, with held-out scores and controls.

    Args:
        result: A folder written by `freud discover` or `freud index`.
        site: Only this site.
        basis: Only neurons, or only latents.
        label: Show the features for this label ("/m/", "m", "phone:M") instead of the best names.
        feature: Show the name of this feature and everything it was tried on.
        set_name: Give --feature this name; it wins over the automatic one. "" takes it back.
        side: Side of the feature that --set-name names.
        kind: Only labels of this kind (phone, class, word, boundary, silence, sound, ...); give it several times.
        words: How many of the most frequent words are labels.
        by: What is held out as a whole; auto is speakers where every clip has one and there are at least four.
        no_controls: Leave out raw coordinates, PCA, the frozen random decoder and the linear probe.
        seed: Of the split, the shuffles and the intervals.
        corpus: The corpus, if it is not where it was.
        out: Folder of the names (default: names/ in the result).
        top: How many to print.
        export: Write --table to this .csv or .parquet file.
        table: Which table to export.
        json: Print JSON.
    """
    import freud
    from freud.errors import FreudError

    every = _made(result, out, site, basis) if label or export or feature is not None else []
    every = every or freud.name(
        result, site=site, basis=basis, out=out, corpus=corpus, kinds=kind or None, words=words, by=by,
        controls=not no_controls, seed=seed, progress=not json,
    )  # fmt: skip
    if label is not None:
        from freud.naming import features_for

        rows = features_for(every, label, top)
        print_json(rows) if json else _print_label(rows)
        return
    if (feature is not None or export is not None) and len(every) > 1:
        raise FreudError("--feature and --export: give --site and --basis, the result has several")
    names = every[0]
    if export is not None:
        names.export(table, export)
        if not json:
            print(f"written to {export}")
        return
    if feature is not None:
        if set_name is not None:
            names.set_name(feature, set_name, side)
        shown = {"names": names.feature(feature), "scores": names.scores(feature)}
        print_json(shown) if json else _print_feature(shown)
    elif json:
        print_json([_summary(each, top) for each in every])
    else:
        for each in every:
            _print_names(each, top)


def _made(result: Path, out: Path | None, site: str | None, basis: str | None) -> list[Names]:
    """The names that a result already has, with whatever settings they were made."""
    from freud.naming import read_all

    return [names for names in read_all(result, out) if site in {None, names.site} and basis in {None, names.basis}]


def _summary(names: Names, top: int) -> dict:
    facts = names.artifact.manifest
    kept = ("split", "null", "labels", "named", "unnamed", "dead")
    return {
        "path": names.path, "site": names.site, "basis": names.basis,
        **{key: facts[key] for key in kept}, "names": names.names()[:top],
    }  # fmt: skip


def _print_names(names: Names, top: int) -> None:
    facts = names.artifact.manifest
    split = facts["split"]
    print(
        f"{names.site} {names.basis}: {facts['named']} named, {facts['unnamed']} unnamed, {facts['dead']} dead, after "
        f"{facts['labels']} labels; chosen on {split['fit_clips']} clips, scored on {split['held_out_clips']} others "
        f"(split by {split['by']}), false discoveries at most {facts['null']['false_discovery_rate']:.0%}"
    )
    rows = names.names()[:top]
    flags = ("positional", "onset", "polysemous", "dense")
    print_table(
        ["feature", "side", "name", "flags"],
        [[r["feature"], r["side"], r["user_name"] or r["name"], " ".join(f for f in flags if r[f])] for r in rows],
    )
    print()


def _print_label(rows: list[dict]) -> None:
    columns = ("site", "basis", "feature", "side", "f1", "auc", "average_precision", "spearman", "lag_ms", "null", "q")
    print_table(columns, [[row[name] for name in columns] for row in rows])


def _print_feature(shown: dict) -> None:
    for row in shown["names"]:
        print(f"{row['feature']} {row['side']}: {row['user_name'] or row['name']}")
    print()
    columns = ("side", "text", "f1", "f1_low", "f1_high", "auc", "average_precision", "spearman", "lift", "lag_ms", "q")
    print_table(columns, [[row[name] for name in columns] for row in shown["scores"]])
