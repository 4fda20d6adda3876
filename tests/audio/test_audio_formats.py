"""Every container, sample type, rate and channel count comes out as the same 16 kHz mono tone."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import SECONDS, tone, write_with_ffmpeg

from freud import audio


def strongest(samples: np.ndarray) -> tuple[float, float]:
    """The frequency (Hz) of the strongest component, and the amplitude of a sine this loud."""
    middle = samples[len(samples) // 8 : -len(samples) // 8].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return spectrum.argmax() * audio.SAMPLE_RATE / len(middle), float(np.sqrt(2 * np.mean(middle**2)))


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_wav_of_any_sample_type_is_scaled_to_the_same_amplitude(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000, subtype=subtype)
    samples = audio.load(path)
    assert samples.dtype == np.float32
    coarse = 1 / 64 if subtype in {"PCM_U8", "ULAW"} else 1e-4
    np.testing.assert_allclose(samples, tone(16_000)[:, 0], atol=coarse)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.aiff", "a.opus", "a.au", "a.caf", "a.w64"])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2)])
def test_formats_of_libsndfile(tmp_path, name, rate, channels):
    path = tmp_path / name
    if name.endswith("opus"):
        soundfile.write(path, tone(rate, channels), rate, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, tone(rate, channels), rate)
    check_tone(path, rate, channels, seconds_tolerance=0.0)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.m4a", "aac", 44_100),
        ("a.webm", "libopus", 48_000),
        ("a.mp4", "aac", 48_000),
        ("a.mka", "flac", 22_050),
    ],
)
def test_formats_of_ffmpeg(tmp_path, name, codec, rate):
    path = tmp_path / name
    if codec == "flac":
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout="stereo", format="s16")
            integers = (tone(rate, 2).reshape(1, -1) * 32768).astype(np.int16)  # packed: the other branch
            frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = rate, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        write_with_ffmpeg(path, codec, rate)
    check_tone(path, rate, 2, seconds_tolerance=0.03)  # an AAC stream ends with a whole frame


@pytest.mark.parametrize(("codec", "name"), [("aac", "a.m4a"), ("flac", "a.mka"), ("pcm_s16le", "b.mka")])
def test_eight_channels(tmp_path, codec, name):
    """PyAV's own conversion of eight planes reads memory that is not the frame's."""
    rate, path = 48_000, tmp_path / name
    tones = np.concatenate([tone(rate, hertz=300 + 100 * channel) for channel in range(8)], axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="7.1")
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.codec_context.format.name, "7.1", rate, size)
        integers = np.ascontiguousarray((tones * 32767).astype(np.int16).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="7.1")
        frame.sample_rate, frame.pts = rate, 0
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    assert audio.probe(path).channels == 8
    frequencies = {round(strongest(audio.load(path, channel=channel))[0]) for channel in range(8)}
    expected = {300 + 100 * channel for channel in range(8)}
    assert len(expected & frequencies) >= 7  # AAC keeps only the depth of the fourth, for a subwoofer
    assert len(audio.load(path)) == round(audio.probe(path).duration * 16_000)


def check_tone(path: Path, rate: int, channels: int, seconds_tolerance: float) -> None:
    info = audio.probe(path)
    assert (info.sample_rate, info.channels) == (rate, channels)
    assert info.duration == pytest.approx(SECONDS, abs=seconds_tolerance + 1e-9)
    samples = audio.load(path)
    assert len(samples) == round(info.duration * audio.SAMPLE_RATE)
    hertz, amplitude = strongest(samples)
    assert hertz == pytest.approx(440, abs=1.0)
    assert amplitude == pytest.approx(0.5, rel=0.05)
    np.testing.assert_array_equal(audio.decode(path.read_bytes(), path.name), samples)
    with path.open("rb") as file:
        np.testing.assert_array_equal(audio.decode(file, "an upload"), samples)


def test_mp3_without_a_length_header_is_read_whole(tmp_path):
    soundfile.write(tmp_path / "a.mp3", tone(16_000, seconds=4), 16_000)
    data = (tmp_path / "a.mp3").read_bytes()
    second_frame = data.find(data[:2], 4)
    (tmp_path / "b.mp3").write_bytes(b"ID3\x03\0\0\0\0\x02\x00" + bytes(256) + data[second_frame:])
    assert audio.probe(tmp_path / "b.mp3").duration == pytest.approx(4.0, abs=0.2)
    assert len(audio.load(tmp_path / "b.mp3")) == pytest.approx(4 * 16_000, abs=0.2 * 16_000)


def test_flac_of_unknown_length_is_read_whole(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(16_000), 16_000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # the 36 bits of STREAMINFO that count the samples; a streaming encoder leaves them 0
    data[22:26] = bytes(4)
    (tmp_path / "b.flac").write_bytes(data)
    assert audio.probe(tmp_path / "b.flac").duration == SECONDS
    np.testing.assert_array_equal(audio.load(tmp_path / "b.flac"), audio.load(tmp_path / "a.flac"))


def test_wav_written_to_a_pipe_is_read_whole(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    size = data.find(b"data") + 4
    data[4:8] = data[size : size + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "b.wav").write_bytes(data)
    np.testing.assert_array_equal(audio.load(tmp_path / "b.wav"), audio.load(tmp_path / "a.wav"))


def test_channels_are_averaged(tmp_path):
    channels = np.stack([np.full(1600, level) for level in (0.6, -0.3, 0.0, 0.9, 0.0, 0.0)], axis=1)
    soundfile.write(tmp_path / "six.wav", channels, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.load(tmp_path / "six.wav"), 0.2, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000, 192_000])
def test_a_file_and_an_array_give_the_same_samples(tmp_path, rate):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (rate, 2))
    soundfile.write(tmp_path / "a.wav", samples, rate, subtype="FLOAT")
    from_file = audio.load(tmp_path / "a.wav")
    assert len(from_file) == audio.SAMPLE_RATE
    np.testing.assert_allclose(audio.from_array(samples, rate), from_file, atol=1e-6)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.float16, np.float64])
def test_from_array_scales_every_type(kind):
    levels = np.array([-0.5, 0.0, 0.25], np.float64)
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        half_range = (int(limits.max) + 1) / (2 if limits.min == 0 else 1)
        values = (levels * half_range + (half_range if limits.min == 0 else 0)).astype(kind)
    else:
        values = levels.astype(kind)
    np.testing.assert_allclose(audio.from_array(values, 16_000), levels, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(rate=st.integers(8_000, 100_000), share=st.floats(0.02, 0.9))
def test_resampling_keeps_a_tone_below_the_band_limit(rate, share):
    hertz = share * min(rate, audio.SAMPLE_RATE) / 2
    found, amplitude = strongest(audio.from_array(tone(rate, hertz=hertz), rate))
    assert found == pytest.approx(hertz, abs=1.5)
    assert amplitude == pytest.approx(0.5, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(rate=st.integers(18_000, 100_000), share=st.floats(0.05, 1.0))
def test_resampling_removes_what_would_alias(rate, share):
    hertz = 8_100 + share * (rate / 2 - 8_100)  # between 8.1 kHz and the file's own limit
    _, amplitude = strongest(audio.from_array(tone(rate, hertz=hertz), rate))
    assert amplitude < 0.5e-4  # -80 dB


@pytest.mark.shared
def test_real_recordings_keep_their_length(shared):
    real = shared / "data/real-audio"
    for path in [real / "jfk.flac", *sorted((real / "esc10").glob("*.ogg"))[:5]]:
        assert len(audio.load(path)) == round(audio.probe(path).duration * audio.SAMPLE_RATE)
