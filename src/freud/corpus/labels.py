"""What one table says of many recordings, kept in a temporary file until their recording comes up.

A CTM or an alignment of a whole corpus has tens of millions of lines; memory holds those of one recording at a time.
The order of the lines does not matter.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import weakref
import zlib
from collections.abc import Iterable
from typing import Any

from freud.corpus.tiers import Interval


class Spool:
    """JSON values by key: `extend` with rows in any order, then `get` those of each key."""

    def __init__(self) -> None:
        handle, path = tempfile.mkstemp(prefix="freud-spool-")
        os.close(handle)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE labels (key TEXT, source INTEGER, rows BLOB); BEGIN"
        )
        self._source = 0
        self._indexed = False
        self._close = weakref.finalize(self, _remove, self._database, path)

    def extend(self, rows: Iterable[tuple[str, Any]]) -> None:
        """Add rows of (key, value); if reading them fails, none of them is kept."""
        self._source += 1
        try:
            key, buffer = "", []
            for name, value in rows:
                if name != key or len(buffer) >= 1000:
                    self._add(key, buffer)
                    key, buffer = name, []
                buffer.append(value)
            self._add(key, buffer)
        except BaseException:
            self._database.execute("DELETE FROM labels WHERE source = ?", (self._source,))
            raise

    def _add(self, key: str, rows: list[Any]) -> None:
        if rows:
            data = zlib.compress(json.dumps(rows).encode(), 1)
            self._database.execute("INSERT INTO labels VALUES (?, ?, ?)", (key, self._source, data))

    def get(self, *keys: str) -> list[Any]:
        """The values of the first of these keys that has any, in the order in which they came."""
        if not self._indexed:
            self._database.execute("CREATE INDEX IF NOT EXISTS by_key ON labels (key)")
            self._indexed = True
        for key in keys:
            found = self._database.execute("SELECT rows FROM labels WHERE key = ? ORDER BY rowid", (key,)).fetchall()
            if found:
                return [value for (data,) in found for value in json.loads(zlib.decompress(data))]
        return []

    def close(self) -> None:
        """Remove the temporary file."""
        self._close()


class Labels(Spool):
    """Intervals by recording, in seconds of its file."""

    def get(self, *keys: str) -> list[Interval]:
        """The intervals of the first of these names that has any, in the order in which they came."""
        return [Interval(*row) for row in super().get(*keys)]


def _remove(database: sqlite3.Connection, path: str) -> None:
    database.close()
    os.unlink(path)
