"""Recordings that people send: every format, every way of being wrong, and the same numbers as from the corpus."""

from __future__ import annotations

import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from served import NEURONS, RESIDUAL, encoded_bytes, floats, wav_bytes
from starlette.testclient import TestClient

from freud import audio
from freud.corpus import Clip, Corpus
from freud.server import uploads
from freud.server.problems import Problem
from freud.server.uploads import Uploads

SPEECH = {"site": RESIDUAL, "basis": "latents"}


def send(client: TestClient, content: bytes, name: str = "me.wav", kind: str = "audio/wav") -> dict:
    answer = client.post("/api/uploads", params={"name": name}, content=content, headers={"Content-Type": kind})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize(("site", "basis"), [(RESIDUAL, "latents"), (RESIDUAL, "neurons"), (NEURONS, "neurons")])
def test_a_clip_gives_the_same_numbers_by_corpus_and_upload(
    client: TestClient, corpus: Corpus, clip: Clip, site: str, basis: str
):
    where = {"site": site, "basis": basis}
    upload = send(client, corpus.audio_path(clip).read_bytes(), "x.flac", "audio/flac")
    assert (upload["sample_rate"], upload["channels"], upload["source"]) == (clip.sample_rate, 1, "upload")
    assert upload["duration"] == clip.duration
    top = [client.get(f"/api/clips/{c}/features", params={**where, "n": 5}).json() for c in (clip.id, upload["id"])]
    assert [f["feature"] for f in top[0]["features"]] == [f["feature"] for f in top[1]["features"]]
    numbers = [f["feature"] for f in top[0]["features"]]
    traces = [
        client.get(f"/api/clips/{c}/traces", params={**where, "feature": numbers}).json()["traces"]
        for c in (clip.id, upload["id"])
    ]
    for stored, sent in zip(*traces, strict=True):
        # Stored as float16; windows of a batch differ from a window alone in the last bits.
        np.testing.assert_allclose(floats(sent["values"]), floats(stored["values"]), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.wav", lambda x: wav_bytes(x, subtype="FLOAT")),
        ("stereo.wav", lambda x: wav_bytes(np.stack([x, x], 1), subtype="FLOAT")),
        ("renamed.mp3", lambda x: wav_bytes(x, subtype="FLOAT")),
        ("no suffix", lambda x: wav_bytes(x, subtype="FLOAT")),
    ],
)
def test_wav_is_heard_exactly(client: TestClient, samples: np.ndarray, name: str, make):
    upload = send(client, make(samples), name)
    heard = client.get(f"/api/clips/{upload['id']}/audio").content
    got, _ = soundfile.read(io.BytesIO(heard), dtype="int16")
    np.testing.assert_array_equal(got, np.clip((samples * 32768).round(), -32768, 32767).astype(np.int16))


@pytest.mark.parametrize(
    ("name", "container", "codec", "rate"),
    [
        ("a.webm", "webm", "libopus", 48000),
        ("a.m4a", "mp4", "aac", 44100),
        ("a.mp3", "mp3", "libmp3lame", 44100),
        ("blob", "webm", "libopus", 48000),
    ],
)
def test_what_browsers_and_phones_record(
    client: TestClient, samples: np.ndarray, name: str, container: str, codec: str, rate: int
):
    import soxr

    content = encoded_bytes(soxr.resample(samples, 16000, rate), rate, container, codec)
    upload = send(client, content, name, f"audio/{container}")
    assert upload["duration"] == pytest.approx(len(samples) / 16000, abs=0.15)
    where = {**SPEECH, "n": 20}
    exact = send(client, wav_bytes(samples, subtype="FLOAT"))
    strongest = [
        {f["feature"] for f in client.get(f"/api/clips/{c['id']}/features", params=where).json()["features"]}
        for c in (upload, exact)
    ]
    assert len(strongest[0] & strongest[1]) >= 12  # of 20: these codecs lose something


def test_eight_kilohertz(client: TestClient, samples: np.ndarray):
    import soxr

    low = soxr.resample(samples, 16000, 8000)
    upload = send(client, wav_bytes(low, 8000, "FLOAT"))
    assert upload["sample_rate"] == 8000
    got, _ = soundfile.read(io.BytesIO(client.get(f"/api/clips/{upload['id']}/audio").content), dtype="float32")
    np.testing.assert_allclose(got, np.clip(audio.from_array(low, 8000), -1, 1), atol=2 / 32768)


def test_an_upload_answers_every_question_about_clips(client: TestClient, samples: np.ndarray):
    upload = send(client, wav_bytes(samples), "../../etc/passwd.wav")
    assert upload["name"] == "passwd.wav"
    at = f"/api/clips/{upload['id']}"
    assert client.get(at).json()["tiers"] == []
    for route in ("/audio", "/mel", "/spectrogram", "/export?format=textgrid"):
        assert client.get(at + route).status_code == 200
    assert client.get(at + "/emphasis", params={**SPEECH, "feature": 1}).status_code == 200
    span = client.get(at + "/features", params={**SPEECH, "start": 0.5, "end": 0.6, "rank": "unusual"}).json()
    assert all(0.5 <= each["time"] <= 0.6 for each in span["features"])
    assert client.delete(f"/api/uploads/{upload['id']}").status_code == 204
    assert client.get(at).status_code == 404
    assert client.delete(f"/api/uploads/{upload['id']}").status_code == 404


