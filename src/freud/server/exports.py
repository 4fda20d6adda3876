"""What people take with them: tables as JSON or CSV, and labels as TextGrid, Audacity track or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

from starlette.responses import Response

from freud.corpus import tiers
from freud.corpus.tiers import Interval
from freud.server import pages, schemas
from freud.server.activity import Activity
from freud.server.library import Library
from freud.server.result import IndexedSite
from freud.server.sounds import active_runs

_KINDS = {
    "json": ("application/json", "json"),
    "csv": ("text/csv; charset=utf-8", "csv"),
    "textgrid": ("text/plain; charset=utf-8", "TextGrid"),
    "audacity": ("text/plain; charset=utf-8", "txt"),
}


def feature_table(
    site: IndexedSite,
    library: Library,
    feature: int,
    *,
    format: Literal["json", "csv"],
    what: Literal["clips", "events"],
    n: int,
    min: float | None,
    max: float | None,
    absolute: bool,
) -> Response:
    """The clips of a search, or the strongest events."""
    if what == "clips":
        found = pages.hits(site, library, feature, n=n, min=min, max=max, absolute=absolute)
        rows = [hit.model_dump(exclude={"trace"}) for hit in found.hits]
        columns = [name for name in schemas.Hit.model_fields if name not in {"trace", "tiers"}]
    else:
        rows = [event.model_dump() for event in pages.events(site, library, feature, n=n).events]
        columns = [name for name in schemas.Event.model_fields if name != "tiers"]
    name = f"{site.site}-{site.basis}-{feature}-{what}"
    if format == "json":
        document = {"site": site.site, "basis": site.basis, "feature": feature, "model": site.index.model, what: rows}
        return _file(json.dumps(document, ensure_ascii=False, indent=1), name, "json")
    heard = sorted({tier for row in rows for tier in row["tiers"]})
    lines = [[*(row[column] for column in columns), *(row["tiers"].get(tier) for tier in heard)] for row in rows]
    return _file(_csv([*columns, *heard], lines), name, "csv")


def clip_labels(
    library: Library,
    activity: Activity,
    clip: str,
    site: IndexedSite | None,
    features: Sequence[int],
    format: Literal["textgrid", "audacity", "csv", "json"],
) -> Response:
    """The tiers of a clip, and the events of features on it as tiers of their own."""
    described = library.describe(clip)
    intervals = [Interval(tier.name, i.start, i.end, i.label) for tier in described.tiers for i in tier.intervals]
    if site is not None:
        rate = site.index.frames_per_second
        for feature, trace in zip(features, activity.traces(site, clip, features), strict=True):
            for first, last in active_runs(site, feature, trace):
                peak = f"{max(trace[first:last], key=abs):.4g}"
                end = min(last / rate, described.duration)
                intervals.append(Interval(f"{site.basis[:-1]} {feature}", first / rate, end, peak))
    stem = described.name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    match format:
        case "textgrid":
            text = tiers.textgrid(intervals, described.duration)
        case "audacity":
            text = tiers.audacity(intervals)
        case "csv":
            text = tiers.tier_csv(intervals)
        case "json":
            text = as_json(intervals, described.duration)
    return _file(text, stem, format)


def as_json(intervals: Sequence[Interval], duration: float) -> str:
    """Duration and tiers."""
    tiers: dict[str, list[dict[str, Any]]] = {}
    for each in intervals:
        tiers.setdefault(each.tier, []).append({"start": each.start, "end": each.end, "label": each.label})
    return json.dumps({"duration": duration, "tiers": tiers}, ensure_ascii=False, indent=1)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Comma-separated values; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _file(text: str, stem: str, format: str) -> Response:
    kind, suffix = _KINDS[format]
    disposition = f"attachment; filename*=UTF-8''{quote(f'{stem}.{suffix}', safe='')}"
    return Response(text.encode(), media_type=kind, headers={"Content-Disposition": disposition})
