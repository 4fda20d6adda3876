"""Tiers of several speakers in a recording, as the Montreal Forced Aligner and ELAN name them."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from freud import corpus
from freud.corpus.tiers import Interval, textgrid
from freud.corpus.units import WORDS
from freud.naming.labels import LabelBank, _speakers_of


@pytest.mark.parametrize(
    ("tiers", "speakers"),
    [
        (["phones", "words"], {"words": ""}),
        (["anna - phones", "anna - words", "ben - words"], {"anna - words": "anna", "ben - words": "ben"}),
        (["words@A", "words@B", "tx@A"], {"words@A": "A", "words@B": "B"}),
        (["wrd-A", "A_wrd", "WORD 2"], {"A_wrd": "A", "WORD 2": ""}),
        (["keywords", "word class", "words"], {"words": ""}),
        (["wordtier", "word class"], {"wordtier": ""}),
        (["utterances"], {}),
    ],
)
def test_which_tiers_are_words(tiers, speakers):
    assert _speakers_of(WORDS, tiers) == speakers


def test_the_speech_of_every_speaker_is_speech(tmp_path):
    """Two speakers who take turns and overlap; each word is divided by the phones of its own speaker."""
    rows = [
        Interval("anna - words", 0.5, 0.6, "hi"),
        Interval("anna - phones", 0.5, 0.55, "HH"),
        Interval("anna - phones", 0.55, 0.6, "AY1"),
        Interval("ben - words", 0.56, 0.7, "yes"),
        Interval("ben - phones", 0.56, 0.6, "Y"),
        Interval("ben - phones", 0.6, 0.66, "EH1"),
        Interval("ben - phones", 0.66, 0.7, "S"),
        Interval("ben - words", 1.2, 1.3, "<unk>"),
        Interval("ben - phones", 1.2, 1.3, "spn"),
    ]
    for name in range(6):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(32_000), 16_000)
        (tmp_path / f"{name}.TextGrid").write_text(textgrid(rows, 2.0))
    opened = corpus.read(tmp_path)
    assert {clip.transcript for clip in opened} == {"hi yes"}
    bank = LabelBank(opened, kinds=["phone", "word", "silence", "tier", "place"])
    assert not [label.id for label in bank.labels if label.kind == "tier"]
    assert {"word:hi", "word:yes", "phone:HH", "phone:EH"} <= set(bank.index)
    frames = bank.frames(0, 100)

    def labels_at(time: float) -> set[str]:
        return {label for label, column in bank.index.items() if frames[int(time * 50), column] == 1}

    assert {"word:hi", "phone:AY", "word:yes", "phone:Y"} <= labels_at(0.59)
    assert "place:first phone of a word" in labels_at(0.51)
    assert "place:last phone of a word" in labels_at(0.57), "anna's AY, though ben has spoken since"
    assert "place:last phone of a word" not in labels_at(0.63)
    assert "silence:silence" not in labels_at(0.63) | labels_at(1.25)
    assert "silence:silence" in labels_at(0.9)
