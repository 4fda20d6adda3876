"""Which tiers hold words or phones, and of which speaker: aligners write a pair of tiers for each speaker."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS, PHONES = "words?|wrd", "phone(?:me)?s?|phn"

# The unit and what may stand around: "words", "anna - words" (Montreal Forced Aligner), "wrd@A" (ELAN), "words_2".
_AROUND = r"(?i:(?P<before>|.*[^a-z])(?:{unit})(?:[ _.-]*\d*|(?P<behind>@.*)))"


def tiers_of(unit: str, tiers: Iterable[str]) -> dict[str, str]:
    """The tiers of `WORDS` or `PHONES`, each with its speaker, "" if its name has none."""
    matches = {name: re.fullmatch(_AROUND.format(unit=unit), name) for name in tiers}
    return {
        name: f"{match['before']}{match['behind'] or ''}".strip(" @-_.:|") for name, match in matches.items() if match
    }
