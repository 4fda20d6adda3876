"""Which format a label file has, by its suffix and its content, and reading it."""

from __future__ import annotations

import math
import re
from pathlib import Path

from freud.corpus.tiers.captions import read_captions
from freud.corpus.tiers.elan import read_elan
from freud.corpus.tiers.intervals import LabelFile, fail, read_text
from freud.corpus.tiers.lines import is_festival, read_ctm, read_lab, read_rttm, read_timit, timit_transcript
from freud.corpus.tiers.records import split_lines
from freud.corpus.tiers.tables import has_header, is_header, read_table
from freud.corpus.tiers.textgrid import read_textgrid
from freud.corpus.tiers.times import is_time, starts_with_times

_TIMIT = {".phn": "phones", ".wrd": "words"}
_CAPTIONS = frozenset({".srt", ".vtt"})
_TEXTS = frozenset({".txt", ".lab"})  # labels or a transcript
SUFFIXES = frozenset({*_TEXTS, *_TIMIT, *_CAPTIONS, ".tsv", ".csv", ".textgrid", ".eaf", ".ctm", ".rttm"})
# What stands before .txt in the names of transcripts: LibriTTS has a.normalized.txt and a.original.txt.
_TRANSCRIPTS = frozenset({"normalized", "original", "transcript", "transcription", "trans"})


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
        duration: of the recording in seconds, which tells units and origins where the file does not.
        sample_rate: of the recording, for TIMIT's labels, which count samples.
        recording: the recording's name without suffix, where a file is about several.

    Raises:
        FreudError: it is malformed; the message says where.
    """
    suffix = path.suffix.lower()
    if suffix == ".textgrid":
        return read_textgrid(path, duration)
    if suffix == ".eaf":
        return read_elan(path, recording)
    text = read_text(path)
    if suffix in _TIMIT:
        return read_timit(path, text, tier or _TIMIT[suffix], sample_rate, duration)
    if suffix == ".ctm":
        return read_ctm(path, text, tier, recording, duration)
    if suffix == ".rttm":
        return read_rttm(path, text, tier, recording, duration)
    if suffix in _CAPTIONS:
        return read_captions(path, text, tier)
    if suffix not in _TEXTS:
        return read_table(path, text, tier, recording, duration)
    if suffix == ".txt" and tier is None and (words := timit_transcript(text, sample_rate, duration)):
        return LabelFile(words[0], [], words[1])
    if re.search(r"^[ \t]*[0-9:.,]+[ \t]*-->", text, re.MULTILINE):
        return read_captions(path, text, tier)
    if suffix == ".lab" and (is_festival(text) or _holds_times(path, text, duration)):
        return read_lab(path, text, tier, recording, duration)
    if suffix == ".txt" and (has_header(text) or _holds_times(path, text, duration)):
        return read_table(path, text, tier, recording, duration)
    if "\0" in text:
        line = next(number for number, line in enumerate(split_lines(text), 1) if "\0" in line)
        fail(path, line, "holds a NUL byte, so it is not text as it was written")
    if tier is not None and tier.lower() not in _TRANSCRIPTS:
        problem = "no line of it starts with two times; a transcript has the name of its recording and nothing more"
        return LabelFile(None, [], [problem] if text.strip() else [])
    return LabelFile(" ".join(text.split()) or None, [], [])


def _holds_times(path: Path, text: str, duration: float | None) -> bool:
    """Whether a text holds labels and not a transcript.

    Lines with tabs, decimals or colons in their times are labels, and in a .lab those with two long numbers, HTK's
    units. Whole numbers divided by blanks may also be words ("2 3 go"): several such lines are labels; one alone is a
    transcript if it cannot be times of the recording.

    Raises:
        FreudError: it can be either.
    """
    lines = [line for line in split_lines(text) if line.strip()]
    is_lab = path.suffix.lower() == ".lab"
    if is_lab and (text.startswith("#!MLF!#") or any(len(_HTK.findall(line)) > 1 for line in lines)):
        return True
    timed = [line for line in lines if starts_with_times(line) or _has_time_columns(line)]
    if any("\t" in line or ":" in line or _DECIMAL.search(line) for line in timed):
        return True
    if len(timed) > 1 and 2 * len(timed) >= len(lines):
        return True
    if timed and is_header(lines[0].split()):
        return True
    if len(lines) > 1 and all(_MOVED_TIMES.search(line) for line in lines):
        return True
    is_numbers = bool(re.search("[0-9]", text)) and not re.search(r"[^\s0-9.,]", text)
    if is_numbers and re.search(r"[.,]|[0-9]{4}" if is_lab else r"[.,]", text):
        fail(path, 1, "numbers without a text are neither labels, start<TAB>end<TAB>label, nor a transcript")
    if len(lines) > 1 or not timed:
        return False
    start, end, *_ = (float(number) for number in re.findall(r"[0-9]+", lines[0]))
    if is_lab and end >= 10_000 and start <= end and end * 1e-7 <= (duration or math.inf) + 1:
        return True
    longest = (duration if duration is not None else end) + 1
    if start <= end <= longest or (start + _SHORTEST <= end <= 1000 * longest):
        advice = "for labels put tabs between start, end and label; for a transcript write the numbers out"
        fail(path, 1, f"starts with two numbers that may be times or words; {advice}")
    return False


def _has_time_columns(line: str) -> bool:
    """Whether a line has tabs and two times between them, or a time with decimals first."""
    fields = line.split("\t")
    return sum(map(is_time, fields)) > 1 or (len(fields) > 1 and _DECIMAL.fullmatch(fields[0].strip()) is not None)


_SHORTEST = 10  # milliseconds of a label; 1984 1985 are years
_HTK = re.compile(r"\b[0-9]{5,}\b")  # a time of HTK beyond 1 ms
# A number with decimals or an exponent, and not one with thousands such as 1,000.
_FRACTION = r"(?![1-9][0-9]{0,2},[0-9]{3}(?![0-9]))[-+]?(?:[0-9]*[.,][0-9]+(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
_DECIMAL = re.compile(rf"(?<![\w.,:]){_FRACTION}(?![\w:])")
# Times that are not the first two columns: two beside each other, or one first and another further on.
_MOVED_TIMES = re.compile(rf"(?<![\w.,:]){_FRACTION}\s+{_FRACTION}(?![\w:])|^\s*{_FRACTION}\s.*\s{_FRACTION}(?![\w:])")
