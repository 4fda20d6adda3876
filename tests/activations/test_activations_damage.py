"""No file of any content ends a batch: damaged ones are read right, or named with a reason."""

from __future__ import annotations

import io
import random
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from freud import audio
from freud.activations import ModelFrames, collect
from freud.corpus import read as read_corpus
from freud.models import AudioModel

SITE = "encoder.blocks.0"
RATE = 16_000
SECONDS = 0.4
# kind and subtype of libsndfile, by suffix
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "nms.wav": ("WAV", "NMS_ADPCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "g721.au": ("AU", "G721_32"),
    "caf": ("CAF", "PCM_16"),
    "alac.caf": ("CAF", "ALAC_16"),
    "sph": ("NIST", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "avr": ("AVR", "PCM_16"),
    "8svx": ("SVX", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
CONTAINERS = {"m4a": ("aac", "ipod"), "webm": ("libopus", "webm"), "mka": ("flac", "matroska"), "wma": ("wmav2", "asf")}


def whole_files() -> dict[str, bytes]:
    """A short sound in every format."""
    samples = np.zeros(round(SECONDS * RATE), np.float32)
    for onset in (0.1, 0.25):
        burst = slice(round(onset * RATE), round((onset + 0.05) * RATE))
        samples[burst] = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(burst.stop - burst.start) / RATE)
    files = {}
    for suffix, (kind, subtype) in FORMATS.items():
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format=kind, subtype=subtype)
        files[suffix] = file.getvalue()
    for suffix, (codec, kind) in CONTAINERS.items():
        file = io.BytesIO()
        with av.open(file, "w", format=kind) as container:
            stream = container.add_stream(codec, rate=48_000, layout="mono")
            stream.bit_rate = 64_000
            resampler = av.AudioResampler(stream.codec_context.format.name, "mono", 48_000)
            frame = av.AudioFrame.from_ndarray(samples[None].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
        files[suffix] = file.getvalue()
    return files


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder of mutated files, the whole ones as they were, and the names of those that were cut."""
    folder, dice = tmp_path_factory.mktemp("damage") / "clips", random.Random(0)
    folder.mkdir()
    cuts = set()
    for suffix, data in whole_files().items():
        (folder / f"whole.{suffix}").write_bytes(data)
        for tenth in range(1, 10):
            name = f"cut {tenth}.{suffix}"
            (folder / name).write_bytes(data[: len(data) * tenth // 10])
            cuts.add(name)
        for number in range(6):  # a byte of the header becomes another, or all ones, or its highest bit flips
            altered, at = bytearray(data), dice.randrange(4, min(100, len(data)))
            altered[at] = dice.choice([dice.randrange(256), 255, 0, altered[at] ^ 0x80])
            (folder / f"flip {number}.{suffix}").write_bytes(altered)
    return folder, cuts


def test_collect_ends_and_names_every_file_that_it_cannot_read(
    nano: AudioModel, damaged: tuple[Path, set[str]], tmp_path: Path
) -> None:
    folder, cuts = damaged
    corpus = read_corpus(folder)
    store = collect(nano, corpus, [SITE], tmp_path / "acts", progress=False)
    refused = {problem["path"] for problem in corpus.problems} | {p["clip"] for p in store.manifest["problems"]}
    used = {clip.name for clip in corpus} - {problem["clip"] for problem in store.manifest["problems"]}
    names = {path.name for path in folder.iterdir()}
    assert used | refused == names
    assert len(names) > 300
    assert {name for name in names if name.startswith("whole")} <= used
    for name in used:
        suffix = name.partition(".")[2]
        samples, whole = audio.load(folder / name), audio.load(folder / f"whole.{suffix}")
        if name in cuts:  # in the tags behind the sound, or not at all
            np.testing.assert_array_equal(samples, whole)
    assert all("\n" not in problem["reason"] for problem in [*corpus.problems, *store.manifest["problems"]])


def test_files_that_go_bad_after_the_import_end_neither_collect_nor_training_on_the_fly(
    nano: AudioModel, damaged: tuple[Path, set[str]], tmp_path: Path
) -> None:
    folder, copies = damaged[0], tmp_path / "clips"
    copies.mkdir()
    suffixes = [*FORMATS, *CONTAINERS]
    for suffix in suffixes:
        (copies / f"a.{suffix}").write_bytes((folder / f"whole.{suffix}").read_bytes())
    corpus = read_corpus(copies)
    assert len(corpus) == len(suffixes)
    dice = random.Random(1)
    for suffix in suffixes:
        data = bytearray((copies / f"a.{suffix}").read_bytes())
        for _ in range(20):
            data[dice.randrange(len(data))] = dice.randrange(256)
        (copies / f"a.{suffix}").write_bytes(data)
    store = collect(nano, corpus, [SITE], tmp_path / "acts", progress=False)
    frames = ModelFrames(nano, corpus, SITE)
    rows = torch.cat([block for block in frames.ordered()])
    assert len(rows) > 0
    assert store.manifest["problems"]
    assert frames.problems
