"""Phones: what the labels of a phone tier mean, whichever set they are written in, and their phonological classes.

`phone("AH0")`, `phone("ax")` and `phone("ə")` are the same `Phone`. Labels are ARPAbet (with or without stress, in
either case, with flite's, TIMIT's and Kaldi's additions) or IPA (with diacritics, as Montreal's aligner writes it).
The two disagree only on a few letters, such as `y`, so the set is found from all labels of a tier: `phone_set`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

PhoneSet = Literal["arpabet", "ipa"]

CLASSES: dict[str, tuple[str, ...]] = {
    "kind": ("vowel", "consonant"),
    "voicing": ("voiced", "voiceless"),
    "manner": ("stop", "affricate", "fricative", "nasal", "liquid", "glide", "tap", "click"),
    "sonority": ("sonorant", "obstruent"),
    "sibilance": ("sibilant",),
    "place": (
        *("bilabial", "labiodental", "dental", "alveolar", "postalveolar", "retroflex"),
        *("palatal", "labiovelar", "velar", "uvular", "pharyngeal", "glottal"),
    ),
    "area": ("labial", "coronal", "dorsal", "laryngeal"),
    "height": ("high", "mid", "low"),
    "backness": ("front", "central", "back"),
    "rounding": ("rounded", "unrounded"),
    "tenseness": ("tense", "lax"),
    "movement": ("monophthong", "diphthong"),
    "color": ("rhotic", "lateral", "syllabic", "reduced"),
}
"""The groups of classes. A phone is in at most one class of a group, except of "area" (/w/ is labial and dorsal)
and "color"; the classes of diphthongs are those of their first half."""


@dataclass(frozen=True, slots=True)
class Phone:
    """One phone and what is known of how it is made. What does not apply is None."""

    ipa: str
    """In IPA, without stress, length or diacritics; "" for silence."""
    arpabet: str | None
    """In ARPAbet without stress, upper case; None where English has no such phone; "SIL" for silence."""
    kind: Literal["vowel", "consonant", "silence", "noise"]
    voicing: str | None = None
    manner: str | None = None
    place: str | None = None
    height: str | None = None
    backness: str | None = None
    rounding: str | None = None
    flags: frozenset[str] = frozenset()
    """Of the groups tenseness and color, and "diphthong"."""

    @property
    def name(self) -> str:
        """What to call it in a table: ARPAbet if it has a name there, else IPA."""
        return self.arpabet or self.ipa

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class of `CLASSES` that it is in, in their order; none for silence and noise."""
        if self.kind not in {"vowel", "consonant"}:
            return ()
        sonorant = self.kind == "vowel" or self.manner in {"nasal", "liquid", "glide", "tap"}
        found = {self.kind, self.voicing, self.manner, self.place, self.height, self.backness, self.rounding}
        found |= {"sonorant" if sonorant else "obstruent", *_AREAS.get(self.place or "", ()), *self.flags}
        if self.kind == "vowel" and "diphthong" not in self.flags:
            found.add("monophthong")
        if self.manner in {"fricative", "affricate"} and self.ipa in _SIBILANTS:
            found.add("sibilant")
        return tuple(name for group in CLASSES.values() for name in group if name in found)


_AREAS = {
    **dict.fromkeys(("bilabial", "labiodental"), ("labial",)),
    **dict.fromkeys(("dental", "alveolar", "postalveolar", "retroflex"), ("coronal",)),
    **dict.fromkeys(("palatal", "velar", "uvular"), ("dorsal",)),
    **dict.fromkeys(("pharyngeal", "glottal"), ("laryngeal",)),
    "labiovelar": ("labial", "dorsal"),
}
_SIBILANTS = frozenset(("s", "z", "ʃ", "ʒ", "ʂ", "ʐ", "ɕ", "ʑ", "ts", "dz", "tʃ", "dʒ", "tʂ", "dʐ", "tɕ", "dʑ"))

