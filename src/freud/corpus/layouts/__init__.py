"""The ways in which corpora come arranged on disk: one module each, and a registry.

A layout says whether a folder looks like its own (`matches`) and turns it into a `Plan`: the clips to import,
before any recording has been opened. The first layout that matches is taken; `folder` matches everything.
"""

from __future__ import annotations

from types import ModuleType

from freud.corpus.layouts import (
    audiofolder,
    audioset,
    commonvoice,
    csv,
    esc50,
    folder,
    fsd50k,
    fsdd,
    kaldi,
    lhotse,
    librispeech,
    ljspeech,
    musan,
    speech_commands,
)
from freud.corpus.tree import Source
from freud.errors import FreudError, UnknownNameError

LAYOUTS: dict[str, ModuleType] = {  # in the order in which they are tried
    "csv": csv,
    "kaldi": kaldi,
    "lhotse": lhotse,
    "audioset": audioset,
    "librispeech": librispeech,
    "ljspeech": ljspeech,
    "speech-commands": speech_commands,
    "fsdd": fsdd,
    "esc50": esc50,
    "fsd50k": fsd50k,
    "musan": musan,
    "common-voice": commonvoice,
    "audiofolder": audiofolder,
    "folder": folder,
}


def choose(source: Source, layout: str) -> str:
    """The layout's name: the one given, or for "auto" the first that matches.

    Raises:
        UnknownNameError: there is no such layout.
        FreudError: a file was given that is neither audio nor a table.
    """
    if layout == "auto":
        for name, module in LAYOUTS.items():
            if module.matches(source):
                return name
        expected = "expected a folder, an audio file or a .csv or .tsv table, or a manifest of Lhotse"
        raise FreudError(f"{source.root / (source.file or '')}: {expected}")
    if layout not in LAYOUTS:
        raise UnknownNameError(f"no layout {layout!r}: there are auto, {', '.join(LAYOUTS)}")
    return layout
