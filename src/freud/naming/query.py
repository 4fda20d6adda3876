"""Reading names: one feature's, one label's page, the matrix of phones and latents, and names that people gave.

`read` opens the names of one index (`names/SITE/BASIS` in a result of discover), `read_all` those of every index of a
result. People's names lie beside the automatic ones in `user_names.json` and win over them; nothing else is changed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freud import artifacts
from freud.artifacts import Artifact
from freud.errors import FreudError, UnknownNameError
from freud.naming import tables

Side = Literal["+", "-"]
USER_NAMES = "user_names.json"
_LONGEST = 200  # characters of a user's name
_writing = threading.Lock()


class Names:
    """The names of the features of one index. Rows are dicts with the columns of `naming.tables`.

    Attributes:
        site, basis, model: of the index.
        artifact: its manifest has versions, corpus, split, seed and null under `parameters`.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.path = artifact.path
        parameters = artifact.manifest["parameters"]
        self.site: str = parameters["site"]
        self.basis: Literal["neurons", "latents"] = parameters["basis"]
        self.model: str = parameters["model"]

    def table(self, name: str) -> pa.Table:
        """One of the tables names, scores, labels, best, controls, matrix, split.

        Raises:
            UnknownNameError: no such table. DamagedFileError: its file has changed.
        """
        if name not in tables.SCHEMAS:
            raise UnknownNameError(f"table {name!r}: expected one of {', '.join(tables.SCHEMAS)}")
        if name not in self._tables:
            self._tables[name] = pq.read_table(self.artifact.file(f"{name}.parquet"))
        return self._tables[name]

    def export(self, name: str, path: Path) -> None:
        """Write a table to .csv or .parquet with what it needs to stand alone: site, basis, and what was held out as a
        whole (`split`: "speaker" or "clip").

        Raises:
            UnknownNameError: no such table. FreudError: another ending.
        """
        rows = self.table(name)
        facts = {"site": self.site, "basis": self.basis, "split": self.artifact.manifest["split"]["by"]}
        for place, (column, value) in enumerate(facts.items()):
            rows = rows.add_column(place, column, pa.array([value] * len(rows), pa.string()))
        tables.export(rows, path)

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {}

    @cached_property
    def _rows(self) -> dict[tuple[int, str], int]:
        names = self.table("names")
        keys = zip(names["feature"].to_pylist(), names["side"].to_pylist(), strict=True)
        return {key: row for row, key in enumerate(keys)}

    def feature(self, feature: int) -> list[dict[str, Any]]:
        """A row of `names` for each side of a feature, with `user_name` (None where nobody gave one).

        Raises:
            UnknownNameError: no such feature.
        """
        rows = [self._rows[feature, side] for side in ("+", "-") if (feature, side) in self._rows]
        if not rows:
            raise UnknownNameError(f"feature {feature}: {self.path} has no such feature")
        return self._with_user_names(self.table("names").take(rows))

    def scores(self, feature: int) -> list[dict[str, Any]]:
        """All labels that were followed for a feature, the one that agrees best first."""
        scores = self.table("scores")
        return scores.filter(pc.equal(scores["feature"], feature)).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]

    def names(self, text: str | None = None) -> list[dict[str, Any]]:
        """Rows of `names`, best agreement first; with `text`, those in whose name or label it is found."""
        rows = self._with_user_names(self.table("names"))
        if text:
            wanted = text.casefold()
            rows = [row for row in rows if any(wanted in (row[c] or "").casefold() for c in _SEARCHED)]
        return sorted(rows, key=lambda row: (-(row["agreement"] or -1.0), row["feature"], row["side"]))

    def shown(self) -> dict[int, str]:
        """One name a feature, for lists: a user's if there is one, else the better of its sides; not the unnamed."""
        found: dict[int, str] = {}
        for row in self.names():  # best first
            name = row["name"]
            if not (row["unnamed"] or row["dead"]):
                found.setdefault(row["feature"], name if row["side"] == "+" else f"− {name}")
        for (feature, _), entry in sorted(self.user_names().items(), reverse=True):
            found[feature] = entry
        return found

    def label(self, label: str) -> str:
        """The id of the label that is meant by an id, its text, or its bare name: "phone:M", "/m/", "m".

        Raises:
            UnknownNameError: no such label; the message names some that there are.
        """
        labels = self.table("labels").select(["label", "text"]).to_pylist()
        wanted = label.casefold()
        for way in (
            lambda row: row["label"].casefold() == wanted,
            lambda row: row["text"].casefold() == wanted,
            lambda row: row["text"].casefold().strip('/"') == wanted,
            lambda row: row["label"].casefold().split(":", 1)[1] == wanted,
        ):
            if match := next(filter(way, labels), None):
                return match["label"]
        some = ", ".join(row["text"] for row in labels[:8])
        raise UnknownNameError(f"label {label!r}: not among the {len(labels)} of {self.path}, such as {some}")

    def best(self, label: str, by: str | None = None) -> list[dict[str, Any]]:
        """Rows of `best` for a label (any form that `label` takes), in the order of their choice."""
        found = self._of_label("best", self.label(label))
        return [row for row in found if by in {None, row["by"]}]

    def controls(self, label: str) -> list[dict[str, Any]]:
        """Rows of `controls` for a label."""
        return self._of_label("controls", self.label(label))

    def _of_label(self, name: str, label: str) -> list[dict[str, Any]]:
        rows = self.table(name)
        return rows.filter(pc.equal(rows["label"], label)).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]

    def held_out_clips(self) -> list[int]:
        """Numbers of the clips that scores are of."""
        split = self.table("split")
        return split["clip"].filter(split["held_out"]).to_pylist()

    def matrix(self) -> Matrix:
        """How often the best feature of each phone is active on each phone."""
        rows = self.table("matrix").to_pylist()
        labels = list(dict.fromkeys(row["label"] for row in rows))
        columns = list(dict.fromkeys((row["column"], row["feature"], row["side"]) for row in rows))
        rate = {(row["label"], row["column"]): row["rate"] for row in rows}
        text = {row["label"]: row["text"] for row in rows}
        return Matrix(
            labels=labels,
            texts=[text[label] for label in labels],
            features=[{"label": c, "text": text.get(c, c), "feature": f, "side": s} for c, f, s in columns],
            rates=[[rate[label, column] for column, _, _ in columns] for label in labels],
        )

    def user_names(self) -> dict[tuple[int, str], str]:
        """Names that people gave, by (feature, side)."""
        path = self.path / USER_NAMES
        if not path.is_file():
            return {}
        entries = artifacts.read_json(path)
        return {(int(key[:-1]), key[-1]): str(entry["name"]) for key, entry in entries.items()}

    def set_name(self, feature: int, name: str | None, side: Side = "+", *, author: str | None = None) -> None:
        """Give a feature a name of your own, which wins over the automatic one; None or "" takes it back.

        Raises:
            UnknownNameError: no such feature or side. FreudError: a name that is too long or not one line.
        """
        if (feature, side) not in self._rows:
            raise UnknownNameError(f"feature {feature} side {side!r}: {self.path} has no such feature")
        name = (name or "").strip()
        if len(name) > _LONGEST or not name.isprintable():
            raise FreudError(f"name: expected one line of at most {_LONGEST} characters")
        path = self.path / USER_NAMES
        with _writing:
            entries = artifacts.read_json(path) if path.is_file() else {}
            entries.pop(f"{feature}{side}", None)
            if name:
                entries[f"{feature}{side}"] = {
                    "name": name,
                    "author": author,
                    "time": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            artifacts.write_json(path, entries)

    def _with_user_names(self, rows: pa.Table) -> list[dict[str, Any]]:
        given = self.user_names()
        return [{**row, "user_name": given.get((row["feature"], row["side"]))} for row in rows.to_pylist()]


_SEARCHED = ("user_name", "name", "label")


@dataclass(frozen=True)
class Matrix:
    """Phones x best features: `rates[i][j]` is the share of frames of `labels[i]` on which `features[j]` is active.

    Attributes:
        labels: ids of the rows. texts: how they are shown.
        features: for each column the label it is best for, its text, the feature and its side.
    """

    labels: list[str]
    texts: list[str]
    features: list[dict[str, Any]]
    rates: list[list[float]]


@dataclass(frozen=True)
class LabelPage:
    """Everything known about one label in a result.

    Attributes:
        label: its id. text: how it is shown. kind: of label.
        latent: the best latent of all sites, with `site` and `basis`. neuron: the best neuron.
        best: for each site and basis its best feature, in the order of depth: the curve over depth.
        controls: rows of `controls` with `site` and `basis`.
    """

    label: str
    text: str
    kind: str
    latent: dict[str, Any] | None
    neuron: dict[str, Any] | None
    best: list[dict[str, Any]]
    controls: list[dict[str, Any]]


def read(path: Path | str) -> Names:
    """Open names written by `freud name`.

    Raises:
        FreudError: there are no finished names at `path`.
    """
    return Names(artifacts.read(path, tables.KIND))


def read_all(result: Path | str, out: Path | str | None = None) -> list[Names]:
    """The names of every index of a result of discover, in the order of its sites; none is no error.

    Args:
        result: the folder.
        out: where the names are, if not in `names/` of the result: the `out` that they were made with.
    """
    where = Path(result) / "names" if out is None else Path(out)
    if (where / artifacts.MANIFEST).is_file():  # of a single index
        return [read(where)]
    return [read(path.parent) for path in sorted(where.glob(f"*/*/{artifacts.MANIFEST}"), key=_depth)]


def _depth(path: Path) -> tuple[Any, ...]:
    """Sort sites in the order of the model: numbers as numbers."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in str(path).split("."))


def features_for(result: Path | str | Sequence[Names], label: str, n: int = 10) -> list[dict[str, Any]]:
    """The features named for a label or best at it, over all sites of a result, with `site` and `basis`.

    Raises:
        UnknownNameError: no index of the result has such a label.
    """
    rows = [row for names, row in _each(result, label, lambda names: names.best(label))]
    unique = {(row["site"], row["basis"], row["feature"], row["side"]): row for row in rows}
    return sorted(unique.values(), key=lambda row: -(row["agreement"] or 0.0))[:n]


def label_page(result: Path | str | Sequence[Names], label: str) -> LabelPage:
    """A label's page: best neuron, best latent, best of each site, curve over depth, controls.

    Raises:
        UnknownNameError: no index of the result has such a label.
    """
    pairs = list(_each(result, label, lambda names: names.best(label)))
    curve: dict[tuple[str, str], dict[str, Any]] = {}
    for _, row in pairs:
        key = (row["site"], row["basis"])
        if key not in curve or _score(row) > _score(curve[key]):
            curve[key] = row

    def strongest(basis: str) -> dict[str, Any] | None:
        return max((row for row in curve.values() if row["basis"] == basis), key=_score, default=None)

    first = pairs[0][0]
    facts = next(row for row in first.table("labels").to_pylist() if row["label"] == first.label(label))
    controls = [row for _, row in _each(result, label, lambda names: names.controls(label))]
    return LabelPage(
        facts["label"], facts["text"], facts["kind"], strongest("latents"), strongest("neurons"),
        list(curve.values()), controls,
    )  # fmt: skip


def _score(row: dict[str, Any]) -> float:
    return row["agreement"] or 0.0


def _each(result: Any, label: str, rows: Any) -> Iterator[tuple[Names, dict[str, Any]]]:
    """Rows of every index that knows the label, each with its site and basis."""
    every = read_all(result) if isinstance(result, str | Path) else result
    known = []
    for names in every:
        with contextlib.suppress(UnknownNameError):
            names.label(label)
            known.append(names)
    if not known:
        if every:
            every[0].label(label)  # raises, and says which labels there are
        raise UnknownNameError(f"{result}: has no names yet; run `freud name` on it")
    for names in known:
        for row in rows(names):
            yield names, {"site": names.site, "basis": names.basis, **row}
