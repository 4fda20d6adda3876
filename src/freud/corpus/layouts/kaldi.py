"""Kaldi data directories: wav.scp with plain paths, and if present segments, text, utt2spk, spk2gender and ctm.

A recording's channel is that of `reco2file_and_channel`, or else the letter at the end of its name where one file is
listed as several recordings (`call-A`, `call-B`); a segment may have one in a fifth column, from 0.

A command in wav.scp (a line that ends with "|") is never run; nor is an offset into an archive followed. Relative paths
are looked up from the directory, from those above it, and from the current one, since recipes write them relative to
where they ran.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator

from freud.corpus.channels import channel_numbers
from freud.corpus.labels import Labels
from freud.corpus.layouts.plan import Item, Plan, resolve, sex
from freud.corpus.tiers import Interval, open_text
from freud.corpus.tiers.lines import ctm_rows
from freud.corpus.tiers.records import Faults
from freud.corpus.tree import Source
from freud.errors import FreudError

_SCP = "wav.scp"


def matches(source: Source) -> bool:
    """A folder with a wav.scp."""
    return source.file is None and (source.root / _SCP).is_file()


def plan(source: Source) -> Plan:
    """Every segment is a clip; without segments, every recording.

    Raises:
        FreudError: a line of a table is not as it should be, or no recording can be used.
    """
    result = Plan([], tables=[name for name in (_SCP, *_OTHERS) if (source.root / name).is_file()])
    recordings = _recordings(source, result)
    files, channels = _channels(source, recordings)
    texts, speakers, sexes = (_table(source, name) for name in ("text", "utt2spk", "spk2gender"))
    starts: dict[str, float] = {}
    for line, utterance, recording, start, length, own in _utterances(source, recordings):
        if recording not in recordings:
            where = f"line {line}: {utterance}: no recording {recording} in {_SCP}"
            result.problems.append({"path": "segments", "reason": where})
            continue
        if (path := recordings[recording]) is None:  # reported already
            continue
        speaker = speakers.get(utterance)
        starts[utterance] = start
        result.items.append(
            Item(
                path,
                transcript=texts.get(utterance) or None,
                speaker=speaker,
                sex=sex(sexes.get(speaker or "")),
                split=source.root.name,
                offset=start,
                duration=length,
                where=utterance,
                channel=channels.get(recording) if own is None else own,
                lone_channel=own is None,
                keys=(utterance, recording),
            )
        )
    if not result.items:
        reason = result.problems[0]["reason"] if result.problems else "it is empty"
        raise FreudError(f"{source.root / _SCP}: no recording can be used: {reason}")
    if (source.root / "ctm").is_file():
        _add_ctm(source, result, starts, files, channels)
    return result


_CHANNELS = "reco2file_and_channel"
_OTHERS = ("segments", "text", "utt2spk", "spk2gender", _CHANNELS, "ctm")


def _channels(
    source: Source, recordings: dict[str, str | None]
) -> tuple[dict[tuple[str, str], str], dict[str, int | None]]:
    """Recordings by the file and channel that the table names, and the channel of each that is one of several."""
    files, names = {}, {}
    if (source.root / _CHANNELS).is_file():
        for number, recording, rest in _lines(source, _CHANNELS):
            if len(fields := rest.split()) != 2 or channel_numbers(fields[1:])[fields[1]] is None:
                expected = "expected recording file channel, the channel as a letter or a number from 1"
                raise FreudError(f"{source.root / _CHANNELS}: line {number}: {expected}")
            files[fields[0], fields[1]] = recording
            names[recording] = fields[1]
    else:
        counts = collections.Counter(recordings.values())
        several = [name for name, path in recordings.items() if path is not None and counts[path] > 1]
        names = {name: match[1] for name in several if (match := re.search(r"[-_.]([A-Za-z]|\d)$", name))}
    numbers = channel_numbers(names.values())
    return files, {recording: numbers[name] for recording, name in names.items()}


def _recordings(source: Source, result: Plan) -> dict[str, str | None]:
    """The path of each recording; None where it cannot be used, which is added to the problems in a few lines."""
    found: dict[str, str | None] = {}
    refused: dict[str, list[str]] = {}
    for number, name, given in _lines(source, _SCP):
        found[name] = None
        if given.endswith("|"):
            why = "commands are never run; write their output to files and list those"
            refused.setdefault(why, []).append(f"line {number}: {name} is a command")
        elif re.search(r"\.ark:\d+$", given):
            why = "audio in archives is not read; write it to files and list those"
            refused.setdefault(why, []).append(f"line {number}: {name} is in an archive")
        elif (path := resolve(source.root, given)) is None:
            refused.setdefault("expected the path of a file", []).append(f"line {number}: {given}: no such file")
        else:
            found[name] = path.relative_to(source.root).as_posix() if path.is_relative_to(source.root) else str(path)
    for why, lines in refused.items():
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        result.problems.append({"path": _SCP, "reason": f"{lines[0]}{more}; {why}"})
    return found


def _utterances(
    source: Source, recordings: dict[str, str | None]
) -> Iterator[tuple[int, str, str, float, float | None, int | None]]:
    """(line, utterance, recording, start, length, channel) of every segment, or of every recording."""
    if not (source.root / "segments").is_file():
        for number, name in enumerate(recordings, 1):
            yield number, name, name, 0.0, None, None
        return
    for number, utterance, rest in _lines(source, "segments"):
        fields = rest.split()
        try:
            start, end = float(fields[1]), float(fields[2])
            channel = int(fields[3]) if len(fields) > 3 and fields[3].isdecimal() else None
            if len(fields) > 3 and channel is None:  # a letter
                channel = channel_numbers(fields[3:4])[fields[3]]
            if len(fields) > 4 or (len(fields) == 4 and channel is None):
                raise ValueError
            if not (start >= 0 and (end > start or end == -1)):  # -1: to the end of the recording
                raise ValueError
        except (ValueError, IndexError):
            expected = "expected utterance recording start end, in seconds, and if need be a channel"
            raise FreudError(f"{source.root / 'segments'}: line {number}: {expected}") from None
        yield number, utterance, fields[0], start, None if end == -1 else end - start, channel


def _table(source: Source, name: str) -> dict[str, str]:
    if not (source.root / name).is_file():
        return {}
    return {key: value for _, key, value in _lines(source, name)}


def _lines(source: Source, name: str) -> Iterator[tuple[int, str, str]]:
    """(line, key, the rest) of every line of a table."""
    with open_text(source.root / name) as file:
        for number, line in enumerate(file, 1):
            key, *rest = line.strip().split(None, 1) or [""]
            if not key:
                continue
            if not rest and name != "text":
                raise FreudError(f"{source.root / name}: line {number}: expected a name and a value")
            yield number, key, rest[0] if rest else ""


def _add_ctm(
    source: Source,
    result: Plan,
    starts: dict[str, float],
    files: dict[tuple[str, str], str],
    channels: dict[str, int | None],
) -> None:
    """Labels by utterance, in seconds from its start, by recording, or by file and channel."""
    recordings = {(file, channels[recording]): recording for (file, _), recording in files.items()}
    names = {channel for _, channel in files}  # they say whether numbers count from 0

    def shifted() -> Iterator[tuple[str, str, Interval]]:
        with open_text(source.root / "ctm") as file:
            for name, channel, row in ctm_rows(source.root / "ctm", file, faults=faults):
                if recordings and name not in starts and name not in channels:
                    name = recordings.get((name, channel_numbers({*names, channel})[channel]), name)
                start = starts.get(name, 0.0)
                yield name, channel, row._replace(start=row.start + start, end=row.end + start)

    result.labels, faults = Labels(), Faults()
    try:
        result.labels.add(shifted(), "ctm")
        result.report("ctm", faults.sentences())
    except FreudError as error:
        reason = str(error).removeprefix(f"{source.root / 'ctm'}: ")
        result.problems.append({"path": "ctm", "reason": f"labels skipped: {reason}"})
