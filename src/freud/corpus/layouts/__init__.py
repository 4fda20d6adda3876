"""The ways in which corpora come arranged on disk: one module each, and a registry.

A layout says whether a folder looks like its own (`matches`) and turns it into a `Plan`: the clips to import,
before any recording has been opened. The first layout that matches is taken; `folder` matches everything.
"""

from __future__ import annotations

from types import ModuleType

from freud.corpus.layouts import audioset, csv, esc50, folder, librispeech
from freud.corpus.tree import Source
from freud.errors import FreudError, UnknownNameError

LAYOUTS: dict[str, ModuleType] = {
    "csv": csv,
    "audioset": audioset,
    "librispeech": librispeech,
    "esc50": esc50,
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
        raise FreudError(
            f"{source.root / (source.file or '')}: expected a folder, an audio file or a .csv or .tsv table"
        )
    if layout not in LAYOUTS:
        raise UnknownNameError(f"no layout {layout!r}: there are auto, {', '.join(LAYOUTS)}")
    return layout
