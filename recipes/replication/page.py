"""A page of Markdown while it grows: paragraphs, tables with their files beside it, plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
import pyarrow as pa

from freud.naming import tables

matplotlib.use("svg")
from matplotlib import pyplot as plt

plt.rcParams["svg.hashsalt"] = "freud"  # the same figure is the same file


class Point(NamedTuple):
    """One published finding, and what came of it here."""

    published: str
    replicates: Literal["yes", "in part", "no"]
    measured: str


def verdict(yes: bool) -> Literal["yes", "no"]:
    """As a word."""
    return "yes" if yes else "no"


class Report:
    """The page while it grows: paragraphs, tables beside it, plots."""

    def __init__(self, docs: Path) -> None:
        self.docs, self.folder = docs, docs / "replication"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parts: list[str] = []

    def say(self, *text: str) -> None:
        """Add paragraphs."""
        self.parts += text

    def export(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write a table as CSV and Parquet."""
        exported = pa.Table.from_pylist(rows)
        tables.export(exported, self.folder / f"{name}.csv")
        tables.export(exported, self.folder / f"{name}.parquet")

    def table(self, name: str, rows: list[dict[str, Any]], *, show: int = 60, hide: tuple[str, ...] = ()) -> None:
        """Add a table without some of its columns, and export all of it."""
        self.export(name, rows)
        names = [column for column in rows[0] if column not in hide]
        lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_cell(row.get(n)) for n in names) + " |" for row in rows[:show]]
        links = f"[CSV](replication/{name}.csv), [Parquet](replication/{name}.parquet)"
        self.parts += ["\n".join(lines), f"{len(rows)} rows: {links}"]

    def plot(self, name: str, title: str) -> None:
        """Add the current figure."""
        plt.tight_layout()
        plt.savefig(self.folder / f"{name}.svg", metadata={"Date": None})
        plt.close()
        self.parts.append(f"![{title}](replication/{name}.svg)")

    def points(self, points: list[Point], place: int) -> None:
        """Add what came of each finding, as the part with number `place`."""
        lines = ["| published | replicates here | measured |", "|---|---|---|"]
        lines += [f"| {p.published} | {p.replicates} | {p.measured} |" for p in points]
        self.parts.insert(place, "\n".join(lines))

    def write(self) -> None:
        """Write the page."""
        (self.docs / "replication.md").write_text("\n\n".join(self.parts) + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
