"""A clip that is one channel of its recording: in every layout that can say so, in the tables and in the sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from trees import text

from freud import audio, corpus
from freud.corpus.channels import channel_numbers
from freud.errors import FreudError

RATE = 8_000
HERTZ = (500, 1100)  # of the two channels


def call(path: Path, seconds: float = 1.0) -> Path:
    """A call: a tone of another pitch on each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * RATE)) / RATE
    soundfile.write(path, np.stack([0.4 * np.sin(2 * np.pi * hertz * time) for hertz in HERTZ], 1), RATE)
    return path


def pitch(opened: corpus.Corpus, clip: corpus.Clip) -> set[int]:
    """Which of the two tones are in a clip's sound."""
    samples = opened.samples(clip)
    power = np.abs(np.fft.rfft(samples)) ** 2
    return {h for h in HERTZ if power[round(h * len(samples) / audio.SAMPLE_RATE)] > 0.01 * power.max()}


def heard(opened: corpus.Corpus) -> list[tuple]:
    """(channel, transcript, words, tones) of every clip."""
    return [
        (c.channel, c.transcript, [s.label for s in opened.segments(c.id)], sorted(pitch(opened, c))) for c in opened
    ]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [("AB", [0, 1]), ("12", [0, 1]), ("01", [0, 1]), ("2", [1]), ("b", [1]), (["x1", "-1", "²"], [None] * 3)],
)
def test_names_of_channels(names, numbers):
    assert list(map(channel_numbers(names).get, names)) == numbers


@pytest.mark.parametrize("names", ["AB", "12", "01"])
def test_a_ctm_that_tells_channels_apart(tmp_path, names):
    call(tmp_path / "call.wav")
    a, b = names
    text(tmp_path / "call.ctm", f"call {a} 0.1 0.2 hello\ncall {b} 0.4 0.2 yes\ncall {a} 0.7 0.1 bye\n")
    opened = corpus.import_corpus(tmp_path, tmp_path.parent / f"{tmp_path.name} out")
    assert heard(opened) == [(0, "hello bye", ["hello", "bye"], [500]), (1, "yes", ["yes"], [1100])]
    assert [clip.name for clip in opened] == ["call.wav channel 0", "call.wav channel 1"]
    assert len({clip.id for clip in opened}) == 2
    assert [c.channel for c in corpus.read(opened.path)] == [0, 1]


def test_a_ctm_over_many_recordings_tells_channels_apart(tmp_path):
    call(tmp_path / "x" / "call.wav")
    text(tmp_path / "all.ctm", "call A 0.1 0.2 hello\ncall B 0.4 0.2 yes\n")
    assert heard(corpus.read(tmp_path)) == [(0, "hello", ["hello"], [500]), (1, "yes", ["yes"], [1100])]


def test_one_channel_by_its_letter(tmp_path):
    call(tmp_path / "call.wav")
    text(tmp_path / "call.ctm", "call B 0.4 0.2 yes\n")
    assert heard(corpus.read(tmp_path)) == [(0, None, [], [500]), (1, "yes", ["yes"], [1100])]


@pytest.mark.parametrize(("name", "reason"), [("1", "all name channel 1"), ("3", "'3'; it has 2"), ("x9", "'x9'")])
def test_channels_that_say_nothing_are_reported(tmp_path, name, reason):
    call(tmp_path / "call.wav")
    text(tmp_path / "call.ctm", f"call {name} 0.4 0.2 yes\n")
    opened = corpus.read(tmp_path)
    assert heard(opened) == [(None, "yes", ["yes"], [500, 1100])]
    assert reason in opened.problems[0]["reason"]


def test_a_recording_of_one_channel_has_all_labels(tmp_path):
    soundfile.write(tmp_path / "call.wav", np.zeros(RATE), RATE)
    text(tmp_path / "call.ctm", "call A 0.1 0.2 hello\ncall B 0.4 0.2 yes\n")
    opened = corpus.read(tmp_path)
    assert [(c.channel, c.transcript) for c in opened] == [(None, "hello yes")]
    assert opened.problems == []


@pytest.mark.parametrize("format", ["textgrid", "csv", "audacity"])
def test_exported_tiers_come_back_to_their_channels(tmp_path, format):
    call(tmp_path / "call.wav")
    text(tmp_path / "call.ctm", "call A 0.1 0.2 hello\ncall B 0.4 0.2 yes\n")
    before = heard(corpus.read(tmp_path))
    corpus.export_tiers(corpus.read(tmp_path), tmp_path, format=format)
    (tmp_path / "call.ctm").unlink()
    assert heard(corpus.read(tmp_path)) == before


def test_kaldi_recordings_of_one_file(tmp_path):
    """By `reco2file_and_channel`, by the letters of their names, and by a column of `segments`."""
    call(tmp_path / "call.wav")
    text(tmp_path / "wav.scp", "call-A call.wav\ncall-B call.wav\n")
    text(tmp_path / "text", "call-A hello\ncall-B yes\n")
    by_name = corpus.read(tmp_path)
    assert heard(by_name) == [(0, "hello", [], [500]), (1, "yes", [], [1100])]
    assert by_name.problems == []
    text(tmp_path / "reco2file_and_channel", "call-A call B\ncall-B call A\n")  # the table counts, not the name
    text(tmp_path / "ctm", "call A 0.1 0.2 one\ncall B 0.4 0.2 two\n")
    assert heard(corpus.read(tmp_path)) == [(0, "yes", ["one"], [500]), (1, "hello", ["two"], [1100])]
    text(tmp_path / "reco2file_and_channel", "call-A call 0\ncall-B call 1\n")
    text(tmp_path / "ctm", "call 1 0.4 0.2 two\ncall 0 0.1 0.2 one\n")
    assert heard(corpus.read(tmp_path)) == [(0, "hello", ["one"], [500]), (1, "yes", ["two"], [1100])]
    for name in ("reco2file_and_channel", "ctm"):
        (tmp_path / name).unlink()
    text(tmp_path / "wav.scp", "call call.wav\n")
    text(tmp_path / "text", "u0 hello\nu1 yes\nu2 both\n")
    text(tmp_path / "segments", "u0 call 0 0.5 0\nu1 call 0 0.5 1\nu2 call 0 0.5\n")
    assert heard(corpus.read(tmp_path)) == [
        (None, "both", [], [500, 1100]),
        (0, "hello", [], [500]),
        (1, "yes", [], [1100]),
    ]


