"""Sentences to be spoken: everyday words in a small grammar, mixed with words of Debian's `wamerican` list and, in
later shards, of `wamerican-huge`, which has three times as many.

Two kinds of words never reach training. *Unseen words* are a hashed 1/20 of the dictionary, and *held-out
sentences* are those whose hash falls in a reserved 1/20 of all sentences; both are decided by the text alone.
"""

import hashlib
import random
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

DICTIONARY = Path("/usr/share/dict/american-english")
HUGE_DICTIONARY = Path("/usr/share/dict/american-english-huge")


def _read_words() -> SimpleNamespace:
    table = tomllib.loads((Path(__file__).parent / "words.toml").read_text())
    separator = {"asides": r",\s+"}
    return SimpleNamespace(**{slot: re.split(separator.get(slot, r"\s+"), words) for slot, words in table.items()})


WORDS = _read_words()


def digest(text: str) -> int:
    """A stable hash of a string, the same on every machine and in every process."""
    return int.from_bytes(hashlib.md5(text.encode()).digest()[:4], "big")


@cache
def everyday_words() -> frozenset[str]:
    """The words of the small grammar; all are used in training."""
    words = " ".join(" ".join(slot) for slot in vars(WORDS).values())
    return frozenset([*words.split(), "was", "is", "were", "are", "to", "of", "very", "not"])


@cache
def dictionary(path: Path = DICTIONARY) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A dictionary's words of three to nine letters outside the grammar: (for training, unseen)."""
    lines = path.read_text(encoding="utf-8").split()
    sayable = re.compile(r"(?![ivxlcdm]+$)(?=.*[aeiouy])[a-z]{3,9}")  # no Roman numerals
    words = sorted({w for w in lines if sayable.fullmatch(w)} - everyday_words())
    unseen = [digest(w) % 20 == 0 for w in words]
    return (
        tuple(w for w, held in zip(words, unseen, strict=True) if not held),
        tuple(w for w, held in zip(words, unseen, strict=True) if held),
    )


@cache
def wide_pool() -> tuple[str, ...]:
    """The training words of both dictionaries: those of the smaller twice, as they are the usual ones."""
    return dictionary()[0] + dictionary(HUGE_DICTIONARY)[0]


class Grammar:
    """Samples sentences; `rare` is the chance that an open slot is filled from the dictionary."""

    def __init__(self, rng: random.Random, rare: float, soup: float, pool: tuple[str, ...] | None) -> None:
        self.rng, self.rare, self.soup = rng, rare, soup
        self.pool = dictionary()[0] if pool is None else pool

    def pick(self, words: list[str]) -> str:
        return self.rng.choice(words)

    def dictionary_word(self) -> str:
        """A dictionary word; of two drawn the shorter, so that short ones are usual."""
        return min(self.rng.choice(self.pool), self.rng.choice(self.pool), key=len)

    def open_slot(self, words: list[str]) -> str:
        return self.dictionary_word() if self.rng.random() < self.rare else self.pick(words)

    def noun_phrase(self) -> str:
        r = self.rng.random()
        if r < 0.08:
            return self.pick(WORDS.names)
        if r < 0.2:
            return f"{self.pick(WORDS.numbers)} {self.open_slot(WORDS.plurals)}"
        adjective = f"{self.open_slot(WORDS.adjectives)} " if self.rng.random() < 0.4 else ""
        return f"{self.pick(WORDS.determiners)} {adjective}{self.open_slot(WORDS.nouns)}"

    def place(self) -> str:
        return f"{self.pick(WORDS.prepositions)} {self.noun_phrase()}"

    def clause(self) -> str:
        subject = self.pick(WORDS.pronouns) if self.rng.random() < 0.35 else self.noun_phrase()
        r = self.rng.random()
        if r < 0.2:
            be = self.pick(["was", "is", "were", "are"])
            return f"{subject} {be} {self.pick(['', 'very ', 'not '])}{self.open_slot(WORDS.adjectives)}"
        if r < 0.5:
            return f"{subject} {self.open_slot(WORDS.verbs_alone)} {self.place()}"
        if r < 0.62:
            return f"{subject} {self.open_slot(WORDS.verbs_alone)} {self.open_slot(WORDS.adverbs)}"
        tail = f" {self.place()}" if self.rng.random() < 0.35 else ""
        return f"{subject} {self.open_slot(WORDS.verbs)} {self.noun_phrase()}{tail}"

    def sentence(self) -> str:
        """One sentence in lower-case letters, spaces and commas."""
        if self.rng.random() < self.soup:
            words = [self.dictionary_word() for _ in range(self.rng.randint(3, 8))]
            return " ".join(w + "," * (self.rng.random() < 0.15) for w in words).rstrip(",")
        r = self.rng.random()
        if r < 0.45:
            return self.clause()
        if r < 0.6:
            return f"{self.clause()}, {self.pick(WORDS.joiners)} {self.clause()}"
        if r < 0.73:
            return f"{self.pick(WORDS.openers)} {self.clause()}, {self.clause()}"
        if r < 0.88:
            return f"{self.pick(WORDS.asides)}, {self.clause()}"
        first, second, third = self.noun_phrase(), self.noun_phrase(), self.noun_phrase()
        return f"{first}, {second}, and {third} were {self.open_slot(WORDS.adjectives)}"


def is_held_out(sentence: str) -> bool:
    return digest(sentence) % 20 == 0


def sentences(
    seed: int, *, held_out: bool, rare: float, soup: float, pool: tuple[str, ...] | None = None
) -> Iterator[str]:
    """An endless stream of sentences of one side of the split.

    `rare` is the chance that an open slot takes a word of `pool` (by default the dictionary's training
    words), `soup` the chance of a sentence of such words alone.
    """
    grammar = Grammar(random.Random(seed), rare, soup, pool)
    while True:
        sentence = grammar.sentence()
        if is_held_out(sentence) == held_out:
            yield sentence
