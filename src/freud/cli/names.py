"""`freud names`: show, search, change and export the names that `freud name` gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from freud.cli.options import Basis, Json, Maybe, refuse
from freud.cli.output import print_json, print_table
from freud.errors import FreudError, UnknownNameError

if TYPE_CHECKING:
    from freud.naming import Names

TOP = 20


def main(
    result: tyro.conf.Positional[Path],
    site: Maybe[str] = None,
    basis: Maybe[Basis] = None,
    label: Maybe[str] = None,
    feature: Maybe[int] = None,
    set_name: Maybe[str] = None,
    side: Maybe[Literal["+", "-"]] = None,
    export: Maybe[Path] = None,
    table: Maybe[Literal["names", "scores", "labels", "best", "controls", "matrix", "split"]] = None,
    top: Maybe[int] = None,
    folder: Maybe[Path] = None,
    json: Json = False,
) -> None:
    """Show the best names of a result, the features for a label, or all about one feature; change or export names.

    Args:
        result: A folder on which `freud name` was run.
        site: Only this site.
        basis: Only neurons, or only latents.
        label: Show the features for this label ("/m/", "m", "phone:M") instead of the best names.
        feature: Show the name of this feature and everything it was tried on.
        set_name: Give --feature this name; it wins over the automatic one. "" takes it back.
        side: Side of the feature that --set-name names (default: +).
        export: Write --table to this .csv or .parquet file.
        table: Which table to export (default: names).
        top: How many to print (default: 20).
        folder: Where the names are, if `freud name` was given --out.
        json: Print JSON.
    """
    _check(label, feature, set_name, side, export, table, top)
    count = TOP if top is None else top
    every = _open(result, folder, site, basis)
    if label is not None:
        from freud.naming import features_for

        rows = features_for(every, label, count)
        print_json(rows) if json else _print_label(rows)
        return
    if feature is None and export is None:
        print_all(every, count, json=json)
        return
    if len(every) > 1:
        raise FreudError("--feature and --export: give --site and --basis, the result has several")
    names = every[0]
    if export is not None:
        names.export(table or "names", export)
        if json:
            print_json({"path": export, "table": table or "names"})
        else:
            print(f"written to {export}")
    elif feature is not None:
        if set_name is not None:
            names.set_name(feature, set_name, side or "+")
        shown = {"names": names.feature(feature), "scores": names.scores(feature)}
        print_json(shown) if json else _print_feature(shown)


def _check(
    label: str | None,
    feature: int | None,
    set_name: str | None,
    side: str | None,
    export: Path | None,
    table: str | None,
    top: int | None,
) -> None:
    """Refuse flags that do not go together."""
    if label is not None:
        refuse("with --label", feature=feature, export=export)
    if feature is not None:
        refuse("with --feature", export=export, top=top)
    else:
        refuse("without --feature", set_name=set_name)
    if set_name is None:
        refuse("without --set-name", side=side)
    if export is not None:
        refuse("with --export", top=top)
    else:
        refuse("without --export", table=table)


def _open(result: Path, folder: Path | None, site: str | None, basis: str | None) -> list[Names]:
    """The names of a result, with whatever settings they were made.

    Raises:
        UnknownNameError: there are none, or none of that site and basis.
    """
    from freud.naming import read_all

    if not result.is_dir():
        raise FreudError(f"{result}: no such folder; expected one on which `freud name` was run")
    every = read_all(result, folder)
    if not every:
        raise UnknownNameError(f"{folder or result}: has no names yet; run `freud name` on it first")
    chosen = [names for names in every if site in {None, names.site} and basis in {None, names.basis}]
    if not chosen:
        there = ", ".join(f"{names.site} {names.basis}" for names in every)
        raise UnknownNameError(
            f"{folder or result}: no names of {site or 'any site'} {basis or 'in any basis'}; it has those of {there}"
        )
    return chosen


def print_all(every: Sequence[Names], top: int, *, json: bool) -> None:
    """Print what `freud name` prints at its end: the best names of each index, and how they were found."""
    if json:
        print_json([_summary(names, top) for names in every])
    else:
        for names in every:
            _print_names(names, top)


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
