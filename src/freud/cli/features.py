"""`freud features`: list features with their statistics, show one, or rank those of a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Basis, Json, Maybe, Switch, refuse
from freud.cli.output import print_json, print_table

COLUMNS = ["feature", "name", "density", "clips", "events", "mean", "std", "max", "min", "dead"]


def main(
    result: tyro.conf.Positional[Path],
    site: Maybe[str] = None,
    basis: Maybe[Basis] = None,
    feature: Maybe[int] = None,
    clip: Maybe[str] = None,
    start: Maybe[float] = None,
    end: Maybe[float] = None,
    sort: Maybe[Literal["density", "max", "name", "feature"]] = None,
    top: int = 20,
    dead: Switch = False,
    json: Json = False,
) -> None:
    """List features with their statistics, show one, or rank those of a clip.

    Args:
        result: A folder written by `freud discover` or `freud index`.
        site: The site, where the folder has several.
        basis: Neurons or latents; latents where there are any.
        feature: Show this feature: statistics, histogram and strongest events.
        clip: Rank the features of this clip (by its id) instead.
        start: Start of a span of the clip, seconds.
        end: End of the span.
        sort: Order of the list (default: density).
        top: How many.
        dead: List features that were never active, too.
        json: Print JSON.
    """
    from freud.results import open_index

    if clip is not None:
        refuse("with --clip", feature=feature)
    else:
        refuse("without --clip", start=start, end=end)
    if clip is not None or feature is not None:
        refuse(f"with {'--clip' if clip is not None else '--feature'}", sort=sort, dead=dead)
    index = open_index(result, site, basis)
    if clip is not None:
        found = index.clip_features(clip, top, start=start, end=end)
        if json:
            print_json(found)
        else:
            print_table(["rank", "feature", "value", "time"], [[f.rank, f.feature, f.value, f.time] for f in found])
    elif feature is not None:
        row, events = index.statistics(feature), index.events(feature, top)
        if json:
            print_json({**row, "strongest_events": events})
            return
        print_table(
            ["feature", str(feature)],
            [[key, value] for key, value in row.items() if key not in {"feature", "histogram"}],
        )
        print()
        _print_histogram(row)
        print()
        print_table(
            ["peak", "time", "onset", "offset", "clip"],
            [[e.peak, e.peak_time, e.onset, e.offset, e.name] for e in events],
        )
    else:
        rows = index.table(sort=sort or "density", n=top, dead=dead)
        if json:
            print_json(rows)
        else:
            print_table(COLUMNS, [[row[name] for name in COLUMNS] for row in rows])


def _print_histogram(row: dict) -> None:
    """Sixteen bars, as long as the logarithm of the count."""
    import numpy as np

    counts = np.array(row["histogram"]).reshape(16, -1).sum(1)
    edges = np.linspace(row["histogram_low"], row["histogram_high"], 17)
    bars = np.round(40 * np.log1p(counts) / max(np.log1p(counts.max()), 1e-9)).astype(int)
    for low, count, bar in zip(edges, counts, bars, strict=False):
        print(f"{low:>10.4g}  {'#' * bar} {count}")
