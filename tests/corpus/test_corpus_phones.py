"""Phone labels of every set, and their classes, against the IPA chart and the labels of the bundled corpus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freud import corpus
from freud.corpus.phones import ARPABET, CLASSES, PHONES, is_silence, phone, phone_set, stress, without_stress

# The 39 phones of CMUdict with its own classes (cmudict-0.7b.phones).
CMUDICT = {
    "vowel": "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW",
    "stop": "B D G K P T",
    "affricate": "CH JH",
    "fricative": "DH F S SH TH V Z ZH HH",
    "nasal": "M N NG",
    "liquid": "L R",
    "glide": "W Y",
}


@pytest.mark.parametrize(("name", "symbols"), CMUDICT.items())
def test_arpabet_agrees_with_cmudict(name, symbols):
    for symbol in symbols.split():
        for label in (symbol, symbol.lower(), f"{symbol}1", f"{symbol}0_B"):
            found = phone(label)
            assert found is not None
            assert found.name == symbol
            assert name in found.classes


@pytest.mark.parametrize(
    ("labels", "name", "ipa"),
    [
        ("AH1 ah ʌ", "AH", "ʌ"),
        ("AH0 ax ə ax-h", "AH", "ə"),
        ("er ER1 ɝ ɝː ɜ˞", "ER", "ɝ"),
        ("axr ER0 ɚ", "ER", "ɚ"),
        ("ow əʊ əw oʊ ow OW2", "OW", "oʊ"),
        ("ay aj aɪ AY1", "AY", "aɪ"),
        ("t T t̪ tʰ tcl tʲ", "T", "t"),
        ("CH ch tʃ t͡ʃ ʧ", "CH", "tʃ"),
        ("g G ɡ ɡʷ", "G", "ɡ"),
        ("n̩ en n N", "N", "n"),
        ("sil SIL sp pau h# <eps> SIL_S", "SIL", ""),
        ("spn <unk>", "SPN", ""),
    ],
)
def test_the_same_phone_in_every_set(labels, name, ipa):
    for label in labels.split():
        found = phone(label)
        assert found is not None
        assert (found.name, found.ipa) == (name, ipa), label


def test_classes():
    def classes(label: str) -> set[str]:
        found = phone(label)
        assert found is not None
        return set(found.classes)

    assert classes("m") == {"consonant", "voiced", "nasal", "sonorant", "bilabial", "labial"}
    assert classes("SH") >= {"consonant", "voiceless", "fricative", "obstruent", "sibilant", "postalveolar", "coronal"}
    assert classes("w") >= {"glide", "labial", "dorsal", "labiovelar"}
    assert classes("UW1") >= {"vowel", "high", "back", "rounded", "tense", "monophthong"}
    assert classes("oy") >= {"diphthong", "mid", "back", "rounded"}
    assert "monophthong" not in classes("oy")
    assert "syllabic" in classes("n̩")
    assert "voiceless" in classes("b̥")
    assert "voiced" not in classes("b̥")
    assert classes("ç") >= {"palatal", "fricative"}
    assert classes("t͡s") >= {"affricate", "alveolar", "sibilant"}
    assert classes("sil") == set()


def test_every_phone_is_in_one_class_of_a_group():
    for found in PHONES.values():
        assert len(set(found.classes)) == len(found.classes)
        for group, names in CLASSES.items():
            count = len(set(names) & set(found.classes))
            assert count <= 1 or group in {"area", "color"}, (found, group)
        assert {"vowel", "consonant"} & set(found.classes)
        assert {"voiced", "voiceless"} & set(found.classes)
        assert {"manner", "height"} & {g for g, names in CLASSES.items() if set(names) & set(found.classes)}
    named = {name for group in CLASSES.values() for name in group}
    assert {name for found in PHONES.values() for name in found.classes} == named - {"syllabic"}
    assert set(ARPABET.values()) <= set(PHONES)


def test_letters_on_which_the_sets_disagree_are_told_by_the_tier():
    french = ["t", "y", "ʁ", "ø"]
    english = ["t", "y", "aa", "hh"]
    assert (phone_set(french), phone_set(english)) == ("ipa", "arpabet")
    assert phone("y", phone_set(french)) is PHONES["y"]
    assert phone("y", phone_set(english)) is PHONES["j"]
    assert phone_set([]) == "arpabet"
    assert phone("ə", "arpabet") is None
    assert phone("aa", "ipa") is PHONES["a"]  # a long vowel
    assert phone("dog") is None


def test_stress():
    assert [without_stress(label) for label in ("AH0", "ah", "ˈaɪ", "T", "SIL")] == ["AH", "ah", "aɪ", "T", "SIL"]
    assert [stress(label) for label in ("AH0", "AH1", "AH2_E", "ah", "ˈaɪ", "ˌaɪ")] == [0, 1, 2, None, 1, 2]
    assert [is_silence(label) for label in ("", "Sil", "spn", "s")] == [True, True, False, False]


@given(st.text(max_size=6))
def test_any_text_is_a_phone_or_none(label):
    found = phone(label)
    assert found is None or set(found.classes) <= {name for group in CLASSES.values() for name in group}


def test_every_label_of_the_demo_is_known(demo: corpus.Corpus):
    table = demo.segment_table
    labels = {row["label"] for row in table.to_pylist() if row["tier"] == "phones"}
    assert phone_set(labels) == "arpabet"
    assert {found.name for label in labels if (found := phone(label, "arpabet"))} == {
        *(symbol for symbols in CMUDICT.values() for symbol in symbols.split()),
        "SIL",
    }


@pytest.mark.shared
def test_every_label_of_the_shared_recordings_is_known(shared):
    folder = shared / "data" / "real-audio"
    lines = [line for path in folder.glob("*/*.phones.tsv") for line in path.read_text("utf-8").splitlines()]
    labels = {line.split("\t")[2] for line in lines}
    assert [label for label in labels if phone(label, phone_set(labels)) is None] == []
    assert "SIL" in {phone(label).name for label in labels}  # pyright: ignore
