"""A length in a header is a claim: all of the sound that is there is read, or the file is refused with both numbers."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import ONSETS, bursts, encode, onsets, write_with_libsndfile

from freud import audio

SOUND = bursts(16_000)
PCM = (SOUND * 32767).astype("<i2").tobytes()
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"Lavf60.16.100\0"
ID3 = b"ID3\x03\0\0\0\0\x02\x00" + bytes(256)
ID3_V1 = b"TAG" + b"x" * 125
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8)

# kind and subtype of libsndfile, by suffix; each states the length of its sound
STATED = {
    "wav": ("WAV", "PCM_16"),
    "24.wav": ("WAVEX", "PCM_24"),
    "ulaw.wav": ("WAV", "ULAW"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "nms.wav": ("WAV", "NMS_ADPCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "gsm.w64": ("W64", "GSM610"),
    "aiff": ("AIFF", "PCM_16"),
    "float.aifc": ("AIFF", "FLOAT"),
    "gsm.aiff": ("AIFF", "GSM610"),
    "8svx": ("SVX", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "g721.au": ("AU", "G721_32"),
    "g723.au": ("AU", "G723_24"),
    "caf": ("CAF", "PCM_16"),
    "alac.caf": ("CAF", "ALAC_16"),
    "sph": ("NIST", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "avr": ("AVR", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
# codec and container of FFmpeg, by suffix
CONTAINERS = {
    "m4a": ("aac", "ipod"),
    "mov": ("pcm_s16le", "mov"),
    "alac.m4a": ("alac", "ipod"),
    "opus.mp4": ("libopus", "mp4"),
    "webm": ("libopus", "webm"),
    "mka": ("flac", "matroska"),
    "mp3.mkv": ("libmp3lame", "matroska"),
    "wma": ("wmav2", "asf"),
    "oga": ("flac", "oga"),
    "mp3.wav": ("libmp3lame", "wav"),
    "mp2.wav": ("mp2", "wav"),
    "xing.mp3": ("libmp3lame", "mp3"),
    "fragments.mp4": ("aac", "mp4"),
}


def make(suffix: str) -> bytes:
    """A whole file of three seconds with its bursts."""
    if suffix in STATED:
        return write_with_libsndfile(*STATED[suffix], SOUND)
    options = {"movflags": "frag_keyframe+empty_moov"} if suffix.startswith("fragments") else None
    return encode(*CONTAINERS[suffix], bursts(48_000), options=options)


def read(path: Path, data: bytes) -> tuple[audio.AudioInfo, np.ndarray]:
    """What `probe` and `load` give, after checking that they agree, and that no other way gives other samples."""
    path.write_bytes(data)
    info, samples = audio.probe(path), audio.load(path)
    assert len(samples) == round(info.duration * audio.SAMPLE_RATE)
    return info, samples


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(audio.AudioError) as by_probe:
        audio.probe(path)
    with pytest.raises(audio.AudioError) as by_load:
        audio.load(path)
    assert str(by_probe.value) == str(by_load.value)
    return str(by_load.value).removeprefix(f"{path}: ")


# ---- truncation


@pytest.mark.parametrize("suffix", [*STATED, *CONTAINERS])
def test_a_file_that_is_cut_anywhere_is_never_taken_for_whole(tmp_path, suffix):
    data = make(suffix)
    path = tmp_path / f"a.{suffix}"
    info, whole = read(path, data)
    assert info.duration == pytest.approx(3.0, abs=0.1)
    assert onsets(whole) == pytest.approx(ONSETS, abs=0.07)  # MP3 and WMA have delays that are not stated
    cuts = {len(data) * tenth // 10 for tenth in range(1, 10)} | {len(data) - 7, len(data) - 2, len(data) * 99 // 100}
    for cut in sorted(cuts):
        message = refusal(path, data[:cut])
        assert "the file is cut short" in message, (cut, message)


@pytest.mark.parametrize("suffix", ["w64", "caf", "au", "rf64", "sph", "voc", "avr", "g721.au", "8svx", "24.wav"])
def test_a_cut_file_says_how_much_is_left(tmp_path, suffix):
    data = make(suffix)
    message = refusal(tmp_path / f"a.{suffix}", data[: len(data) // 2])
    present, stated = (float(word) for word in message.split() if word[0].isdigit())
    assert (present, stated) == (pytest.approx(1.5, abs=0.11), pytest.approx(3.0, abs=0.06))


@pytest.mark.parametrize("kind", ["mp3", "adts", "mp2"])
def test_a_bare_stream_that_is_cut_within_a_frame_is_refused(tmp_path, kind):
    codec = {"mp3": "libmp3lame", "adts": "aac", "mp2": "mp2"}[kind]
    data = encode(codec, kind, bursts(48_000), options={"write_xing": "0"} if kind == "mp3" else None)
    path = tmp_path / f"a.{kind}"
    read(path, data)
    assert "the file is cut short" in refusal(path, data[:-30])


# ---- lengths that mean nothing


def wav(length: int, sound: bytes = PCM, *, order: str = "<", behind: bytes = b"") -> bytes:
    riff = (length + 36) & 0xFFFF_FFFF
    head = struct.pack(order + "I4s4sIHHIIHH", riff, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    return (b"RIFF" if order == "<" else b"RIFX") + head + b"data" + struct.pack(order + "I", length) + sound + behind


OPEN = [0, 0x7FFF_F000, 0x7FFF_F000 // 6 * 6, 0x7FFF_F000 - 36, 0x7FFF_FFFF, 0x7FFF_FFFF - 36, 0x8000_0000]
OPEN += [0xFFFF_FFFF, 0xFFFF_FFFF - 36, 0xFFFF_F000]


@pytest.mark.parametrize("length", OPEN)
@pytest.mark.parametrize("behind", [b"", LIST, b"id3 " + struct.pack("<I", 266) + ID3 + LIST])
def test_a_wav_from_a_pipe_ends_with_its_sound(tmp_path, length, behind):
    for order in "<>":
        sound = PCM if order == "<" else np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
        tail = behind if order == "<" else b""
        _, samples = read(tmp_path / "a.wav", wav(length, sound, order=order, behind=tail))
        np.testing.assert_array_equal(samples, np.frombuffer(PCM, "<i2").astype(np.float32) / 32768)


@settings(max_examples=40, deadline=None)
@given(
    length=st.sampled_from(OPEN),
    count=st.integers(1, 4000),
    chunks=st.lists(
        st.tuples(st.sampled_from([b"LIST", b"bext", b"iXML", b"cue "]), st.binary(max_size=99)), max_size=3
    ),
)
def test_what_stands_behind_a_sound_of_open_length_is_never_heard(tmp_path_factory, length, count, chunks):
    behind = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1) for name, data in chunks)
    path = tmp_path_factory.mktemp("open") / "a.wav"
    path.write_bytes(wav(length, PCM[: 2 * count], behind=behind))
    assert len(audio.load(path)) == count


def patch(data: bytes, at: int, pack: str, value: int) -> bytes:
    return data[:at] + struct.pack(pack, value) + data[at + struct.calcsize(pack) :]


def open_lengths() -> dict[str, bytes]:
    """Files of other containers with a length that means "until the end"."""
    files = {}
    au, caf, w64, rf64, aiff = (make(suffix) for suffix in ("au", "caf", "w64", "rf64", "aiff"))
    for value in (0, 0x7FFF_FFFF, 0xFFFF_FFFF):
        files[f"{value:x}.au"] = patch(au, 8, ">I", value)
    for value in (-1, 0, 2**63 - 1):
        files[f"{value:x}.caf"] = patch(caf, caf.rfind(b"data", 0, 5000) + 4, ">q", value)
        files[f"{value:x}.w64"] = patch(w64, w64.find(b"data") + 16, "<q", value)
        files[f"{value:x}.rf64"] = patch(rf64, rf64.find(b"ds64") + 16, "<q", value)
    count, length = aiff.find(b"COMM") + 10, aiff.find(b"SSND") + 4
    for value in (0, 0x7F00_0000, 0xFFFF_FFFF):
        files[f"{value:x}.aiff"] = patch(patch(aiff, count, ">I", value // 2), length, ">I", value)
    files["count.aiff"] = patch(aiff, count, ">I", 0)
    sphere = make("sph")
    files["none.sph"] = sphere.replace(b"sample_count -i 48000", b"samples_cnt  -i 48000")
    files["bw64.wav"] = b"BW64" + rf64[4:]
    flac = make("flac")
    files["streamed.flac"] = patch(patch(flac, 21, "B", flac[21] & 0xF0), 22, ">I", 0)
    return files


@pytest.mark.parametrize("name", open_lengths())
def test_an_open_length_in_any_container_means_until_the_end(tmp_path, name):
    info, samples = read(tmp_path / name, open_lengths()[name])
    assert (len(samples), info.notes) == (48_000, ())
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.001)


# ---- lengths that are too small


def too_small() -> dict[str, bytes]:
    files = {"a.wav": patch(make("wav"), 40, "<I", 20_000)}
    au, caf, w64, rf64 = (make(suffix) for suffix in ("au", "caf", "w64", "rf64"))
    files["a.au"] = patch(au, 8, ">I", 20_000)
    files["a.caf"] = patch(caf, caf.rfind(b"data", 0, 5000) + 4, ">q", 20_004)
    files["a.w64"] = patch(w64, w64.find(b"data") + 16, "<q", 20_024)
    files["a.rf64"] = patch(rf64, rf64.find(b"ds64") + 16, "<q", 20_000)
    files["a.sph"] = make("sph").replace(b"sample_count -i 48000", b"sample_count -i 10000")
    for suffix in ("w64", "voc", "aiff", "caf", "au", "sph", "avr"):
        files[f"twice.{suffix}"] = make(suffix) * 2
    return files


@pytest.mark.parametrize("name", too_small())
def test_sound_behind_the_stated_end_is_refused_with_both_lengths(tmp_path, name):
    message = refusal(tmp_path / name, too_small()[name])
    stated, present = (3.0, 6.0) if name.startswith("twice") else (0.625, 3.0)
    numbers = [float(word) for word in message.split() if word[0].isdigit()]
    assert numbers == [pytest.approx(stated, abs=0.01), pytest.approx(present, abs=0.2)]


@pytest.mark.parametrize("behind", [ID3_V1, APE, ID3, bytes(3000)])
def test_tags_and_padding_behind_a_wav_are_no_sound(tmp_path, behind):
    info, samples = read(tmp_path / "a.wav", make("wav") + behind)
    assert (len(samples), info.notes) == (48_000, ())


def test_a_few_stray_bytes_behind_a_wav_are_noted(tmp_path):
    info, samples = read(tmp_path / "a.wav", make("wav") + b"\1\2" * 100)
    assert len(samples) == 48_000
    assert info.notes == ("200 bytes behind its sound are left out",)


def test_a_wav_whose_last_chunk_is_cut_is_whole_in_sound(tmp_path):
    info, samples = read(tmp_path / "a.wav", make("wav") + LIST[:20])
    assert len(samples) == 48_000
    assert info.notes == ("its last chunk is cut; its sound is whole",)


def test_a_flac_whose_header_counts_too_few_is_read_whole(tmp_path):
    flac = make("flac")
    info, samples = read(tmp_path / "a.flac", patch(patch(flac, 21, "B", flac[21] & 0xF0), 22, ">I", 20_000))
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.001)
    assert info.notes == ("its header says 1.25 s; 3.00 s are there",)
    message = refusal(tmp_path / "a.flac", patch(patch(flac, 21, "B", flac[21] & 0xF0), 22, ">I", 90_000))
    assert message.startswith("ends after 3.0 s of 5.6 s")


# ---- several files in one

TWICE = [*ONSETS, *(3.0 + onset for onset in ONSETS)]


def joined() -> dict[str, bytes]:
    mp3 = make("xing.mp3")
    files = {f"twice.{suffix}": make(suffix) * 2 for suffix in ("wav", "mp2.wav", "flac", "ogg", "opus", "oga", "mp3")}
    files["tags.mp3"] = ID3 + mp3 + ID3_V1 + ID3 + mp3 + APE + ID3_V1
    files["two data chunks.wav"] = wav(len(PCM), PCM + b"data" + struct.pack("<I", len(PCM)) + PCM)
    other = {"options": {"write_xing": "0"}}
    files["second untagged.mp3"] = mp3 + encode("libmp3lame", "mp3", bursts(48_000), **other)
    files["untagged.mp3"] = encode("libmp3lame", "mp3", bursts(48_000), **other) * 2
    files["a.aac"] = encode("aac", "adts", bursts(48_000)) * 2
    files["a.mp2"] = encode("mp2", "mp2", bursts(48_000)) * 2
    return files


@pytest.mark.parametrize("name", joined())
def test_files_that_were_joined_are_read_to_the_end(tmp_path, name):
    info, samples = read(tmp_path / name, joined()[name])
    bare = name in {"second untagged.mp3", "untagged.mp3", "a.aac", "a.mp2"}  # nothing states their delay
    assert onsets(samples) == pytest.approx(TWICE, abs=0.06 if bare else 0.012)
    assert info.duration == pytest.approx(6.0, abs=0.1 if bare else 0.001)
    np.testing.assert_array_equal(audio.decode(joined()[name], name), samples)
    # The resampling filter starts anew at the cut, so that the last bits differ.
    np.testing.assert_allclose(audio.load(tmp_path / name, 3.25, 1.5), samples[52_000:76_000], atol=1e-5)


def test_joined_files_of_another_rate_or_other_channels_are_refused(tmp_path):
    slow = encode("libmp3lame", "mp3", SOUND, 16_000)
    stereo = encode("libmp3lame", "mp3", bursts(48_000), layout="stereo")
    for other in (slow, stereo):
        assert "number 2 has another sample rate or other channels" in refusal(
            tmp_path / "a.mp3", make("xing.mp3") + other
        )
    ogg = write_with_libsndfile("OGG", "VORBIS", bursts(48_000), 48_000)
    assert "number 2 has another sample rate" in refusal(tmp_path / "a.ogg", make("ogg") + ogg)


@pytest.mark.parametrize("suffix", ["m4a", "webm", "mka", "fragments.mp4"])
def test_containers_that_were_joined_are_refused(tmp_path, suffix):
    assert "is 2 files one behind the other" in refusal(tmp_path / f"a.{suffix}", make(suffix) * 2)


# ---- MPEG audio


@pytest.mark.parametrize("error", [-20, -1, 1, 20])
def test_an_mp3_whose_tag_counts_wrongly_is_read_whole(tmp_path, error):
    mp3 = make("xing.mp3")
    at = mp3.find(b"Info") + 8
    _, plain = read(tmp_path / "a.mp3", mp3)
    _, samples = read(tmp_path / "b.mp3", patch(mp3, at, ">I", struct.unpack(">I", mp3[at : at + 4])[0] + error))
    np.testing.assert_array_equal(samples, plain)


def test_an_mp3_whose_tag_has_no_count_is_read_whole(tmp_path):
    mp3 = make("xing.mp3")
    at = mp3.find(b"Info") + 7
    _, samples = read(tmp_path / "a.mp3", patch(mp3, at, "B", mp3[at] & 0xFE))
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.07)


def test_bytes_that_are_no_mp3_are_left_out_and_counted(tmp_path):
    mp3 = make("xing.mp3")
    _, plain = read(tmp_path / "a.mp3", mp3)
    for data, count in ((b"\0\x12junk" * 50 + mp3, 300), (mp3 + b"junk" * 40, 160)):
        info, samples = read(tmp_path / "b.mp3", data)
        np.testing.assert_array_equal(samples, plain)
        assert info.notes == (f"{count} bytes in it are no MPEG audio, and are left out",)


def test_readers_print_nothing(tmp_path):
    mp3 = make("xing.mp3")
    files = {"cat": mp3 * 2, "cut": mp3[: len(mp3) // 2], "padded": mp3 + bytes(5000), "tagged": mp3 + APE + ID3_V1}
    for name, data in files.items():
        (tmp_path / f"{name}.mp3").write_bytes(data)
    code = (
        "import sys\nfrom freud import audio\nfor path in sys.argv[1:]:\n"
        "    try: audio.probe(path), audio.load(path)\n    except audio.AudioError: pass"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    result = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")


# ---- Ogg


def test_a_damaged_or_lost_ogg_page_becomes_silence_of_its_length(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 6 * 16_000).astype(np.float32)
    data = write_with_libsndfile("OGG", "OPUS", noise)
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    _, whole = read(tmp_path / "a.opus", data)
    damaged = patch(data, pages[4] + 200, "B", data[pages[4] + 200] ^ 0xFF)
    for altered in (data[: pages[4]] + data[pages[5] :], damaged):
        info, samples = read(tmp_path / "b.opus", altered)
        assert len(samples) == len(whole)
        assert "a gap of 1.00 s at 2.0 s is filled with silence" in info.notes
        assert not np.abs(samples[33_000:47_000]).max() > 1e-3
        for part in (slice(0, 31_000), slice(50_000, 96_000)):  # in place: it correlates with what was there
            assert np.corrcoef(samples[part], whole[part])[0, 1] > 0.9


# ---- codecs in which libsndfile cannot seek


@pytest.mark.parametrize("suffix", ["gsm.wav", "gsm.aiff", "gsm.w64", "g721.au", "g723.au", "nms.wav"])
def test_codecs_that_cannot_seek(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    info, samples = read(path, make(suffix))
    assert info.duration == 3.0
    assert onsets(samples) == pytest.approx(ONSETS, abs=0.002)
    np.testing.assert_array_equal(audio.load(path, 1.0, 1.5), samples[16_000:40_000])
    np.testing.assert_array_equal(audio.decode(path.read_bytes(), "call"), samples)


def test_gsm_of_an_odd_number_of_bytes_has_no_block_too_many(tmp_path):
    soundfile.write(tmp_path / "a.wav", bursts(8_000), 8_000, format="WAV", subtype="GSM610")
    assert audio.probe(tmp_path / "a.wav").duration == 3.0  # libsndfile: 3.04 s, the last 0.04 s noise


# ---- what is made by hand, because no writer is at hand


def amr(frames: int) -> bytes:
    """AMR at 12.2 kbit/s: frames of 20 ms whose content is chance."""
    content = np.random.default_rng(0).integers(0, 256, (frames, 31), np.uint8)
    return b"#!AMR\n" + b"".join(b"\x3c" + row.tobytes() for row in content)


def test_amr_files_that_were_joined_or_cut(tmp_path):
    path = tmp_path / "a.amr"
    assert read(path, amr(100))[0].duration == 2.0
    info, _ = read(path, amr(100) + amr(50))
    assert info.duration == 3.0
    assert info.notes == ("is 2 AMR files one behind the other: all are read",)
    assert refusal(path, amr(100)[:-5]) == "ends after 2.0 s: the file is cut short"


@pytest.mark.parametrize("lengths", [(3, 3), (1, 3), (3, 1), (2, 2, 2)])
def test_flac_files_that_were_joined(tmp_path, lengths):
    dice = np.random.default_rng(0)
    parts = [write_with_libsndfile("FLAC", "PCM_16", dice.normal(0, 0.1, 16_000 * seconds)) for seconds in lengths]
    quiet = write_with_libsndfile("FLAC", "PCM_16", np.zeros(16_000 * lengths[0]))
    assert read(tmp_path / "a.flac", b"".join(parts))[0].duration == sum(lengths)
    assert read(tmp_path / "b.flac", parts[0] + quiet)[0].duration == 2 * lengths[0]


@pytest.mark.parametrize("suffix", ["m4a", "webm", "mka", "wma", "fragments.mp4"])
@pytest.mark.parametrize("behind", [bytes(1000), b"\x01junk" * 40])
def test_what_stands_behind_a_container_makes_it_no_cut_file(tmp_path, suffix, behind):
    _, plain = read(tmp_path / f"a.{suffix}", make(suffix))
    _, samples = read(tmp_path / f"b.{suffix}", make(suffix) + behind)
    np.testing.assert_array_equal(samples, plain)


def test_sphere_counts_are_compared(tmp_path):
    sphere = make("sph").replace(b"sample_count -i 48000", b"sample_count -i 96000")
    assert refusal(tmp_path / "a.sph", sphere) == "ends after 3.0 s of 6.0 s: the file is cut short"


def test_voc_blocks_are_joined_and_silence_blocks_refused(tmp_path):
    rate, levels = 8_000, (128 + 100 * bursts(8_000)).astype(np.uint8).tobytes()
    first = struct.pack("<I", 12 + len(levels))[:3] + struct.pack("<IBBHI", rate, 8, 1, 0, 0) + levels
    more = b"\x02" + struct.pack("<I", len(levels))[:3] + levels
    head = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x114, 0x111F)
    _, samples = read(tmp_path / "a.voc", head + b"\x09" + first + more + b"\0")
    assert onsets(samples) == pytest.approx(TWICE, abs=0.002)
    silence = b"\x03" + struct.pack("<I", 3)[:3] + struct.pack("<HB", 8_000, 131)
    assert "blocks of silence or repeats" in refusal(tmp_path / "b.voc", head + b"\x09" + first + silence + b"\0")


def test_an_aiff_whose_count_and_chunk_disagree_is_read_to_the_end_or_refused(tmp_path):
    aiff = make("aiff")
    at = aiff.find(b"COMM") + 10
    assert read(tmp_path / "a.aiff", patch(aiff, at, ">I", 20_000))[0].duration == 3.0
    assert refusal(tmp_path / "b.aiff", patch(aiff, at, ">I", 96_000)).startswith("ends after 3.0 s of 6.0 s")
