"""Collection: the whole pipeline, from files to shards, against the bare encoder prefix it cannot do without.

    python benchmarks/collect.py [--rounds 3] [--clips 48]

Three things take turns on the same clips, batch, dtype and threads, with a Whisper of the size of tiny (random weights:
speed does not depend on them):

- collect: read, resample, log-mel, three of four encoder blocks, valid frames to float16 shards on disk;
- bare prefix: the same three blocks called directly on log-mel input that is already in memory;
- decode: what the published tool does to get the same activations, with the openai-whisper package: the whole encoder,
  detection of the language, and greedy decoding with timestamps, clip by clip. Random weights never end a text by
  themselves, so its length is set to 3.5 tokens a second of audio, which is about what read speech has.
"""

from __future__ import annotations

import argparse
import math
import shutil
import tempfile
from pathlib import Path

import torch

import freud
from common import median_ratio, record, side_by_side, speech
from freud import audio, corpus, models
from freud.corpus import Corpus

SITE = "encoder.blocks.2"
BATCH = 8


def tiny(folder: Path) -> tuple[models.AudioModel, object]:
    """A Whisper of tiny's size with random weights, in our package and in openai-whisper."""
    import whisper

    dims = whisper.model.ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=384, n_audio_head=6, n_audio_layer=4,
        n_vocab=51865, n_text_ctx=448, n_text_state=384, n_text_head=6, n_text_layer=4,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = whisper.model.Whisper(dims).eval()
    torch.save({"dims": dims.__dict__, "model_state_dict": theirs.state_dict()}, folder / "tiny.pt")
    return models.load(str(folder / "tiny.pt")), theirs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=48)
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="freud-bench-"))
    folder = work / "audio"
    folder.mkdir()
    files = sorted(p for p in speech().iterdir() if p.suffix in audio.AUDIO_SUFFIXES)[: arguments.clips]
    for file in files:
        (folder / file.name).symlink_to(file)
    clips = corpus.read(folder)
    model, theirs = tiny(work)

    def collect() -> None:
        freud.collect(model, clips, [SITE], work / "store", batch_size=BATCH, progress=False)
        shutil.rmtree(work / "store")

    prefix = bare_prefix(model, clips)
    seconds = side_by_side(
        {"collect": collect, "prefix": prefix, "decode": lambda: decode(theirs, clips)}, arguments.rounds
    )
    for name, taken in seconds.items():
        print(f"{name}: {', '.join(f'{t:.2f}' for t in taken)} s")
    frames = sum(audio.valid_frames(round(clip.duration * audio.SAMPLE_RATE)) for clip in clips)
    record(
        "collect",
        {
            "clips": len(clips),
            "frames": frames,
            "collect, valid frames/s": frames / min(seconds["collect"]),
            "bare prefix, valid frames/s": frames / min(seconds["prefix"]),
            "collect over bare prefix (target >= 0.85)": 1 / median_ratio(seconds["collect"], seconds["prefix"]),
            "over encoding and decoding every clip (target >= 5)": median_ratio(seconds["decode"], seconds["collect"]),
        },
    )
    shutil.rmtree(work)


def bare_prefix(model: models.AudioModel, clips: Corpus):
    """The encoder's first three blocks, called directly on input that is ready: no hooks, no reading, no writing."""
    samples = [audio.load(clips.audio_path(clip)) for clip in clips]
    mels = [model.log_mel(samples[i : i + BATCH]) for i in range(0, len(samples), BATCH)]
    encoder = model.encoder

    @torch.inference_mode()
    def run() -> None:
        for mel in mels:
            x = torch.nn.functional.gelu(encoder.conv1(mel))
            x = torch.nn.functional.gelu(encoder.conv2(x)).permute(0, 2, 1)
            x = x + encoder.embed_positions.weight
            for block in encoder.layers[:3]:
                x = block(x)

    return run


def decode(theirs, clips: Corpus) -> None:
    """The whole encoder and greedy decoding of every clip, one after the other."""
    import whisper

    for clip in clips:
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio.load(clips.audio_path(clip))))
        length = math.ceil(3.5 * clip.duration) + 2  # and a timestamp at either end
        options = whisper.DecodingOptions(without_timestamps=False, sample_len=length, fp16=False)
        whisper.decode(theirs, mel, options)


if __name__ == "__main__":
    main()