# IPA, ARPAbet or -, voicing, place, manner and flags. Source: the IPA chart (2020); ARPAbet as in CMUdict and TIMIT.
_CONSONANTS = """
p P voiceless bilabial stop | b B voiced bilabial stop | t T voiceless alveolar stop | d D voiced alveolar stop
k K voiceless velar stop | ɡ G voiced velar stop | ʔ - voiceless glottal stop
ʈ - voiceless retroflex stop | ɖ - voiced retroflex stop | c - voiceless palatal stop | ɟ - voiced palatal stop
q - voiceless uvular stop | ɢ - voiced uvular stop
ɓ - voiced bilabial stop | ɗ - voiced alveolar stop | ʄ - voiced palatal stop | ɠ - voiced velar stop
tʃ CH voiceless postalveolar affricate | dʒ JH voiced postalveolar affricate
f F voiceless labiodental fricative | v V voiced labiodental fricative
θ TH voiceless dental fricative | ð DH voiced dental fricative
s S voiceless alveolar fricative | z Z voiced alveolar fricative
ʃ SH voiceless postalveolar fricative | ʒ ZH voiced postalveolar fricative
h HH voiceless glottal fricative | ɦ HH voiced glottal fricative
ɸ - voiceless bilabial fricative | β - voiced bilabial fricative
ʂ - voiceless retroflex fricative | ʐ - voiced retroflex fricative
ɕ - voiceless palatal fricative | ʑ - voiced palatal fricative
ç - voiceless palatal fricative | ʝ - voiced palatal fricative
x - voiceless velar fricative | ɣ - voiced velar fricative
χ - voiceless uvular fricative | ʁ - voiced uvular fricative
ħ - voiceless pharyngeal fricative | ʕ - voiced pharyngeal fricative
ɬ - voiceless alveolar fricative lateral | ɮ - voiced alveolar fricative lateral
m M voiced bilabial nasal | n N voiced alveolar nasal | ŋ NG voiced velar nasal
ɱ - voiced labiodental nasal | ɳ - voiced retroflex nasal | ɲ - voiced palatal nasal | ɴ - voiced uvular nasal
l L voiced alveolar liquid lateral | ɫ L voiced alveolar liquid lateral | ɭ - voiced retroflex liquid lateral
ʎ - voiced palatal liquid lateral | ʟ - voiced velar liquid lateral
ɹ R voiced alveolar liquid rhotic | ɻ R voiced retroflex liquid rhotic
r - voiced alveolar liquid rhotic | ʀ - voiced uvular liquid rhotic | ʙ - voiced bilabial liquid
ɾ DX voiced alveolar tap | ɽ - voiced retroflex tap | ⱱ - voiced labiodental tap | ɺ - voiced alveolar tap lateral
j Y voiced palatal glide | w W voiced labiovelar glide | ʍ W voiceless labiovelar glide
ɥ - voiced palatal glide | ɰ - voiced velar glide | ʋ - voiced labiodental glide
ʘ - voiceless bilabial click | ǀ - voiceless dental click | ǃ - voiceless alveolar click
ǂ - voiceless palatal click | ǁ - voiceless alveolar click lateral
"""
# IPA, ARPAbet or -, height, backness, rounding and flags. Tense and lax are said of the vowels of English only.
_VOWELS = """
i IY high front unrounded tense | ɪ IH high front unrounded lax | ɨ IH high central unrounded reduced
u UW high back rounded tense | ʊ UH high back rounded lax | ʉ UW high central rounded tense
e - mid front unrounded | ɛ EH mid front unrounded lax | æ AE low front unrounded lax
o - mid back rounded | ɔ AO mid back rounded tense | ɑ AA low back unrounded tense | ɒ AA low back rounded lax
ʌ AH mid central unrounded lax | ə AH mid central unrounded lax reduced
ɝ ER mid central unrounded tense rhotic | ɚ ER mid central unrounded lax rhotic reduced
y - high front rounded | ʏ - high front rounded | ø - mid front rounded | œ - mid front rounded | ɶ - low front rounded
ɯ - high back unrounded | ɤ - mid back unrounded | ɘ - mid central unrounded | ɵ - mid central rounded
ɜ ER mid central unrounded tense | ɞ - mid central rounded | a - low central unrounded | ɐ AH low central unrounded
aɪ AY low central unrounded tense diphthong | aʊ AW low central unrounded tense diphthong
eɪ EY mid front unrounded tense diphthong | oʊ OW mid back rounded tense diphthong
ɔɪ OY mid back rounded tense diphthong
"""


