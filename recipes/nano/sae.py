"""Train the bundled SAE of `encoder.blocks.2` on training speech, and put it where `freud` finds it.

    python recipes/nano/sae.py WORK src/freud/bundled/sae

Run it after `export.py`: it reads the bundled model. The demo clips are not among the speech.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import soundfile

import freud
from freud.saes import Options, TopK

SITE = "encoder.blocks.2"
UTTERANCES = 2400  # about four hours
ARCHITECTURE = TopK(k=16, expansion=16)
OPTIONS = Options(steps=2000, batch_size=2048)


def write_speech(work: Path, folder: Path, longest: float) -> None:
    """Utterances of the first shards that fit the model's window, as FLAC."""
    folder.mkdir(parents=True)
    written = 0
    for index in sorted((work / "speech").glob("*.json")):
        samples = np.load(index.with_suffix(".npy"), mmap_mode="r")
        for number, utterance in enumerate(json.loads(index.read_text())):
            if written == UTTERANCES:
                return
            if utterance["samples"] > 16_000 * longest:
                continue
            first, count = utterance["first"], utterance["samples"]
            soundfile.write(folder / f"{index.stem}-{number:04d}.flac", samples[first : first + count], 16_000)
            written += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    model = freud.models.load("nano")
    here = arguments.work / "sae" / model.fingerprint
    if not (here / "audio").is_dir():
        partial = here / "audio.partial"
        shutil.rmtree(partial, ignore_errors=True)
        write_speech(arguments.work, partial, model.window_samples / 16_000)
        partial.rename(here / "audio")
    corpus = freud.corpus.import_corpus(here / "audio", here / "corpus")
    frames = freud.collect(model, corpus, [SITE], here / "activations")
    sae = freud.train(frames[SITE], ARCHITECTURE, here / "trained", options=OPTIONS)
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    freud.saes.save(sae, arguments.out)
    print(json.dumps(json.loads((here / "trained" / "manifest.json").read_text())["results"], indent=2))


if __name__ == "__main__":
    main()
