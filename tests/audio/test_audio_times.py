"""Sound is placed by the times that its container gives: late starts, gaps, jitter, edit lists, several tracks."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import av.stream
import numpy as np
import pytest
from sounds import ONSETS, bursts, encode, onsets

from freud import audio
from freud.audio.containers import TOLERANCE, Container

RATE = 48_000
SOUND = bursts(RATE)
KINDS = {
    "mkv": ("flac", "matroska"),
    "mp4": ("aac", "mp4"),
    "webm": ("libopus", "webm"),
    "mp3.mkv": ("libmp3lame", "matroska"),
}
KINDS |= {"aac.mkv": ("aac", "matroska"), "pcm.mka": ("pcm_s16le", "matroska")}


def read(path: Path, data: bytes) -> tuple[audio.AudioInfo, np.ndarray]:
    path.write_bytes(data)
    info, samples = audio.probe(path), audio.load(path)
    assert len(samples) == round(info.duration * audio.SAMPLE_RATE)
    return info, samples


@pytest.mark.parametrize("suffix", [*KINDS, "mov", "m4a", "wma"])
def test_a_plain_container_begins_with_its_sound(tmp_path, suffix):
    codec, kind = (
        KINDS.get(suffix) or {"mov": ("pcm_s16le", "mov"), "m4a": ("alac", "ipod"), "wma": ("wmav2", "asf")}[suffix]
    )
    info, samples = read(tmp_path / f"a.{suffix}", encode(codec, kind, SOUND))
    assert info.notes == ()
    # FFmpeg writes no delay into WMA, and its first frame is lost.
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.05 if suffix == "wma" else 0.002)


@pytest.mark.parametrize("suffix", [*KINDS, "mov", "wmv"])
def test_a_late_track_starts_late(tmp_path, suffix):
    codec, kind = KINDS.get(suffix) or {"mov": ("pcm_s16le", "mov"), "wmv": ("wmav2", "asf")}[suffix]
    data = encode(codec, kind, SOUND, later=lambda _: 0.8, video_seconds=5)
    info, samples = read(tmp_path / f"a.{suffix}", data)
    assert onsets(samples) == pytest.approx([onset + 0.8 for onset in ONSETS], abs=0.003)
    assert len(info.notes) == 1
    assert info.notes[0].endswith("s into its container: silence stands before it")
    assert not samples[: round(0.7 * 16_000)].any()
    np.testing.assert_allclose(audio.load(tmp_path / f"a.{suffix}", 1.0, 1.5), samples[16_000:40_000], atol=1e-4)
    np.testing.assert_array_equal(audio.decode(data, f"a.{suffix}"), samples)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "pcm.mka"])
def test_a_container_that_starts_as_a_whole_later_counts_from_its_start(tmp_path, suffix):
    info, samples = read(tmp_path / f"a.{suffix}", encode(*KINDS[suffix], SOUND, later=lambda _: 5.0))
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.002)
    assert info.notes == ("its streams start at 5.0 s: times count from there",)


def test_the_empty_edit_of_an_mp4_is_silence(tmp_path):
    _, samples = read(tmp_path / "a.m4a", encode("aac", "mp4", SOUND, later=lambda _: 0.8))
    assert onsets(samples) == pytest.approx([onset + 0.8 for onset in ONSETS], abs=0.003)


def with_edits(data: bytes, *edits: tuple[int, int]) -> bytes:
    """An MP4 whose index is last, with other (duration in ms, first sample of the media) in its edit list."""
    at = data.find(b"elst") - 4
    length = struct.unpack(">I", data[at : at + 4])[0]
    entries = b"".join(struct.pack(">IiI", duration, first, 1 << 16) for duration, first in edits)
    box = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    altered = bytearray(data[:at] + box + data[at + length :])
    for name in (b"moov", b"trak", b"edts"):
        head = data.rfind(name, 0, at + 4) - 4
        altered[head : head + 4] = struct.pack(">I", struct.unpack(">I", data[head : head + 4])[0] + len(box) - length)
    return bytes(altered)


@pytest.mark.parametrize(("codec", "delay"), [("aac", 1024), ("alac", 0), ("libopus", 312)])
def test_edit_lists(tmp_path, codec, delay):
    data = encode(codec, "mp4", SOUND)
    _, samples = read(tmp_path / "a.mp4", with_edits(data, (500, -1), (3000, delay)))
    assert onsets(samples) == pytest.approx([onset + 0.5 for onset in ONSETS], abs=0.003)
    _, samples = read(tmp_path / "a.mp4", with_edits(data, (2400, delay + RATE * 6 // 10)))
    assert onsets(samples)[-2:] == pytest.approx([0.4, 1.6], abs=0.003)
    for several in ([(800, delay), (1000, delay + 96_000)], [(800, delay), (1000, -1), (2200, delay + 38_400)]):
        (tmp_path / "b.mp4").write_bytes(with_edits(data, *several))
        with pytest.raises(audio.AudioError, match="its edit list puts the sound together from several pieces"):
            audio.probe(tmp_path / "b.mp4")


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("gap", [0.04, 0.1, 2.0])
def test_a_gap_becomes_silence(tmp_path, suffix, gap):
    data = encode(*KINDS[suffix], SOUND, later=lambda time: gap if time >= 0.7 else 0.0)
    info, samples = read(tmp_path / f"a.{suffix}", data)
    assert onsets(samples) == pytest.approx([0.5, 1.0 + gap, 2.2 + gap], abs=0.003)
    assert info.duration == pytest.approx(3.0 + gap, abs=0.01)
    [note] = info.notes
    assert note.startswith(f"a gap of {gap:.2f} s at 0.")
    parts = [part for _, part in audio.windows(tmp_path / f"a.{suffix}", 7_001)]
    np.testing.assert_array_equal(np.concatenate(parts), samples)
    np.testing.assert_array_equal(audio.decode(data, "upload"), samples)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp3.mkv", "aac.mkv", "pcm.mka"])
def test_jitter_of_time_stamps_changes_no_sample(tmp_path, suffix):
    dice = np.random.default_rng(0)
    _, plain = read(tmp_path / f"a.{suffix}", encode(*KINDS[suffix], SOUND))
    later = dice.uniform(0, 0.012, 1000)
    data = encode(*KINDS[suffix], SOUND, later=lambda time: later[round(50 * time)] if time else 0.0)
    info, samples = read(tmp_path / f"b.{suffix}", data)
    np.testing.assert_array_equal(samples, plain)
    assert info.notes == ()


def test_the_default_track_is_read_and_the_others_are_told(tmp_path):
    for default in (0, 1):
        file = io.BytesIO()
        with av.open(file, "w", format="matroska") as container:
            tracks = [container.add_stream("flac", rate=RATE, layout="mono", format="s16") for _ in range(2)]
            for number, track in enumerate(tracks):
                track.disposition = av.stream.Disposition(number == default)
            for number, track in enumerate(tracks):
                values = (bursts(RATE, at=(0.3 + number,))[None] * 32767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, 0
                container.mux(track.encode(frame) + track.encode(None))
        info, samples = read(tmp_path / "a.mka", file.getvalue())
        assert onsets(samples) == [0.3 + default]
        assert info.notes == (f"has 2 audio tracks: track {default + 1}, the default, is read",)


# ---- the rule itself, on packets made up here

Packet = tuple[int | None, np.ndarray]


@pytest.fixture
def container(tmp_path) -> Iterator[Container]:
    """A container of one channel at 48 kHz, to place packets in."""
    opened = Container(io.BytesIO(encode("flac", "matroska", SOUND)), "a.mkv")
    yield opened
    opened.close()


def packets(times: np.ndarray, size: int) -> Iterator[Packet]:
    for number, time in enumerate(times):
        yield round(time * RATE), np.full((size, 1), number % 30_000 + 1, np.int16)


def place(container: Container, times: np.ndarray, size: int) -> np.ndarray:
    """Where each packet begins in what comes out, in seconds."""
    samples = np.concatenate(list(container._place(packets(times, size))))[:, 0]
    numbers = np.arange(1, len(times) + 1)
    starts = [int((samples == number).argmax()) for number in numbers]
    return np.array(starts) / RATE


@pytest.mark.parametrize("drift", [100e-6, -1e-3, 3e-3])
def test_a_clock_that_drifts_is_followed_for_an_hour(container, drift):
    """The camera's clock and the sound card's differ; the sound stays within a frame of its time."""
    size = RATE // 5
    times = np.arange(3600 * 5) / 5 * (1 + drift)
    samples_out = np.concatenate(list(container._place(packets(times, size))))
    changes = np.flatnonzero(np.diff(samples_out[:, 0], prepend=0))
    starts = {int(samples_out[index, 0]): index for index in changes[::-1] if samples_out[index, 0]}
    error = [starts[number + 1] / RATE - time for number, time in enumerate(times) if number + 1 in starts]
    assert np.abs(error).max() <= TOLERANCE + size / RATE * abs(drift) * 10 + 0.001
    assert len(error) == len(times)


def test_one_wrong_time_stamp_is_no_gap(container):
    times = np.arange(100) * 0.02
    times[40] += 0.5
    times[60] -= 0.3
    np.testing.assert_allclose(place(container, times, 960), np.arange(100) * 0.02, atol=1e-9)
    assert container.notes == []


def test_rounded_times_leave_no_gaps(container):
    times = np.round(np.arange(2000) * 1024 / RATE, 3)
    np.testing.assert_allclose(place(container, times, 1024), np.arange(2000) * 1024 / RATE, atol=1e-9)


def test_an_overlap_is_cut_so_that_later_sound_is_at_its_time(container):
    times = np.concatenate([np.arange(50) * 0.02, 0.9 + np.arange(50) * 0.02])
    starts = place(container, times, 960)
    np.testing.assert_allclose(starts[60:], times[60:], atol=1e-9)
    assert container.notes == ["an overlap of 0.10 s at 1.0 s is cut"]


def test_times_that_start_over_are_refused(container):
    times = np.concatenate([np.arange(100) * 0.02, np.arange(100) * 0.02])
    with pytest.raises(audio.AudioError, match=r"its time stamps go back by 2\.0 s, at 2\.0 s: .* split it"):
        place(container, times, 960)


def test_an_absurd_gap_is_refused_at_once(container):
    with pytest.raises(audio.AudioError, match="its time stamps jump by"):
        place(container, np.array([0.0, *(1e9 + np.arange(20) * 0.02)]), 960)