def _table() -> dict[str, Phone]:
    found: dict[str, Phone] = {}
    for entry in re.split(r"[|\n]", _CONSONANTS.strip()):
        ipa, arpabet, voicing, place, manner, *flags = entry.split()
        name = None if arpabet == "-" else arpabet
        found[ipa] = Phone(ipa, name, "consonant", voicing, manner, place, flags=frozenset(flags))
    for entry in re.split(r"[|\n]", _VOWELS.strip()):
        ipa, arpabet, height, backness, rounding, *flags = entry.split()
        name = None if arpabet == "-" else arpabet
        found[ipa] = Phone(ipa, name, "vowel", "voiced", None, None, height, backness, rounding, frozenset(flags))
    return found


PHONES: dict[str, Phone] = _table()
"""Every phone with an IPA letter of its own, and the affricates and diphthongs of English, by IPA."""

SILENCE = Phone("", "SIL", "silence")
NOISE = Phone("", "SPN", "noise")

ARPABET: dict[str, str] = {
    **{phone.arpabet: ipa for ipa, phone in reversed(PHONES.items()) if phone.arpabet},  # the first of a name counts
    **{"AH": "ʌ", "AX": "ə", "ER": "ɝ", "UW": "u", "HH": "h", "R": "ɹ", "AXR": "ɚ", "IX": "ɨ", "UX": "ʉ"},
    **{"AX-H": "ə", "HV": "ɦ", "Q": "ʔ", "NX": "ɾ", "EL": "l", "EM": "m", "EN": "n", "ENG": "ŋ", "WH": "ʍ"},
    **{"PCL": "p", "BCL": "b", "TCL": "t", "DCL": "d", "KCL": "k", "GCL": "ɡ"},
}
"""ARPAbet without stress, with the additions of flite (`ax`) and TIMIT, to IPA."""

_UNSTRESSED = {"AH": "ə", "ER": "ɚ"}
_SYLLABIC = frozenset({"EL", "EM", "EN", "ENG"})
_SILENT = frozenset(
    {
        "",
        "sil",
        "sp",
        "pau",
        "h#",
        "#h",
        "epi",
        "<sil>",
        "<eps>",
        "<p>",
        "<p:>",
        "(...)",
        "_",
        "#",
        "ssil",
        "<s>",
        "</s>",
    }
)
_NOISY = frozenset(
    {"spn", "nsn", "lau", "noise", "<unk>", "unk", "<nsn>", "<spn>", "+spn+", "+noise+", "+breath+", "br"}
)
_MARKS = "ˈˌːˑ˞ʰʱʲʷˠˤⁿˡ˺̚'’.˔˕→"  # stress, length and secondary articulations that do not change a phone's classes
_GLIDES = {"j": "ɪ", "w": "ʊ", "i": "ɪ", "u": "ʊ", "ɪ": "ɪ", "ʊ": "ʊ"}  # how the second half of a diphthong is written


def phone(label: str, phone_set: PhoneSet | None = None) -> Phone | None:
    """What a label of a phone tier stands for; None if it is no phone that is known.

    Args:
        label: as it is in the tier: "AH0", "ah", "ax", "tʃ", "aɪ", "SIL", "pau", "t̪ʰ", "AH0_B" (Kaldi's).
        phone_set: how it is written, from `phone_set` over the whole tier. None: IPA if it has a letter that ARPAbet
            does not, else ARPAbet if it can be that.
    """
    if phone_set is None:
        return _arpabet(label) or _ipa(label) if label.isascii() else _ipa(label)
    return _ipa(label) if phone_set == "ipa" else _arpabet(label)


def phone_set(labels: Iterable[str]) -> PhoneSet:
    """Which set a tier is written in: "ipa" if more of the different labels that are not silence can be read so."""
    distinct = {label for label in labels if not is_silence(label)}
    ipa, arpabet = (sum(reader(label) is not None for label in distinct) for reader in (_ipa, _arpabet))
    return "ipa" if ipa > arpabet else "arpabet"


