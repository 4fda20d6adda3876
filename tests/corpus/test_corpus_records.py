"""Rows of tables: what a writer by RFC 4180 writes is read as it was, and a stray quote costs no other row."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import recording, text

from freud import corpus
from freud.corpus.tiers.records import Shape, records, split_lines
from freud.errors import FreudError

CELL = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=8)
WORDS = st.text('abc "\t,;', min_size=1, max_size=8).filter(lambda cell: bool(cell.strip()))


def read(content: str, delimiter: str = ",", columns: int = 2) -> tuple[list[list[str]], list[str]]:
    """The rows that can be used, and what is wrong, by line."""
    found = list(records(split_lines(content), Shape(delimiter, columns)))
    problems = [f"line {record.line}: {record.problem}" for record in found if record.problem]
    return [record.fields for record in found if record.fields is not None], problems


@given(rows=st.lists(st.tuples(CELL, WORDS, CELL), max_size=6), delimiter=st.sampled_from(",;\t|"))
@settings(max_examples=200, deadline=None)
def test_what_csv_writes_is_read_as_it_was(rows, delimiter):
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows(rows)
    assert read(written.getvalue(), delimiter, 3) == ([list(row) for row in rows], [])


@given(lines=st.lists(st.text("a,\"'\n", max_size=12), max_size=6))
@settings(max_examples=300, deadline=None)
def test_every_line_is_in_a_row_or_named(lines):
    physical = split_lines("".join(f"{line}\n" for line in lines))
    found = list(records(physical, Shape(",", 2)))
    ends = [*(record.line for record in found[1:]), len(physical) + 1][: len(found)]
    for record, end in zip(found, ends, strict=True):
        assert record.fields is not None or record.problem
        assert record.fields is None or len(record.fields) == 2
        within = [line for line in physical[record.line : end - 1] if line.strip(", ")]  # behind the first
        assert not within or (record.fields and not record.problem and '"' in physical[record.line - 1])
        assert not any('"' not in line and line.count(",") == 1 for line in within), "a row of its own is swallowed"
    assert not any(line.strip(", ") for line in physical[: found[0].line - 1 if found else None])


@pytest.mark.parametrize(
    ("content", "rows", "problems"),
    [
        ('a,"Yes," she said\n', [["a", '"Yes," she said']], []),
        ('a,5" and 6" pipes\n', [["a", '5" and 6" pipes']], []),
        ('a,say "hi" now\n', [["a", 'say "hi" now']], []),
        ('a, "one, two" \n', [["a", "one, two"]], []),
        ("a,b,\n", [], ["line 1: 3 fields in 2 columns; quote a field that holds a delimiter"]),
        (", ,\n\n", [], []),
        ('a,"one\ntwo"\nb,c\n', [["a", "one\ntwo"], ["b", "c"]], []),
        ('a,"one\r\ntwo"\rb,c\r', [["a", "one\ntwo"], ["b", "c"]], []),
        (
            'a,"No\nb,c\n',
            [["a", '"No'], ["b", "c"]],
            ["line 1: a quotation mark that is not closed; taken as text"],
        ),
        (
            'a,"x\nb,y"\n',
            [["a", '"x'], ["b", 'y"']],
            [
                "line 1: a quotation mark that is closed only in line 2; taken as text, each line as a row",
                "line 2: a quotation mark that is not closed; taken as text",
            ],
        ),
        ("a,b,c\nd,e\n", [["d", "e"]], ["line 1: 3 fields in 2 columns; quote a field that holds a delimiter"]),
        ("a\nd,e\n", [["d", "e"]], ["line 1: 1 field in 2 columns; one is missing"]),
        ("a,\0\nd,e\n", [["d", "e"]], ["line 1: holds a NUL byte, so it is not text as it was written"]),
        ("a,b\u2028c\x85d\n", [["a", "b\u2028c\x85d"]], []),
        (f"a,{'x' * 200_000}\n", [["a", "x" * 200_000]], []),
    ],
)
def test_rows(content, rows, problems):
    assert read(content) == (rows, problems)


def test_open_quotes_are_looked_up_a_hundred_lines_ahead_at_most():
    lines = ["a"] * 150
    rows, problems = read('x,"\n' + "\n".join(lines) + '\n"\n')
    assert rows == [["x", '"']]
    assert len(problems) == 152
    rows, _ = read('x,"\n' + "\n".join(lines[:90]) + '\n"\n')
    assert rows == [["x", "\n" + "\n".join(lines[:90]) + "\n"]]


# ---- manifests, as people and Excel write them


@pytest.mark.parametrize(
    ("name", "content", "encoding"),
    [
        ("manifest.csv", "Path,Transcript,Speaker\nw/a.wav,hello there,s1\n", "utf-8-sig"),
        ("manifest.csv", "path;transcript;speaker\r\nw/a.wav;hello there;s1\r\n", "utf-8"),
        ("manifest.csv", "path\ttranscript\tspeaker\rw/a.wav\thello there\ts1\r", "utf-16"),
        ("manifest.csv", ",path,transcript,speaker,\n0,w\\a.wav,hello there,s1,\n", "utf-8"),
        ("manifest.csv", '\n"path","transcript","speaker"\n"w/a.wav","hello there","s1"\n', "utf-16-le"),
    ],
)
def test_manifests_of_other_programs(tmp_path, name, content, encoding):
    recording(tmp_path / "w" / "a.wav")
    text(tmp_path / name, content, encoding)
    opened = corpus.read(tmp_path)
    assert [(clip.path, clip.transcript, clip.speaker) for clip in opened] == [("w/a.wav", "hello there", "s1")]
    assert opened.problems == []


def test_rows_that_cannot_be_used_are_reported_and_the_others_stay(tmp_path):
    for name in "abcd":
        recording(tmp_path / f"{name}.wav")
    text(
        tmp_path / "manifest.csv",
        'path,transcript,transcript,notes,notes\na.wav,x,y,"Yes," she said,n\nb.wav,x\n,x,x,n,n\nc.wav,"x,y,n,n\n',
    )
    opened = corpus.read(tmp_path)
    assert [(clip.path, clip.transcript) for clip in opened] == [("a.wav", None), ("c.wav", None)]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 1: two columns are called notes; neither is used",
        "line 1: two columns are called transcript; neither is used",
        "line 3: 2 fields in 5 columns; one is missing",
        "line 4: no path",
        "line 5: a quotation mark that is not closed; taken as text",
        "not used: no table lists it",
        "not used: no table lists it",
    ]


def test_numbers_with_a_decimal_comma(tmp_path):
    recording(tmp_path / "a.wav", 2.0)
    text(tmp_path / "manifest.csv", "path;offset;duration\na.wav;0,5;1,25\na.wav;x;1\n")
    opened = corpus.read(tmp_path)
    assert [(clip.offset, clip.duration) for clip in opened] == [(0.5, 1.25)]
    reason = "line 3: offset and duration must be seconds, not 'x' and '1'"
    assert opened.problems == [{"path": "manifest.csv", "reason": reason}]


@pytest.mark.parametrize("content", ["path,path\na.wav,b.wav\n", "path,transcript\na.wav,hello, you there\n"])
def test_a_table_of_which_nothing_can_be_used_is_refused(tmp_path, content):
    recording(tmp_path / "a.wav")
    text(tmp_path / "manifest.csv", content)
    with pytest.raises(FreudError, match=r"manifest\.csv: (two columns are called path|line 2: 3 fields in 2 columns)"):
        corpus.read(tmp_path)


def test_many_bad_lines_are_counted(tmp_path):
    recording(tmp_path / "a.wav")
    text(tmp_path / "manifest.csv", "path,transcript\na.wav,x\n" + "b\n" * 100)
    reasons = [problem["reason"] for problem in corpus.read(tmp_path).problems]
    assert len(reasons) == 21
    assert reasons[0] == "line 3: 1 field in 2 columns; one is missing"
    assert reasons[-1] == "80 more lines: 1 field in 2 columns; one is missing"


def test_audiofolder_values_that_are_no_text(tmp_path):
    for name in "abc":
        recording(tmp_path / f"{name}.wav")
    lines = [
        r'{"file_name": "a.wav", "text": ["one", "two"], "label": 3}',
        r'{"file_name": "b.wav", "text": {"x": 1}}',
        r'{"file_name": "c.wav", "text": "\ud800"}',
        r'{"file_name": ""}',
        "{",
    ]
    text(tmp_path / "metadata.jsonl", "\n".join(lines))
    opened = corpus.read(tmp_path)
    assert [(clip.path, clip.transcript, clip.label) for clip in opened] == [("a.wav", "one; two", "3")]
    assert [problem["reason"] for problem in opened.problems] == [
        "line 2: text is no text but dict",
        "line 3: text holds characters that are no text",
        "line 4: no file_name",
        "line 5: expected a JSON object with file_name",
        "not used: no table lists it",
        "not used: no table lists it",
    ]


def test_a_parquet_table_that_cannot_be_read_is_refused_by_name(tmp_path):
    recording(tmp_path / "a.wav")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FreudError, match=r"metadata\.parquet: row 1: not Parquet that can be read"):
        corpus.read(tmp_path)
