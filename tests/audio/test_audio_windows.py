"""Streaming in blocks, clips within a file, windows: no way of cutting changes or loses a sample."""

from __future__ import annotations

import tracemalloc
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sounds import write_pcm_with_ffmpeg

from freud import audio

RATE = 44_100


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """25 s of noise at 44.1 kHz: three blocks."""
    path = tmp_path_factory.mktemp("audio") / "noise.flac"
    soundfile.write(path, np.random.default_rng(1).uniform(-0.5, 0.5, 25 * RATE), RATE)
    return path


def test_stream_is_load_in_blocks_of_bounded_length(recording):
    blocks = list(audio.stream(recording))
    assert len(blocks) > 1
    assert all(0 < len(block) <= 11 * audio.SAMPLE_RATE for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), audio.load(recording))
    samples, _ = soundfile.read(recording, dtype="float32")
    np.testing.assert_array_equal(audio.from_array(samples, RATE), audio.load(recording))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(window=st.integers(1, 500_000).filter(lambda n: n > 2_000))
def test_windows_partition_the_clip(recording, window):
    whole = audio.load(recording)
    parts = list(audio.windows(recording, window))
    assert [start for start, _ in parts] == list(range(0, len(whole), window))
    assert all(len(samples) == window for _, samples in parts[:-1])
    assert 0 < len(parts[-1][1]) <= window
    np.testing.assert_array_equal(np.concatenate([samples for _, samples in parts]), whole)


@pytest.mark.parametrize(("samples", "lengths"), [(480_000, [480_000]), (480_001, [480_000, 1]), (479_999, [479_999])])
def test_a_clip_of_exactly_one_window_has_no_empty_second_one(tmp_path, samples, lengths):
    soundfile.write(tmp_path / "a.wav", np.zeros(samples), 16_000)
    assert [len(window) for _, window in audio.windows(tmp_path / "a.wav", 480_000)] == lengths


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus"])
def test_an_offset_gives_the_samples_that_are_there(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, 12 * 16_000)
    kind = {"format": "OGG", "subtype": "OPUS"} if suffix == "opus" else {}
    soundfile.write(path, noise, 16_000, **kind)
    whole = audio.load(path)
    np.testing.assert_array_equal(audio.load(path, offset=10.5, duration=0.75), whole[168_000:180_000])
    np.testing.assert_array_equal(audio.load(path, offset=11.0), whole[176_000:])
    [(start, window)] = audio.windows(path, 480_000, offset=3.0, duration=2.0)
    assert start == 0
    np.testing.assert_array_equal(window, whole[48_000:80_000])


def test_the_rest_of_a_file_never_overruns_it(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_001), 16_000)
    offset = 1.5 / 16_000  # rounds to 2 samples, and the rest, 15 999.5 samples, to 16 000
    assert len(audio.load(tmp_path / "a.wav", offset, 16_001 / 16_000 - offset)) == 15_999


def test_a_clip_beyond_the_end_of_its_file_is_an_error(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    with pytest.raises(audio.AudioError, match=r"a\.wav: ends after 1\.0 s; the clip ends at 3\.0 s"):
        audio.load(tmp_path / "a.wav", offset=0.5, duration=2.5)
    with pytest.raises(audio.AudioError, match=r"a\.wav: ends after 1\.0 s; the clip starts at 2\.0 s"):
        audio.load(tmp_path / "a.wav", offset=2.0)
    with pytest.raises(audio.AudioError, match="times must be positive"):
        audio.load(tmp_path / "a.wav", offset=-1.0)


def test_two_hours_are_streamed_in_little_memory(tmp_path):
    path = tmp_path / "long.wav"
    second = (8000 * np.sin(2 * np.pi * 200 * np.arange(8_000) / 8_000)).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        for _ in range(120):
            file.writeframes(second * 60)
    assert audio.probe(path).duration == 7200
    tracemalloc.start()
    windows, samples = 0, 0
    for start, window in audio.windows(path, 480_000):
        assert start == windows * 480_000
        windows, samples = windows + 1, samples + len(window)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (windows, samples) == (240, 7200 * 16_000)
    assert peak < 20e6  # the whole recording is 461 MB


def test_valid_frames_count_every_frame_begun():
    assert [audio.valid_frames(n) for n in (1, 319, 320, 321, 480_000)] == [1, 1, 1, 2, 1500]


def test_pad_appends_silence_and_refuses_to_cut():
    np.testing.assert_array_equal(audio.pad(np.ones(2, np.float32), 4), np.array([1, 1, 0, 0], np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        audio.pad(np.ones(5, np.float32), 4)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mka"])
def test_one_channel_of_a_file_is_read_alone(tmp_path, suffix):
    left, right = np.random.default_rng(3).uniform(-0.5, 0.5, (2, 3 * 16_000)).astype(np.float32)
    path = tmp_path / f"call.{suffix}"
    if suffix == "mka":
        write_pcm_with_ffmpeg(path, np.stack([left, right]), 16_000)
    else:
        soundfile.write(path, np.stack([left, right], axis=1), 16_000, subtype="PCM_16")
    np.testing.assert_allclose(audio.load(path, channel=0), left, atol=1e-4)
    np.testing.assert_allclose(audio.load(path, channel=1), right, atol=1e-4)
    np.testing.assert_allclose(audio.load(path), (left + right) / 2, atol=1e-4)
    np.testing.assert_array_equal(audio.load(path, 0.5, 1.0, channel=1), audio.load(path, channel=1)[8_000:24_000])
    [(_, window)] = audio.windows(path, 48_000, channel=1)
    np.testing.assert_array_equal(window, audio.load(path, channel=1))
    for channel in (2, -1):
        with pytest.raises(audio.AudioError, match=f"has no channel {channel}: it has 2 channels, counted from 0"):
            audio.load(path, channel=channel)