def test_kaldi_channels_that_are_files_already(tmp_path):
    """sph2pipe writes a file for each channel; the table says which it was."""
    for name in "AB":
        soundfile.write(tmp_path / f"call-{name}.wav", np.zeros(RATE), RATE)
    text(tmp_path / "wav.scp", "call-A call-A.wav\ncall-B call-B.wav\n")
    text(tmp_path / "reco2file_and_channel", "call-A call A\ncall-B call B\n")
    text(tmp_path / "ctm", "call A 0.1 0.2 one\ncall B 0.4 0.2 two\n")
    opened = corpus.read(tmp_path)
    assert [(c.channel, c.transcript) for c in opened] == [(None, "one"), (None, "two")]
    assert opened.problems == []


@pytest.mark.parametrize("line", ["u0 call 0 0.5 x1", "u0 call 0 0.5 1 2"])
def test_kaldi_with_a_channel_that_is_none(tmp_path, line):
    call(tmp_path / "call.wav")
    text(tmp_path / "wav.scp", "call call.wav\n")
    text(tmp_path / "segments", line + "\n")
    with pytest.raises(FreudError, match=r"segments: line 1: expected utterance recording start end"):
        corpus.read(tmp_path)


def test_a_channel_that_the_file_lacks(tmp_path):
    call(tmp_path / "call.wav")
    text(tmp_path / "wav.scp", "call call.wav\n")
    text(tmp_path / "segments", "u0 call 0 0.5 2\nu1 call 0 0.5 1\n")
    opened = corpus.read(tmp_path)
    assert [clip.channel for clip in opened] == [1]
    assert opened.problems == [{"path": "call.wav", "reason": "u0: has 2 channels; the clip is channel 2, from 0"}]


def test_lhotse_cuts_and_supervisions_of_channels(tmp_path):
    lhotse = pytest.importorskip("lhotse")
    call(tmp_path / "call.wav")
    recording = lhotse.Recording.from_file(tmp_path / "call.wav")
    said = [
        lhotse.SupervisionSegment(f"s{c}", "call", 0, 1.0, channel=c, text=word, speaker=word)
        for c, word in enumerate(("hello", "yes"))
    ]
    cuts = [
        lhotse.MonoCut(f"c{c}{start}", start, length, c, [said[c]], recording=recording)
        for c in (0, 1)
        for start, length in ((0, 1.0), (0.25, 0.5))
    ]
    lhotse.CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    opened = corpus.read(tmp_path / "cuts.jsonl")
    by_id = {cut.id: cut.load_audio()[0] for cut in cuts}
    assert len(opened) == 4
    for clip in opened:
        ours = audio.load(opened.audio_path(clip), clip.offset, clip.duration, clip.channel)
        theirs = audio.from_array(by_id[f"c{clip.channel}{clip.offset or 0:g}"], RATE)
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    lhotse.RecordingSet.from_recordings([recording]).to_file(tmp_path / "recordings.jsonl")
    lhotse.SupervisionSet.from_segments(said).to_file(tmp_path / "supervisions.jsonl")
    (tmp_path / "cuts.jsonl").unlink()
    opened = corpus.read(tmp_path)
    assert [(c.channel, c.transcript, c.speaker) for c in opened] == [(0, "hello", "hello"), (1, "yes", "yes")]


def test_lhotse_channels_in_files_of_their_own(tmp_path):
    lhotse = pytest.importorskip("lhotse")
    sources = []
    for channel, hertz in enumerate(HERTZ):
        soundfile.write(tmp_path / f"{channel}.wav", 0.4 * np.sin(np.arange(RATE) * 2 * np.pi * hertz / RATE), RATE)
        sources.append(lhotse.AudioSource("file", [channel], str(tmp_path / f"{channel}.wav")))
    recording = lhotse.Recording("call", sources, RATE, RATE, 1.0, channel_ids=[0, 1])
    cuts = [lhotse.MonoCut(f"c{c}", 0, 1.0, c, recording=recording) for c in (0, 1)]
    lhotse.CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    opened = corpus.read(tmp_path / "cuts.jsonl")
    assert [(c.path, c.channel, sorted(pitch(opened, c))) for c in opened] == [
        ("0.wav", None, [500]),
        ("1.wav", None, [1100]),
    ]


def test_a_table_with_channels(tmp_path):
    call(tmp_path / "call.wav")
    lines = ["path,transcript,channel", "call.wav,hello,0", "call.wav,yes,1", "call.wav,both,", "call.wav,left,L"]
    text(tmp_path / "manifest.csv", "\n".join(lines))
    opened = corpus.read(tmp_path)
    assert heard(opened) == [(None, "both", [], [500, 1100]), (0, "hello", [], [500]), (1, "yes", [], [1100])]
    assert [p["reason"] for p in opened.problems] == ["line 5: channel must be a whole number from 0, not 'L'"]
