"""Which format a label file has, by its suffix and its first line, and reading it."""

from __future__ import annotations

from pathlib import Path

from freud.corpus.tiers.elan import read_elan
from freud.corpus.tiers.intervals import LabelFile, read_text
from freud.corpus.tiers.lines import ctm_rows, is_lab, read_lab, read_timit, timit_transcript
from freud.corpus.tiers.tables import is_timed, read_table
from freud.corpus.tiers.textgrid import read_textgrid

SUFFIXES = frozenset({".txt", ".lab", ".tsv", ".csv", ".textgrid", ".eaf", ".ctm", ".phn", ".wrd"})
_TIMIT = {".phn": "phones", ".wrd": "words"}


def read_labels(
    path: Path,
    tier: str | None = None,
    duration: float | None = None,
    sample_rate: int = 16_000,
    recording: str | None = None,
) -> LabelFile:
    """Read a label file: a transcript, or the intervals of one tier or many.

    Args:
        path: the file.
        tier: the tier's name, if the file's name has one.
        duration: of the recording in seconds, which tells HTK's units of 100 ns from seconds.
        sample_rate: of the recording, for TIMIT's labels, which count samples.
        recording: the recording's name, where a CTM or a table of Raven is about several.

    Raises:
        FreudError: it is malformed; the message says where.
    """
    suffix = path.suffix.lower()
    if suffix == ".textgrid":
        return LabelFile(None, read_textgrid(path), [])
    if suffix == ".eaf":
        return LabelFile(None, read_elan(path), [])
    text = read_text(path)
    if suffix in _TIMIT:
        return LabelFile(None, read_timit(path, text, tier or _TIMIT[suffix], sample_rate), [])
    if suffix == ".ctm":
        rows = list(ctm_rows(path, text.splitlines(), tier))
        several = len({name for name, _, _ in rows}) > 1
        own = [(row, channel) for name, channel, row in rows if not several or name == recording]
        own.sort(key=lambda pair: (pair[0].tier, pair[0].start))
        return LabelFile(None, [row for row, _ in own], [], tuple(channel for _, channel in own))
    if suffix == ".lab" and is_lab(text):
        return LabelFile(None, read_lab(path, text, tier, duration), [])
    if suffix in {".tsv", ".csv"} or (suffix == ".txt" and is_timed(text)):
        return LabelFile(None, read_table(path, text, tier, recording), [])
    if tier is not None:
        return LabelFile(None, [], [])
    said = None if duration is None else timit_transcript(text, duration * sample_rate)
    return LabelFile(said or " ".join(text.split()) or None, [], [])
