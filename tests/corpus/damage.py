"""Well-formed label files of every format, and the ways in which they are damaged for the tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

Row = tuple[float, float, str]
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "alpha", "bravo", "echo"]


def plain(label: str) -> str:
    """A label without what a damage may have put into it."""
    return "".join(sign for sign in label if sign not in '"\0 ')


@dataclass(frozen=True)
class Sample:
    """A file in pieces, so that it is known which row a line or byte belongs to."""

    name: str
    head: str
    rows: list[str]
    tail: str = ""
    delimiter: str = "\t"

    @property
    def text(self) -> str:
        return self.head + "".join(self.rows) + self.tail

    def rows_at(self, start: int, end: int) -> set[int]:
        """The rows that any character of a part of the text belongs to."""
        at, touched = len(self.head), set()
        for index, row in enumerate(self.rows):
            if at < end and start < at + len(row):
                touched.add(index)
            at += len(row)
        return touched


Damaged = tuple[str, set[int]]
"""A damaged text, and the rows of which the text no longer says what it said: they may be lost or altered."""


def drop_line(sample: Sample, rng: random.Random) -> Damaged:
    lines = sample.text.splitlines(keepends=True)
    index = rng.randrange(len(lines))
    start = sum(map(len, lines[:index]))
    return "".join(lines[:index] + lines[index + 1 :]), sample.rows_at(start, start + len(lines[index]))


def cut(sample: Sample, rng: random.Random) -> Damaged:
    at = len(sample.text) * rng.randrange(1, 20) // 20
    return sample.text[:at], sample.rows_at(at, len(sample.text) + 1)


def stray_quote(sample: Sample, rng: random.Random) -> Damaged:
    at = rng.randrange(len(sample.text))
    return sample.text[:at] + '"' + sample.text[at:], set()


def unclosed_field(sample: Sample, rng: random.Random) -> Damaged:
    """A quote at the start of a field, which a reader by the rules would take as opening it."""
    starts = [i + 1 for i, sign in enumerate(sample.text) if sign in sample.delimiter and i > len(sample.head)]
    at = rng.choice(starts or [0])
    return sample.text[:at] + '"' + sample.text[at:], set()


def nul(sample: Sample, rng: random.Random) -> Damaged:
    at = rng.randrange(len(sample.text))
    return sample.text[:at] + "\0" + sample.text[at:], set()


def duplicate(sample: Sample, rng: random.Random) -> Damaged:
    index = rng.randrange(len(sample.rows))
    rows = [*sample.rows[: index + 1], *sample.rows[index:]]
    return sample.head + "".join(rows) + sample.tail, set()


def shuffle(sample: Sample, rng: random.Random) -> Damaged:
    return sample.head + "".join(rng.sample(sample.rows, len(sample.rows))) + sample.tail, set()


def decimal_comma(sample: Sample, rng: random.Random) -> Damaged:
    """One decimal point, or all of them, become commas."""
    points = [i for i in range(1, len(sample.text)) if sample.text[i] == "." and sample.text[i - 1].isdigit()]
    points = [i for i in points if i + 1 < len(sample.text) and sample.text[i + 1].isdigit()]
    chosen = set(points if rng.random() < 0.5 else rng.sample(points, min(1, len(points))))
    return "".join("," if i in chosen else sign for i, sign in enumerate(sample.text)), set()


def swap_columns(sample: Sample, rng: random.Random) -> Damaged:
    """Two columns change places, in the rows and not in the header."""
    first, second = rng.sample(range(3), 2)
    rows = []
    for row in sample.rows:
        body, end = row.rstrip("\n"), row[len(row.rstrip("\n")) :]
        fields = body.split(sample.delimiter)
        if "\n" in body or len(fields) <= max(first, second):
            return sample.text, set()
        fields[first], fields[second] = fields[second], fields[first]
        rows.append(sample.delimiter.join(fields) + end)
    return sample.head + "".join(rows) + sample.tail, set()


def extra_delimiter(sample: Sample, rng: random.Random) -> Damaged:
    """A delimiter within the last word of a line."""
    index = rng.randrange(len(sample.rows))
    row = sample.rows[index]
    at = len(row.rstrip("\n")) - 1
    rows = [*sample.rows[:index], row[:at] + sample.delimiter + row[at:], *sample.rows[index + 1 :]]
    is_quoted = row[at] == '"'  # then the delimiter is part of the word
    return sample.head + "".join(rows) + sample.tail, {index} if is_quoted else set()


def lost_delimiter(sample: Sample, rng: random.Random) -> Damaged:
    index = rng.randrange(len(sample.rows))
    rows = [*sample.rows]
    rows[index] = rows[index].replace(sample.delimiter, "", 1)
    return sample.head + "".join(rows) + sample.tail, {index}


def old_mac(sample: Sample, rng: random.Random) -> Damaged:
    return sample.text.replace("\n", rng.choice(["\r", "\r\n"])), set()


def wrong_number(sample: Sample, rng: random.Random) -> Damaged:
    """A digit of a TextGrid's head, where sizes and counts stand, is another."""
    digits = [i for i, sign in enumerate(sample.head) if sign.isdigit()]
    if not digits or "TextGrid" not in sample.name:
        return sample.text, set()
    at = rng.choice(digits)
    return sample.text[:at] + str((int(sample.text[at]) + rng.randrange(1, 9)) % 10) + sample.text[at + 1 :], set()


