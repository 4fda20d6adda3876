"""Notes, bookmarks and names that people give, in one small SQLite file that can be copied and kept."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freud.errors import FreudError, UnknownNameError
from freud.server import schemas

MOST = 100_000  # notes
_FIELDS = ("kind", "view", "title", "text", "site", "basis", "feature", "clip")
_TABLES = """
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, view TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    site TEXT, basis TEXT, feature INTEGER, clip TEXT, created TEXT NOT NULL, changed TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS notes_of_features ON notes (site, basis, feature);
CREATE TABLE IF NOT EXISTS names (
    site TEXT NOT NULL, basis TEXT NOT NULL, feature INTEGER NOT NULL, name TEXT NOT NULL, changed TEXT NOT NULL,
    PRIMARY KEY (site, basis, feature)
);
"""


class Notes:
    """An open file of notes. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it when something is first written.

        Args:
            path: the file.
        """
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def _open(self, *, write: bool = False) -> Iterator[sqlite3.Connection | None]:
        """The database, inside a transaction; None if there is none and nothing is to be written."""
        with self._lock:
            if self._connection is None:
                if not write and not self.path.is_file():
                    yield None
                    return
                self._connection = self._connect()
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.Error as error:
                raise FreudError(f"{self.path}: {error}; give another file with --notes") from None

    def _connect(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path, check_same_thread=False, timeout=5)
            connection.row_factory = sqlite3.Row
            connection.executescript(_TABLES)
        except sqlite3.Error as error:
            raise FreudError(f"{self.path}: {error}; give another file with --notes") from None
        return connection

    def find(
        self,
        *,
        site: str | None = None,
        basis: str | None = None,
        feature: int | None = None,
        clip: str | None = None,
    ) -> list[schemas.Note]:
        """Notes about something, or all of them, newest first."""
        wanted = {"site": site, "basis": basis, "feature": feature, "clip": clip}
        given = {field: value for field, value in wanted.items() if value is not None}
        where = " AND ".join(f"{field} = ?" for field in given) or "true"
        with self._open() as database:
            if database is None:
                return []
            rows = database.execute(f"SELECT * FROM notes WHERE {where} ORDER BY id DESC", list(given.values()))
            return [schemas.Note(**dict(row)) for row in rows]

    def add(self, note: schemas.NewNote) -> schemas.Note:
        """Keep a note.

        Raises:
            FreudError: there are too many, or the file cannot be written.
        """
        values = _values(note)
        with self._open(write=True) as database:
            assert database is not None
            if database.execute("SELECT count(*) FROM notes").fetchone()[0] >= MOST:
                raise FreudError(f"{self.path}: holds {MOST} notes: remove some first")
            marks = ", ".join("?" * (len(_FIELDS) + 2))
            cursor = database.execute(
                f"INSERT INTO notes ({', '.join(_FIELDS)}, created, changed) VALUES ({marks})",
                [*values, _now(), _now()],
            )
            return _one(database, cursor.lastrowid)

    def change(self, note_id: int, note: schemas.NewNote) -> schemas.Note:
        """Put other content into a note.

        Raises:
            UnknownNameError: there is no such note.
        """
        with self._open() as database:
            if database is not None:
                fields = ", ".join(f"{field} = ?" for field in (*_FIELDS, "changed"))
                database.execute(f"UPDATE notes SET {fields} WHERE id = ?", [*_values(note), _now(), note_id])
            return _one(database, note_id)

    def remove(self, note_id: int) -> None:
        """Throw a note away.

        Raises:
            UnknownNameError: there is no such note.
        """
        with self._open() as database:
            _one(database, note_id)
            assert database is not None
            database.execute("DELETE FROM notes WHERE id = ?", [note_id])

    def names(self, site: str, basis: str) -> dict[int, str]:
        """The names that people gave to features of an index."""
        with self._open() as database:
            if database is None:
                return {}
            rows = database.execute("SELECT feature, name FROM names WHERE site = ? AND basis = ?", [site, basis])
            return {row["feature"]: row["name"] for row in rows}

    def set_name(self, site: str, basis: str, feature: int, name: str | None) -> None:
        """Name a feature; None or "" takes the name back.

        Raises:
            FreudError: it is not one line.
        """
        name = (name or "").strip()
        if not name.isprintable():
            raise FreudError("name: expected one line")
        with self._open(write=True) as database:
            assert database is not None
            key = (site, basis, feature)
            database.execute("DELETE FROM names WHERE site = ? AND basis = ? AND feature = ?", key)
            if name:
                database.execute("INSERT INTO names VALUES (?, ?, ?, ?, ?)", (*key, name, _now()))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _values(note: schemas.NewNote) -> list[Any]:
    return [getattr(note, field) for field in _FIELDS]


def _one(database: sqlite3.Connection | None, note_id: int | None) -> schemas.Note:
    row = database.execute("SELECT * FROM notes WHERE id = ?", [note_id]).fetchone() if database else None
    if row is None:
        raise UnknownNameError(f"there is no note {note_id}; it may have been removed")
    return schemas.Note(**dict(row))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
