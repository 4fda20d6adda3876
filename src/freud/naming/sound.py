"""The `acoustics` of every clip of a corpus, computed once and kept as a folder of its own.

It depends on the recordings alone, so all sites and bases of a result share it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from freud import artifacts
from freud.corpus import Corpus
from freud.errors import FreudError
from freud.naming.acoustics import MEASURES, clip_acoustics

KIND = "sound"
FILE_FRAMES = 500_000  # frames a file: 2.8 hours


def measure(corpus: Corpus, out: Path, *, progress: bool = True) -> Callable[[int], np.ndarray]:
    """Measure every clip and write the result to `out`; a finished folder is opened, an unfinished one resumed.

    Returns:
        a function from the number of a clip to its `acoustics` [frames, 4] float32.
    """
    parameters = {"corpus": corpus.fingerprint, "measures": list(MEASURES)}
    done = artifacts.begin(out, KIND, parameters)
    frames = corpus.table["duration"].to_numpy() * 50
    file = (np.cumsum(frames) // FILE_FRAMES).astype(np.int64)
    if done is None:
        names = []
        with tqdm(total=len(corpus), unit="clip", desc="sound", disable=None if progress else True) as bar:
            for number in np.unique(file):
                names.append(f"sound-{number:05d}.safetensors")
                clips = np.flatnonzero(file == number)
                if not (out / names[-1]).is_file():
                    tensors = {str(clip): _measured(corpus, int(clip), bar) for clip in clips}
                    with artifacts.replacing(out / names[-1]) as temporary:
                        save_file(tensors, temporary)
                else:
                    bar.update(len(clips))
        done = artifacts.finish(out, KIND, parameters, names)
    opened: dict[int, object] = {}

    def read(clip: int) -> np.ndarray:
        number = int(file[clip])
        if number not in opened:
            path = done.file(f"sound-{number:05d}.safetensors")
            opened[number] = safe_open(path, framework="np")  # pyright: ignore[reportArgumentType]
        return opened[number].get_tensor(str(clip))  # pyright: ignore[reportAttributeAccessIssue]

    return read


def _measured(corpus: Corpus, clip: int, bar: tqdm) -> np.ndarray:
    bar.update()
    try:
        return clip_acoustics(corpus, corpus.at(clip))
    except FreudError:  # it has no frames either, or only those before the damage: collect has reported it
        return np.zeros((1, len(MEASURES)), np.float32)
