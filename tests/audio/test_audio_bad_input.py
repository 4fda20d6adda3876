"""Files that are empty, cut, mislabeled, damaged or strange: one line that names the file and the reason."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from sounds import tone, write_with_ffmpeg

from freud import audio
from freud.errors import FreudError


def reason(path) -> str:
    """What `load` says is wrong, without the file's name, after checking that `decode` says the same."""
    with pytest.raises(audio.AudioError) as caught:
        audio.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert isinstance(caught.value, FreudError)
    with pytest.raises(audio.AudioError) as caught:
        audio.decode(path.read_bytes(), "upload")
    assert str(caught.value) == message.replace(str(path), "upload")
    return message.removeprefix(f"{path}: ")


def test_an_empty_file(tmp_path):
    (tmp_path / "a.wav").touch()
    assert reason(tmp_path / "a.wav") == "the file is empty"
    with pytest.raises(audio.AudioError, match="the file is empty"):
        audio.probe(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.flac", "a.m4a", "a.raw", "a"])
def test_text_with_the_name_of_audio(tmp_path, name):
    (tmp_path / name).write_text("hello world\n" * 100)
    assert reason(tmp_path / name).startswith("not audio of a format that can be read")
    with pytest.raises(audio.AudioError, match="not audio"):
        audio.probe(tmp_path / name)


def test_a_playlist_opens_no_other_file(tmp_path):
    write_with_ffmpeg(tmp_path / "secret.mp4", "aac", 48_000)
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'secret.mp4'}'\n")
    assert reason(tmp_path / "list.mp4").startswith("not audio")


@pytest.mark.parametrize("suffix", ["flac", "wav", "aiff", "mp3"])
def test_a_file_that_is_cut_short_says_where(tmp_path, suffix):
    whole, cut = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    soundfile.write(whole, np.random.default_rng(0).uniform(-0.5, 0.5, 7 * 16_000), 16_000)
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.45)])
    message = reason(cut)
    found = message.removeprefix("ends after ").split(" s of 7.0 s: the file is cut short")
    assert found[1:] == [""]
    assert 2.7 <= float(found[0]) <= 3.3
    with pytest.raises(audio.AudioError, match=r"s of 7\.0 s: the file is cut short"):
        audio.probe(cut)
    with pytest.raises(audio.AudioError, match=r"cut short|ends after"):
        audio.load(cut, offset=6.0)


