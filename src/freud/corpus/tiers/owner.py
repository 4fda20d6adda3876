"""Which rows of a file over several recordings are about the one that it lies beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from freud.corpus.tiers.intervals import Interval
from freud.corpus.tree import composed

_Extra = TypeVar("_Extra")


def of_recording(
    rows: Iterable[tuple[str, _Extra, Interval]], recording: str | None, duration: float | None, notes: list[str]
) -> list[tuple[str, _Extra, Interval]]:
    """The rows about a recording; what becomes of the others is added to the notes.

    A file that names a single other recording was made before this one was renamed, and is about it, unless its
    times run beyond it.

    Args:
        rows: (name, path or URL of their recording, or "" where none is said; anything; interval).
        recording: the name without suffix; None: take all rows.
        duration: of the recording in seconds.
        notes: sentences for the report.
    """
    rows = list(rows)
    if recording is None:
        return rows
    own = [row for row in rows if not row[0] or is_named(row[0], recording)]
    others = Counter(row[0] for row in rows if row[0] and not is_named(row[0], recording))
    if not others:
        return own
    count, names = sum(others.values()), ", ".join(list(others)[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    about = f"{count} row{'s are' if count > 1 else ' is'} about {names}{more}"
    last = max(row[2].end for row in rows)
    if len(others) == 1 and len(rows) == count and (duration is None or last <= duration + 1):
        notes.append(f"{about}; taken for this recording, since it has the name of this one")
        return rows
    notes.append(f"{about}, not this recording; left out")
    return own


def is_named(name: str, recording: str) -> bool:
    """Whether a path, a file's name or a URL is that of a recording, given without its suffix."""
    path = PurePosixPath(name.replace("\\", "/"))
    wanted = _plain(recording)
    return wanted in (_plain(name), _plain(path.name), _plain(path.stem))


def _plain(name: str) -> str:
    return composed(name).casefold()
