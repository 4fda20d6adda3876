"""Labels in lines of other shapes: HTK's and Festival's `.lab`, TIMIT's `.phn` and `.wrd`, CTM and RTTM.

They differ in their units: HTK counts 100 ns or seconds, TIMIT samples, the others seconds; Festival gives only ends,
CTM and RTTM durations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from freud.corpus.tiers.intervals import UNNAMED, Interval, LabelFile, LabelRows, fail
from freud.corpus.tiers.owner import of_recording
from freud.corpus.tiers.records import Faults, split_lines
from freud.corpus.tiers.times import is_time, parse_time
from freud.errors import FreudError

_TIMIT_RATE = 16_000  # Hz, of the recordings that TIMIT's sample numbers count in


def read_lab(path: Path, text: str, tier: str | None, recording: str | None, duration: float | None) -> LabelFile:
    """HTK labels, `start end label`, in 100 ns or seconds; or Festival's, `end color label` after a line `#`.

    Args:
        path: for messages.
        text: its content.
        tier: name of the tier.
        recording: the recording's name, where a master label file (`#!MLF!#`) is about several.
        duration: of the recording in seconds, which tells units of 100 ns from seconds. None: whole numbers that
            reach beyond 10 000 are units of 100 ns.

    Raises:
        FreudError: no line makes sense, or one of Festival's; the message names it.
    """
    lines = split_lines(text)
    if is_festival(text):
        return LabelFile(None, _festival(path, lines, tier or UNNAMED), [])
    rows = LabelRows(path)
    times: list[tuple[str, int, Interval]] = []
    whole, name, is_master = True, "", lines[:1] == ["#!MLF!#"]
    for number, line in enumerate(lines, 1):
        fields = line.split(None, 2)
        if not fields or (is_master and fields[0] in {"#!MLF!#", "."}):
            continue
        if is_master and fields[0].startswith('"'):  # the file whose labels follow
            name = line.strip().strip('"')
            continue
        if len(fields) < 2 or not (is_time(fields[0]) and is_time(fields[1])):
            rows.faults.add(number, "expected start end label, in seconds")
            continue
        whole = whole and fields[0].isdigit() and fields[1].isdigit()
        label = fields[2].strip() if len(fields) > 2 else ""
        times.append((name, number, Interval(tier or UNNAMED, parse_time(fields[0]), parse_time(fields[1]), label)))
    notes: list[str] = []
    last = max((interval.end for _, _, interval in times), default=0.0)
    units = whole and last > (1000 * duration if duration is not None else 10_000)
    score = re.compile(r"(\S+)\s+-?\d+\.\d+(\s.*)?$")  # HTK may give a likelihood after the label
    for index, (name, number, (title, start, end, label)) in enumerate(times):
        if units:
            label = match[1] if (match := score.match(label)) else label
            times[index] = name, number, Interval(title, start * 1e-7, end * 1e-7, label)
    for _, number, interval in of_recording(times, recording, duration, notes):
        rows.add(number, *interval)
    return rows.finish(notes)


def is_festival(text: str) -> bool:
    """Whether a .lab file has the line `#` that ends the header of Festival and XLabel."""
    return "#" in (line.strip() for line in split_lines(text)[:20])


def _festival(path: Path, lines: list[str], tier: str) -> list[Interval]:
    begin = next(index for index, line in enumerate(lines) if line.strip() == "#") + 1
    intervals: list[Interval] = []
    start = 0.0
    for number, line in enumerate(lines[begin:], begin + 1):
        fields = line.split(None, 2)
        if not fields:
            continue
        if len(fields) < 2 or not is_time(fields[0]) or (end := parse_time(fields[0])) < start:
            fail(path, number, "expected end color label, in seconds and in order")
        intervals.append(Interval(tier, start, end, fields[2].split(";")[0].strip() if len(fields) > 2 else ""))
        start = end
    return intervals


def read_timit(path: Path, text: str, tier: str, sample_rate: int, duration: float | None) -> LabelFile:
    """TIMIT's phones or words: `start end label`, in samples.

    The numbers count samples of the recording, or at 16 kHz if it is a copy of TIMIT at another rate.

    Args:
        path: for messages.
        text: its content.
        tier: name of the tier.
        sample_rate: of the recording.
        duration: of the recording in seconds, which tells at what rate the numbers count.

    Raises:
        FreudError: no line makes sense, or the numbers fit neither rate; the message says so.
    """
    rows = LabelRows(path)
    times: list[tuple[int, int, int, str]] = []
    for number, line in enumerate(split_lines(text), 1):
        fields = line.split(None, 2)
        if not fields:
            continue
        if (
            len(fields) < 2
            or not re.fullmatch("[0-9]{1,12} [0-9]{1,12}", " ".join(fields[:2]))
            or " " in fields[-1].strip()
        ):
            rows.faults.add(number, "expected start end label, in samples")
            continue
        label = fields[2].strip() if len(fields) > 2 else ""
        times.append((number, int(fields[0]), int(fields[1]), label))
    rate, notes = sample_rate, []
    if times and duration is not None and sample_rate != _TIMIT_RATE:
        rate = _timit_rate(path, max(end for _, _, end, _ in times), sample_rate, duration)
        if rate != sample_rate:
            notes.append(f"its sample numbers are read at TIMIT's {rate} Hz; the recording has {sample_rate} Hz")
    for number, start, end, label in times:
        rows.add(number, tier, start / rate, end / rate, label)
    return rows.finish(notes)


def _timit_rate(path: Path, last: int, sample_rate: int, duration: float) -> int:
    """The rate at which the last label ends with the recording, or the only one at which it ends within it."""
    rates = sample_rate, _TIMIT_RATE
    ending = [rate for rate in rates if abs(last / rate - duration) <= 0.05 * duration + 0.05]
    inside = [rate for rate in rates if last / rate <= duration + 0.05]
    for fitting in (ending, inside):
        if len(fitting) == 1:
            return fitting[0]
    ends = " or ".join(f"{last / rate:.2f} s at {rate} Hz" for rate in rates)
    raise FreudError(
        f"{path}: its last label ends at {ends}, and the recording at {duration:.2f} s; "
        "whose samples it counts is not clear: write the times in seconds, as a .tsv file"
    )


def timit_transcript(text: str, sample_rate: int, duration: float | None) -> tuple[str, list[str]] | None:
    """The words of a TIMIT transcript, `0 SAMPLES words`, if that is what a text is, and what is odd about it."""
    match = re.match(r"\s*0 ([0-9]{4,12}) (?=\S)", text)
    words = text[match.end() :].strip() if match else ""
    if match is None or duration is None or "\n" in words or "\r" in words:
        return None
    rates = {sample_rate, _TIMIT_RATE}
    if any(abs(int(match[1]) - duration * rate) <= 0.5 * duration * rate for rate in rates):
        return words, []
    return words, [f"line 1: it is about {match[1]} samples, but the recording lasts {duration:.2f} s"]


def ctm_rows(
    path: Path, lines: Iterable[str], tier: str | None = None, faults: Faults | None = None
) -> Iterator[tuple[str, str, Interval]]:
    """The rows of a CTM, `recording channel start duration label [confidence]`, as (recording, channel, interval).

    Of alternatives between `<ALT_BEGIN>` and `<ALT_END>` (NIST's sclite has them) the first is taken, without its
    empty words `@`.

    Args:
        path: for messages.
        lines: its lines.
        tier: name of the tier; by default words.
        faults: takes up the lines of further alternatives.

    Raises:
        FreudError: a line makes no sense; the message names it.
    """
    alternative, alternatives_of = 0, ""  # 0: outside of alternatives, 1: in the first, ...
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";;"):
            continue
        if len(fields) > 4 and fields[4].upper() in {"<ALT_BEGIN>", "<ALT>", "<ALT_END>"}:
            mark = fields[4].upper()
            alternative = {"<ALT_BEGIN>": 1, "<ALT_END>": 0}.get(mark, alternative + 1)
            alternatives_of = fields[0]
            continue
        if (
            len(fields) < 5
            or not (is_time(fields[2]) and is_time(fields[3]))
            or (start := parse_time(fields[2])) < -1e-6
            or (length := parse_time(fields[3])) < 0
            or len(fields) > 8
            or "\0" in line
            or re.search(r"\d[.,]\d", fields[1])  # a time where the channel belongs
            or (len(fields) > 5 and not _is_confidence(fields[5]))
        ):
            fail(path, number, "expected recording channel start duration label, in seconds, and maybe a confidence")
        if alternative and fields[0] != alternatives_of:
            fail(path, number, f"the alternatives of {alternatives_of} before it have no <ALT_END>")
        if alternative > 1:
            if faults is not None:
                faults.add(number, "another alternative for the words before it; only the first is taken")
        elif not (alternative and fields[4] == "@"):
            start = max(start, 0.0)
            yield fields[0], fields[1], Interval(tier or "words", start, start + length, fields[4])


def _is_confidence(text: str) -> bool:
    return is_time(text) or text.strip("<>").upper() in {"NA", "N/A", "-"}


def read_ctm(path: Path, text: str, tier: str | None, recording: str | None, duration: float | None) -> LabelFile:
    """A CTM beside a recording.

    Raises:
        FreudError: a line makes no sense; the message names it.
    """
    rows, faults = LabelRows(path), Faults()
    notes: list[str] = []
    lines = ctm_rows(path, split_lines(text), tier, faults)
    own = sorted(
        of_recording(lines, recording, duration, notes), key=lambda row: row[2][1:3]
    )  # one tier, as finish does
    rows.intervals += [interval for *_, interval in own]
    return rows.finish([*faults.sentences(), *notes])._replace(channels=tuple(channel for _, channel, _ in own))


def read_rttm(path: Path, text: str, tier: str | None, recording: str | None, duration: float | None) -> LabelFile:
    """NIST's RTTM, `SPEAKER recording channel start duration <NA> <NA> speaker ...`: who speaks when.

    Raises:
        FreudError: no line makes sense; the message names the first.
    """
    rows = LabelRows(path)
    lines: list[tuple[str, int, Interval]] = []
    for number, line in enumerate(split_lines(text), 1):
        fields = line.split()
        if not fields or line.startswith(";") or fields[0].upper() == "SPKR-INFO":
            continue
        if len(fields) < 8 or not (is_time(fields[3]) and is_time(fields[4])) or parse_time(fields[4]) < 0:
            rows.faults.add(number, "expected SPEAKER recording channel start duration <NA> <NA> speaker, in seconds")
        elif fields[0].upper() != "SPEAKER":
            rows.faults.add(number, f"rows of type {fields[0]} are not read, only SPEAKER")
        else:
            start = parse_time(fields[3])
            interval = Interval(tier or "speakers", start, start + parse_time(fields[4]), fields[7])
            lines.append((fields[1], number, interval))
    notes: list[str] = []
    for _, number, interval in of_recording(lines, recording, duration, notes):
        rows.add(number, *interval)
    return rows.finish(notes)
