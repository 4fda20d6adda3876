"""Tiers of labels in other tools' files: Praat, Audacity, ELAN, Raven, CTM, RTTM, TIMIT, HTK, Festival,
captions and tables.

`read_labels` reads any of them by its suffix and content; `textgrid`, `audacity` and `tier_csv` write text.
Malformed input is a `FreudError` that names the file and the line.
"""

from freud.corpus.tiers.intervals import UNNAMED, Interval, Labeled, LabelFile, open_text, read_text
from freud.corpus.tiers.reading import SUFFIXES, read_labels
from freud.corpus.tiers.textgrid import read_textgrid
from freud.corpus.tiers.writing import audacity, textgrid, tier_csv

__all__ = [
    "SUFFIXES",
    "UNNAMED",
    "Interval",
    "LabelFile",
    "Labeled",
    "audacity",
    "open_text",
    "read_labels",
    "read_text",
    "read_textgrid",
    "textgrid",
    "tier_csv",
]