def without_stress(label: str) -> str:
    """An ARPAbet label without its stress digit: "AH0" -> "AH"; in IPA, without the marks of stress."""
    return re.sub(r"(?<=[A-Za-z])[012]$", "", label).strip("ˈˌ")


def stress(label: str) -> int | None:
    """The stress of a vowel: 0 none, 1 primary, 2 secondary; None where the label does not say."""
    if digit := re.search(r"(?<=[A-Za-z])[012](?=$|_[BIES]$)", label):
        return int(digit[0])
    return 1 if label.startswith("ˈ") else 2 if label.startswith("ˌ") else None


def is_silence(label: str) -> bool:
    """Whether a label of a phone or word tier marks silence: "", "SIL", "sp", "pau", "h#", "<eps>", "SIL_S"..."""
    return _without_position(label).lower() in _SILENT


@functools.cache
def _arpabet(label: str) -> Phone | None:
    if (other := _other(label)) is not None:
        return other
    bare = _without_position(label)
    name = without_stress(bare).upper()
    if name not in ARPABET:
        return None
    ipa = _UNSTRESSED.get(name, ARPABET[name]) if stress(bare) == 0 else ARPABET[name]
    found = PHONES[ipa]
    return replace(found, flags=found.flags | {"syllabic"}) if name in _SYLLABIC else found


@functools.cache
def _ipa(label: str) -> Phone | None:
    if (other := _other(label)) is not None:
        return other
    marked = unicodedata.normalize("NFD", label.strip()).replace("c\u0327", "ç")  # a letter, not c with a mark
    rhotic = "˞" in marked
    plain = "".join(c for c in marked if not unicodedata.combining(c) and c not in _MARKS)
    plain = plain.replace("g", "ɡ").replace("ʧ", "tʃ").replace("ʤ", "dʒ").replace("ʦ", "ts").replace("ʣ", "dz")
    found = PHONES.get(plain) or _joined(plain)
    if found is None:
        return None
    flags = set(found.flags)
    if rhotic and found.kind == "vowel":
        found = PHONES["ɝ"] if plain in {"ɜ", "ə"} else found
        flags = {*found.flags, "rhotic"}
    if "\u0329" in marked and found.kind == "consonant":
        flags.add("syllabic")
    voiceless = "\u0325" in marked or "\u030a" in marked  # a ring below or above
    if not voiceless and flags == found.flags:
        return found
    return replace(found, flags=frozenset(flags), voicing="voiceless" if voiceless else found.voicing)


def _joined(plain: str) -> Phone | None:
    """A diphthong or an affricate that is not in the table, from its two letters."""
    if len(plain) != 2 or not (plain[0] in PHONES and plain[1] in PHONES):
        return None
    first, second = PHONES[plain[0]], PHONES[plain[1]]
    if first.kind == "vowel" and (second.kind == "vowel" or plain[1] in _GLIDES):
        near = {"ə": "o", "ɒ": "ɔ", "ɛ": "e", "æ": "a", "ɑ": "a"}  # how English diphthongs begin in other notations
        for start in (plain[0], near.get(plain[0], plain[0])):
            if (known := PHONES.get(start + _GLIDES.get(plain[1], plain[1]))) is not None:
                return known
        if plain[0] == plain[1]:  # a long vowel, written twice
            return first
        return replace(first, ipa=plain, arpabet=None, flags=first.flags - {"tense", "lax", "reduced"} | {"diphthong"})
    if first.manner == "stop" and second.manner == "fricative":
        return replace(second, ipa=plain, arpabet=None, manner="affricate")
    return None


def _without_position(label: str) -> str:
    """A label without the mark of Kaldi for begin, internal, end or single: "AH0_B" -> "AH0"."""
    return re.sub(r"_[BIES]$", "", label.strip())


def _other(label: str) -> Phone | None:
    if is_silence(label):
        return SILENCE
    return NOISE if label.strip().lower() in _NOISY else None