DAMAGES: list[Callable[[Sample, random.Random], Damaged]] = [
    drop_line,
    cut,
    stray_quote,
    unclosed_field,
    nul,
    duplicate,
    shuffle,
    decimal_comma,
    swap_columns,
    extra_delimiter,
    lost_delimiter,
    old_mac,
    wrong_number,
]


def label_files(rows: list[Row]) -> list[Sample]:
    """The same labels in a file of every format: times of two decimals, in a recording `a` of 10 s."""
    flat = [(f"{start:.2f}", f"{end:.2f}", label) for start, end, label in rows]
    count = len(rows)
    tab = [f"{start}\t{end}\t{label}\n" for start, end, label in flat]
    comma = [f"{start},{end},{label}\n" for start, end, label in flat]
    raven_head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n"
    grid = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    long = [*grid, "xmin = 0", "xmax = 10", "tiers? <exists>", "size = 1", "item []:", "    item [1]:"]
    long += ['        class = "IntervalTier"', '        name = "t"', "        xmin = 0", "        xmax = 10"]
    long += [f"        intervals: size = {count}", ""]
    short = [*grid, "0", "10", "<exists>", "1", '"IntervalTier"', '"t"', "0", "10", str(count), ""]
    intervals = [
        f'    intervals [{i}]:\n        xmin = {start}\n        xmax = {end}\n        text = "{label}"\n'
        for i, (start, end, label) in enumerate(flat, 1)
    ]
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="s{i}" TIME_VALUE="{round(start * 1000)}"/>\n'
        f'<TIME_SLOT TIME_SLOT_ID="e{i}" TIME_VALUE="{round(end * 1000)}"/>\n'
        for i, (start, end, _) in enumerate(rows)
    )
    eaf = '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT>\n<HEADER TIME_UNITS="milliseconds"></HEADER>\n'
    annotations = [
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{i}" TIME_SLOT_REF1="s{i}" TIME_SLOT_REF2="e{i}">'
        f"<ANNOTATION_VALUE>{label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        for i, (_, _, label) in enumerate(rows)
    ]
    units = [f"{round(start * 1e7)} {round(end * 1e7)} {label}\n" for start, end, label in rows]
    samples = [f"{round(start * 16_000)} {round(end * 16_000)} {label}\n" for start, end, label in rows]
    milliseconds = [f"{round(start * 1000)}\t{round(end * 1000)}\t{label}\n" for start, end, label in rows]
    clock = [
        tuple(f"00:00:{int(time):02d},{round(time % 1 * 1000):03d}" for time in (start, end)) for start, end, _ in rows
    ]
    cues = [f"{i}\n{a} --> {b}\n{row[2]}\n\n" for i, ((a, b), row) in enumerate(zip(clock, rows, strict=True), 1)]
    vtt = [cue.replace(",", ".").partition("\n")[2] for cue in cues]
    ctm = [f"a 1 {start} {float(end) - float(start):.2f} {label}\n" for start, end, label in flat]
    rttm = [f"SPEAKER a 1 {s} {float(e) - float(s):.2f} <NA> <NA> {label} <NA> <NA>\n" for s, e, label in flat]
    return [
        Sample("a.txt", "", tab),
        Sample("a.spaces.txt", "", [row.replace("\t", " ") for row in tab], delimiter=" "),
        Sample("a.tsv", "start\tend\tlabel\n", tab),
        Sample("a.csv", "start,end,label\n", comma, delimiter=","),
        Sample("a.t.csv", "", comma, delimiter=","),
        Sample("a.quoted.csv", "", [f'{start},{end},"{label}"\n' for start, end, label in flat], delimiter=","),
        Sample("a.excel.csv", "Start;End;Label\n", [row.replace(",", ";") for row in comma], delimiter=";"),
        Sample("a.whisper.tsv", "start\tend\ttext\n", milliseconds),
        Sample(
            "a.Table.1.selections.txt",
            raven_head,
            [f"{i}\tSpectrogram 1\t1\t{a}\t{b}\ta.wav\t{label}\n" for i, (a, b, label) in enumerate(flat)],
        ),
        Sample("a.lab", "", [row.replace("\t", " ") for row in tab], delimiter=" "),
        Sample("a.htk.lab", "", units, delimiter=" "),
        Sample("a.phn", "", samples, delimiter=" "),
        Sample("a.ctm", "", ctm, delimiter=" "),
        Sample("a.rttm", "", rttm, delimiter=" "),
        Sample("a.srt", "", cues, delimiter=" "),
        Sample("a.vtt", "WEBVTT\n\n", vtt, delimiter=" "),
        Sample("a.long.TextGrid", "\n".join(long), intervals, delimiter=" "),
        Sample("a.TextGrid", "\n".join(short), [f'{a}\n{b}\n"{label}"\n' for a, b, label in flat], delimiter="\n"),
        Sample(
            "a.eaf",
            f'{eaf}<TIME_ORDER>\n{slots}</TIME_ORDER>\n<TIER TIER_ID="t">\n',
            annotations,
            "</TIER>\n</ANNOTATION_DOCUMENT>\n",
            delimiter=" ",
        ),
    ]
