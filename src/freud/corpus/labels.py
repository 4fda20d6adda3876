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
from collections.abc import Iterable, Iterator
from typing import Any

from freud.corpus.tiers import Interval
from freud.corpus.tree import composed


class Spool:
    """JSON values by key: `extend` with rows in any order, then `get` those of each key.

    Keys that differ only in how accents are composed are one.
    """

    def __init__(self) -> None:
        handle, path = tempfile.mkstemp(prefix="freud-spool-")
        os.close(handle)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE labels (key TEXT, source INTEGER, rows BLOB); BEGIN"
        )
        self._sources: list[str] = []
        self._claimed: set[str] = set()
        self._indexed = False
        self._close = weakref.finalize(self, _remove, self._database, path)

    def extend(self, rows: Iterable[tuple[str, Any]], source: str = "") -> int:
        """Add rows of (key, value) and return how many; if reading them fails, none of them is kept.

        Args:
            rows: of one table.
            source: the table's name, for `unclaimed`.
        """
        self._sources.append(source)
        try:
            key, buffer, count = "", [], 0
            for name, value in rows:
                count += 1
                if name != key or len(buffer) >= 1000:
                    self._add(key, buffer)
                    key, buffer = name, []
                buffer.append(value)
            self._add(key, buffer)
            return count
        except BaseException:
            self._database.execute("DELETE FROM labels WHERE source = ?", (len(self._sources),))
            raise

    def _add(self, key: str, rows: list[Any]) -> None:
        if rows:
            data = zlib.compress(json.dumps(rows).encode(), 1)
            self._database.execute("INSERT INTO labels VALUES (?, ?, ?)", (composed(key), len(self._sources), data))

    def get(self, *keys: str) -> list[Any]:
        """The values of the first of these keys that has any, in the order in which they came."""
        key = self._key(keys)
        query = "SELECT rows FROM labels WHERE key = ? ORDER BY rowid"
        blobs = self._database.execute(query, (key,)).fetchall()
        return [value for (data,) in blobs for value in json.loads(zlib.decompress(data))]

    def claim(self, *keys: str) -> None:
        """Say that what `get` gives for these keys has been used."""
        if (key := self._key(keys)) is not None:
            self._claimed.add(key)

    def _key(self, keys: Iterable[str]) -> str | None:
        """The first of the keys that has any values."""
        if not self._indexed:
            self._database.execute("CREATE INDEX IF NOT EXISTS by_key ON labels (key)")
            self._indexed = True
        query = "SELECT 1 FROM labels WHERE key = ? LIMIT 1"
        return next((key for key in map(composed, keys) if self._database.execute(query, (key,)).fetchone()), None)

    def unclaimed(self) -> Iterator[tuple[str, list[str]]]:
        """(table, keys) of what nobody has claimed."""
        keys: dict[str, list[str]] = {}
        for key, source in self._database.execute("SELECT DISTINCT key, source FROM labels ORDER BY source, key"):
            if key not in self._claimed:
                keys.setdefault(self._sources[source - 1], []).append(key)
        yield from keys.items()

    def close(self) -> None:
        """Remove the temporary file."""
        self._close()


class Labels(Spool):
    """Intervals by recording, in seconds of its file, with the name of the channel they are about, "" if none."""

    def add(self, rows: Iterable[tuple[str, str, Interval]], source: str) -> int:
        """Add (recording, channel, interval) of one table, as `extend`."""
        return self.extend(((name, (channel, *interval)) for name, channel, interval in rows), source)

    def get(self, *keys: str) -> list[tuple[str, Interval]]:
        """(channel, interval) of the first of these recordings that has any, in the order in which they came."""
        return [(channel, Interval(*interval)) for channel, *interval in super().get(*keys)]


def _remove(database: sqlite3.Connection, path: str) -> None:
    database.close()
    os.unlink(path)
