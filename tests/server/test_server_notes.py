"""Notes and bookmarks, and the file they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from freud import FreudError, UnknownNameError
from freud.server.notes import Notes
from freud.server.schemas import NewNote

NOTE = {"kind": "note", "view": "#/search?feature=30", "title": "th", "site": "encoder.blocks.2", "basis": "latents"}


def test_notes_are_kept_found_changed_and_removed(make_client):
    client: TestClient = make_client()
    assert client.get("/api/notes").json() == []
    answer = client.post("/api/notes", json={**NOTE, "feature": 30, "text": "fricatives"})
    assert answer.status_code == 201
    first = answer.json()
    assert first["created"] == first["changed"]
    second = client.post("/api/notes", json={**NOTE, "kind": "bookmark", "clip": "abc"}).json()
    assert [note["id"] for note in client.get("/api/notes").json()] == [second["id"], first["id"]]
    assert client.get("/api/notes", params={"feature": 30}).json() == [first]
    assert client.get("/api/notes", params={"clip": "abc", "basis": "latents"}).json() == [second]
    changed = client.put(f"/api/notes/{first['id']}", json={**NOTE, "text": "dental ones"}).json()
    assert (changed["text"], changed["feature"], changed["created"]) == ("dental ones", None, first["created"])
    assert client.delete(f"/api/notes/{first['id']}").status_code == 204
    assert client.delete(f"/api/notes/{first['id']}").status_code == 404
    assert client.put(f"/api/notes/{first['id']}", json=NOTE).status_code == 404
    assert [note["id"] for note in client.get("/api/notes").json()] == [second["id"]]


@pytest.mark.parametrize(
    "change",
    [{"view": "javascript:alert(1)"}, {"view": "https://evil.example"}, {"title": "x" * 201}, {"kind": "other"},
     {"feature": -1}, {"more": 1}, {"text": "x" * 10_001}],
)  # fmt: skip
def test_notes_that_make_no_sense(client: TestClient, change: dict):
    answer = client.post("/api/notes", json={**NOTE, **change})
    assert answer.status_code == 422
    assert next(iter(change)) in answer.json()["detail"]


def test_nothing_is_written_before_there_is_a_note(tmp_path: Path):
    notes = Notes(tmp_path / "notes.sqlite")
    assert notes.find() == []
    assert notes.names("a", "latents") == {}
    with pytest.raises(UnknownNameError):
        notes.remove(1)
    assert list(tmp_path.iterdir()) == []


def test_notes_outlive_the_server(tmp_path: Path):
    notes = Notes(tmp_path / "notes.sqlite")
    kept = notes.add(NewNote(**NOTE))
    notes.set_name("encoder.blocks.2", "latents", 30, "th")
    notes.close()
    again = Notes(tmp_path / "notes.sqlite")
    assert again.find() == [kept]
    assert again.names("encoder.blocks.2", "latents") == {30: "th"}


def test_a_file_that_is_none_of_ours(tmp_path: Path):
    (tmp_path / "notes.sqlite").write_text("not a database, whatever its name says" * 100)
    with pytest.raises(FreudError, match=r"notes\.sqlite: file is not a database; give another file with --notes"):
        Notes(tmp_path / "notes.sqlite").find()
    with pytest.raises(FreudError, match="unable to open database file"):
        Notes(tmp_path / "nowhere" / "notes.sqlite").add(NewNote(**NOTE))