def _lying_wav() -> bytes:
    """A header that promises 2 GB, and nothing behind it."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + form + b"data\xf0\xff\xff\x7f"


def _many_channels() -> bytes:
    form = struct.pack("<IHHIIHH", 16, 1, 65535, 16000, 0, 65534, 16)
    return b"RIFF\x00\x10\x00\x00WAVEfmt " + form + b"data\x00\x10\x00\x00" + bytes(4096)


BAD = {
    "text": b"not audio at all, but words\n" * 50,
    "html": b"<!doctype html><script>alert(1)</script>",
    "noise": np.random.default_rng(0).bytes(5000),
    "half a wav header": wav_bytes(np.zeros(100))[:30],
    "lying wav": _lying_wav(),
    "many channels": _many_channels(),
    "cut flac": wav_bytes(np.random.default_rng(0).standard_normal(16000) / 9, format="FLAC")[:9000],
    "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "zip": b"PK\x03\x04" + bytes(200),
    "nan": wav_bytes(np.array([0.1, np.nan, 0.2], np.float32), subtype="FLOAT"),
    "no samples": wav_bytes(np.zeros(0)),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_audio_is_refused_in_a_sentence(client: TestClient, what: str):
    answer = client.post("/api/uploads?name=evil.wav", content=BAD[what], headers={"Content-Type": "audio/wav"})
    assert answer.status_code == 415, answer.text
    detail = answer.json()["detail"]
    assert detail.startswith("evil.wav: ")
    assert "/tmp" not in detail
    assert "upload-" not in detail


def test_an_empty_body(client: TestClient):
    assert client.post("/api/uploads", content=b"").status_code == 422


def test_a_body_of_another_kind(client: TestClient):
    answer = client.post("/api/uploads", content=b"{}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 415


def test_limits_of_size_and_length(make_client):
    client = make_client({"upload_bytes": 50_000, "upload_seconds": 1.0})
    answer = client.post("/api/uploads", content=bytes(50_001))
    assert (answer.status_code, "larger than 0.05 MB" in answer.json()["detail"]) == (413, True)

    def chunks():
        for _ in range(20):
            yield bytes(10_000)

    assert client.post("/api/uploads", content=chunks()).status_code == 413
    answer = client.post("/api/uploads?name=long.wav", content=wav_bytes(np.zeros(16001)))
    assert answer.status_code == 413
    assert answer.json()["detail"] == "long.wav: is longer than 1 s: send a part of it"
    assert client.post("/api/uploads", content=wav_bytes(np.zeros(16000))).status_code == 201
    hours = wav_bytes(np.zeros(16000 * 3600), format="FLAC")[:50_000]  # small on the wire, long when decoded
    assert client.post("/api/uploads", content=hours).status_code in {413, 415}


def test_a_decoder_that_never_ends_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(uploads, "DECODING_SECONDS", 0.05)
    (tmp_path / "x").write_bytes(wav_bytes(np.zeros(100)))
    with pytest.raises(Problem, match="took longer than") as caught:
        uploads.decode_apart(tmp_path / "x", tmp_path / "out", "me.wav", 10)
    assert caught.value.status == 504


@pytest.mark.skipif(os.name == "nt", reason="no resource limits there")
def test_a_decoder_that_wants_too_much_memory_fails_alone(tmp_path: Path):
    code = "from freud.server import decoder; decoder._limit(10**6); bytearray(2 << 30)"
    import subprocess
    import sys

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"MemoryError" in run.stderr


def test_old_uploads_make_room_for_new_ones(tmp_path: Path):
    kept = Uploads(max_seconds=10, kept_clips=2)

    def add(name: str) -> str:
        file = kept.folder / name
        file.write_bytes(wav_bytes(np.full(1000, 0.1)))
        return kept.add(file, name).id

    first, second = add("1"), add("2")
    kept.get(first)  # used again
    third = add("3")
    assert [clip in kept for clip in (first, second, third)] == [True, False, True]
    assert len(list(kept.folder.iterdir())) == 2
    kept.close()
    assert not kept.folder.exists()


def test_old_uploads_go_by_size_too():
    kept = Uploads(max_seconds=10, kept_bytes=4 * 1500)
    for name in ("1", "2"):
        (kept.folder / name).write_bytes(wav_bytes(np.full(1000, 0.1)))
        last = kept.add(kept.folder / name, name).id
    assert [file.name for file in kept.folder.iterdir()] == [f"{last}.f32"]
    kept.close()


def test_many_at_once_are_told_to_wait(make_client, monkeypatch: pytest.MonkeyPatch):
    client = make_client()
    serving = client.app.app.app.state.serving  # type: ignore[attr-defined]
    serving.decoding.waiting = 1
    release, begun = threading.Event(), threading.Event()
    decode = uploads.decode_apart

    def slow(*arguments):
        begun.set()
        release.wait(20)
        return decode(*arguments)

    monkeypatch.setattr(uploads, "decode_apart", slow)
    content = wav_bytes(np.zeros(100))
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/api/uploads", content=content).status_code))
        for _ in range(2)
    ]
    threads[0].start()
    begun.wait(20)
    threads[1].start()
    while serving.decoding.unfinished < 2:
        pass
    refused = client.post("/api/uploads", content=content)
    release.set()
    for thread in threads:
        thread.join()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert "busy" in refused.json()["detail"]
    assert answers == [201, 201]
    assert client.post("/api/uploads", content=content).status_code == 201
