"""Sentences to be spoken: everyday words in a small grammar, mixed with words of Debian's `wamerican` list.

Two kinds of words never reach training. *Unseen words* are a hashed 1/20 of the dictionary, and *held-out
sentences* are those whose hash falls in a reserved 1/20 of all sentences; both are decided by the text alone.
"""

import hashlib
import random
import re
from functools import cache
from pathlib import Path

DICTIONARY = Path("/usr/share/dict/american-english")

NOUNS = """
    man woman boy girl child friend mother father sister brother baby king queen doctor teacher farmer driver
    captain soldier judge nurse cook singer painter writer neighbor stranger people dog cat horse bird fish cow
    sheep mouse lion bear fox wolf frog bee snake duck house home room door window wall floor roof kitchen garden
    street road bridge river lake sea ocean beach island mountain hill valley forest tree leaf flower grass stone
    rock sand field farm village town city school church market shop station train car bus truck boat ship plane
    wheel engine table chair bed lamp clock mirror picture book page letter paper pencil story song music voice
    noise sound word name question answer idea plan job game toy ball box bag basket bottle cup glass plate knife
    fork spoon bread butter cheese milk water tea coffee sugar salt egg apple orange lemon cake soup meat rice hat
    coat shirt shoe ring watch key coin money gold silver iron wood log oil fire smoke light shadow sun moon star
    sky cloud rain snow wind storm ice summer winter morning evening night day week month year hour minute moment
    measure treasure pleasure vision television garage beige eye ear nose mouth tooth hand finger foot leg arm
    head heart hair thing thumb path truth health weather feather leather machine village judge orange edge jar
    journey joy point coin choice voice boys fishing kitchen church watch match beach chair cheese""".split()
ADJECTIVES = """
    big small old young new good bad long short tall high low hot cold warm cool wet dry dark light bright heavy
    soft hard loud quiet fast slow early late happy sad angry tired hungry brave kind gentle clever strange famous
    rich poor strong weak clean dirty empty full open closed deep wide narrow thick thin round square sharp smooth
    rough sweet bitter fresh red blue green yellow white black brown gray golden broken lost wooden huge tiny
    lovely pretty wild busy safe usual casual thirsty healthy foolish noisy sure quick lazy silent narrow strict
    """.split()
VERBS = """
    saw heard found lost took gave made built broke opened closed carried pulled pushed held dropped threw caught
    bought sold paid kept left met helped called asked told taught showed followed watched loved liked hated
    wanted needed knew forgot remembered painted cleaned washed cooked ate drank tasted touched moved turned
    visited reached crossed passed joined enjoyed destroyed measured treasured changed charged chose used missed
    wished thanked fixed finished started stopped counted described""".split()
VERBS_ALONE = """
    went came ran walked jumped fell stood sat slept waited lived stayed worked played sang danced laughed cried
    smiled shouted spoke talked listened looked rode flew swam climbed arrived returned traveled rested
    disappeared appeared grew shone""".split()
PLURALS = "men women children friends dogs cats birds horses books trees houses boys girls ships stars eggs".split()
ADVERBS = """
    slowly quickly quietly loudly again always never often today yesterday together alone away there here
    suddenly finally usually gently early late nearly almost once twice soon""".split()
PREPOSITIONS = """
    in on under over near behind beside by from with without through across around between beyond into toward
    after before against along inside""".split()
DETERMINERS = "the the the the a a my your his her our their this that every another one".split()
NUMBERS = "two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty many few".split()
PRONOUNS = "he she we they you i it someone everyone nobody".split()
NAMES = "john mary tom anna peter lucy jack ruth george alice henry rose joyce roy ruth beth keith".split()
JOINERS = "and and but so because while".split()
OPENERS = "when if after before while because".split()
ASIDES = ["yes", "no", "well", "then", "perhaps", "of course", "at last", "in the end", "last night", "for a while"]


def digest(text: str) -> int:
    """A stable hash of a string, the same on every machine and in every process."""
    return int.from_bytes(hashlib.md5(text.encode()).digest()[:4], "big")