@pytest.mark.parametrize("kind", ["VORBIS", "OPUS"])
def test_an_ogg_file_that_is_cut_short(tmp_path, kind):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 7 * 16_000)
    soundfile.write(tmp_path / "a.ogg", noise, 16_000, format="OGG", subtype=kind)
    data = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "a.ogg").write_bytes(data[: len(data) * 2 // 3])
    assert reason(tmp_path / "a.ogg").endswith("the file is cut short")


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus")])
def test_a_container_that_is_cut_short(tmp_path, name, codec):
    write_with_ffmpeg(tmp_path / name, codec, 48_000, seconds=5)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert reason(tmp_path / name)
    with pytest.raises(audio.AudioError):
        audio.probe(tmp_path / name)


def test_a_video_without_sound(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode(None))
    assert reason(tmp_path / "a.mp4") == "has no audio stream"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(tmp_path, bad):
    samples = np.zeros((25 * 8_000, 2), np.float32)
    samples[16_000, 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, 8_000, subtype="FLOAT")
    assert reason(tmp_path / "a.wav") == "holds samples that are not finite numbers (the first at 2.000 s)"
    with pytest.raises(audio.AudioError, match=r"first at 2\.000 s"):
        audio.load(tmp_path / "a.wav", offset=1.5, duration=1.0)
    assert len(audio.load(tmp_path / "a.wav", offset=3.0)) == 22 * 16_000
    with pytest.raises(audio.AudioError, match=r"array: .*first at 2\.000 s"):
        audio.from_array(samples, 8_000)


@pytest.mark.parametrize("peak", [1.5, 10.0])
def test_floats_that_overshoot_stay_as_they_are(tmp_path, peak):
    samples = peak * tone(16_000)[:, 0] / 0.5
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    np.testing.assert_array_equal(audio.load(tmp_path / "a.wav"), samples.astype(np.float32))
    np.testing.assert_array_equal(audio.from_array(samples, 16_000), samples.astype(np.float32))


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("peak", [128, 32_767, 2**31])
def test_integers_that_were_stored_as_floats_are_refused(tmp_path, subtype, peak):
    samples = peak * tone(16_000)[:, 0] / 0.5
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype=subtype)
    assert "but floats are read as -1 to 1; divide them by 32768" in reason(tmp_path / "a.wav")
    with pytest.raises(audio.AudioError, match="array: holds samples of up to"):
        audio.from_array(samples, 16_000)
    integers = (samples / peak * 32_767).astype(np.int16)
    np.testing.assert_allclose(audio.from_array(integers, 16_000), samples / peak, atol=1e-4)


@pytest.mark.parametrize("rate", [0, 1, 999, 2**31 - 1, 2**32 - 1])
def test_a_sample_rate_that_nothing_has_is_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(data)
    assert reason(tmp_path / "a.wav")
    with pytest.raises(audio.AudioError, match="sample rate"):
        audio.from_array(tone(16_000), rate)


@pytest.mark.parametrize(
    "error", [ValueError("x"), OverflowError(), MemoryError(), RuntimeError("a\nb"), struct.error("y")]
)
def test_whatever_a_decoder_raises_is_an_audio_error(tmp_path, monkeypatch, error):
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    assert reason(tmp_path / "a.wav")


def test_a_flac_of_an_hour_of_silence_is_streamed_in_little_memory(tmp_path):
    """A file of a few kB that decodes to 230 MB."""
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
        minute = np.zeros(60 * 8_000, np.int16)
        for _ in range(60):
            file.write(minute)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    assert sum(map(len, audio.stream(path))) == 3600 * 16_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_a_header_without_samples(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    assert reason(tmp_path / "a.wav")
    with pytest.raises(audio.AudioError):
        audio.probe(tmp_path / "a.wav")


def test_silence_and_a_very_short_clip_are_fine(tmp_path):
    soundfile.write(tmp_path / "silence.flac", np.zeros(16_000), 16_000)
    assert not audio.load(tmp_path / "silence.flac").any()
    soundfile.write(tmp_path / "short.wav", tone(44_100, seconds=0.01), 44_100)
    assert len(audio.load(tmp_path / "short.wav")) == 160
    assert [len(window) for _, window in audio.windows(tmp_path / "short.wav", 480_000)] == [160]


@pytest.mark.parametrize("name", ["with space.wav", "Käse Öl.flac", "日本 %d #1?.wav", "a:b.wav", "-n.wav"])
def test_names_with_spaces_and_umlauts(tmp_path, name):
    soundfile.write(tmp_path / name, tone(16_000), 16_000)
    assert len(audio.load(tmp_path / name)) == 24_000
    write_with_ffmpeg(tmp_path / f"{name}.m4a", "aac", 48_000)
    assert audio.probe(tmp_path / f"{name}.m4a").channels == 2


def test_what_is_not_there_or_not_a_file(tmp_path):
    with pytest.raises(audio.AudioError, match=r"none\.wav: no such file"):
        audio.probe(tmp_path / "none.wav")
    with pytest.raises(audio.AudioError, match="is a directory"):
        audio.load(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
    (tmp_path / "a.wav").chmod(0)
    with pytest.raises(audio.AudioError, match="permission denied"):
        audio.load(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros((2, 16_000)), 16_000, r"shape \[2, 16000\]: expected \[samples\] or \[samples, channels\]"),
        (np.zeros((1, 2, 3)), 16_000, "shape"),
        (np.zeros(0), 16_000, "holds no samples"),
        (np.zeros(5, bool), 16_000, "type bool"),
        (np.zeros(5), 0, "positive sample rate"),
    ],
)
def test_arrays_that_are_not_audio(samples, rate, message):
    with pytest.raises(audio.AudioError, match=message):
        audio.from_array(samples, rate)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff", "a.m4a", "a.webm"])
def test_random_damage_is_an_audio_error_or_readable(tmp_path, name):
    dice = random.Random(name)
    if name.endswith(("m4a", "webm")):
        write_with_ffmpeg(tmp_path / name, "aac" if name.endswith("m4a") else "libopus", 48_000)
    else:
        soundfile.write(tmp_path / name, tone(16_000), 16_000)
    whole = (tmp_path / name).read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 5)):
            data[dice.randrange(len(data) if dice.random() < 0.4 else 200)] = dice.randrange(256)
        (tmp_path / name).write_bytes(data[: dice.choice([len(data), dice.randrange(1, len(data))])])
        results = []
        for read in (audio.probe, audio.load, lambda path: audio.decode(path.read_bytes(), str(path))):
            try:
                results.append(read(tmp_path / name))
            except audio.AudioError as error:
                results.append(str(error))
        _, loaded, decoded = results
        assert type(loaded) is type(decoded)
        assert np.array_equal(loaded, decoded)


def test_importing_freud_audio_imports_neither_torch_nor_ffmpeg():
    code = "import sys, freud.audio; sys.exit(bool({'torch', 'av'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