@cache
def everyday_words() -> frozenset[str]:
    """The words of the small grammar; all are used in training."""
    lists = (NOUNS, ADJECTIVES, VERBS, VERBS_ALONE, PLURALS, ADVERBS, PREPOSITIONS, DETERMINERS, NUMBERS)
    words = [*PRONOUNS, *NAMES, *JOINERS, *OPENERS, "was", "is", "were", "are", "to", "of", "very", "not"]
    return frozenset(words).union(*lists, *(aside.split() for aside in ASIDES))


@cache
def dictionary() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dictionary words of three to nine letters outside the grammar: (for training, unseen)."""
    lines = DICTIONARY.read_text(encoding="utf-8").split()
    words = sorted({w for w in lines if re.fullmatch("(?![ivxlcdm]+$)[a-z]{3,9}", w) and re.search("[aeiouy]", w)})
    words = [w for w in words if w not in everyday_words()]
    unseen = [digest(w) % 20 == 0 for w in words]
    return (
        tuple(w for w, held in zip(words, unseen, strict=True) if not held),
        tuple(w for w, held in zip(words, unseen, strict=True) if held),
    )


class Grammar:
    """Samples sentences; `rare` is the chance that an open slot is filled from the dictionary."""

    def __init__(self, rng: random.Random, rare: float, soup: float, pool: tuple[str, ...] | None = None) -> None:
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
            return self.pick(NAMES)
        if r < 0.2:
            return f"{self.pick(NUMBERS)} {self.open_slot(PLURALS)}"
        adjective = f"{self.open_slot(ADJECTIVES)} " if self.rng.random() < 0.4 else ""
        return f"{self.pick(DETERMINERS)} {adjective}{self.open_slot(NOUNS)}"

    def place(self) -> str:
        return f"{self.pick(PREPOSITIONS)} {self.noun_phrase()}"

    def clause(self) -> str:
        subject = self.pick(PRONOUNS) if self.rng.random() < 0.35 else self.noun_phrase()
        r = self.rng.random()
        if r < 0.2:
            be = self.pick(["was", "is", "were", "are"])
            return f"{subject} {be} {self.pick(['', 'very ', 'not '])}{self.open_slot(ADJECTIVES)}"
        if r < 0.5:
            return f"{subject} {self.open_slot(VERBS_ALONE)} {self.place()}"
        if r < 0.62:
            return f"{subject} {self.open_slot(VERBS_ALONE)} {self.open_slot(ADVERBS)}"
        tail = f" {self.place()}" if self.rng.random() < 0.35 else ""
        return f"{subject} {self.open_slot(VERBS)} {self.noun_phrase()}{tail}"

    def sentence(self) -> str:
        """One sentence in lower-case letters, spaces and commas."""
        if self.rng.random() < self.soup:
            words = [self.dictionary_word() for _ in range(self.rng.randint(3, 8))]
            return " ".join(w + "," * (self.rng.random() < 0.15) for w in words).rstrip(",")
        r = self.rng.random()
        if r < 0.45:
            return self.clause()
        if r < 0.6:
            return f"{self.clause()}, {self.pick(JOINERS)} {self.clause()}"
        if r < 0.73:
            return f"{self.pick(OPENERS)} {self.clause()}, {self.clause()}"
        if r < 0.88:
            return f"{self.pick(ASIDES)}, {self.clause()}"
        return f"{self.noun_phrase()}, {self.noun_phrase()}, and {self.noun_phrase()} were {self.open_slot(ADJECTIVES)}"


def is_held_out(sentence: str) -> bool:
    return digest(sentence) % 20 == 0


def sentences(seed: int, *, held_out: bool, rare: float, soup: float, pool: tuple[str, ...] | None = None):
    """An endless stream of sentences of one side of the split."""
    grammar = Grammar(random.Random(seed), rare, soup, pool)
    while True:
        sentence = grammar.sentence()
        if is_held_out(sentence) == held_out:
            yield sentence
