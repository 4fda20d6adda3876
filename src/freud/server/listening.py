"""The blind listening test: can somebody who knows a feature's name tell its events from look-alikes by ear?

The questions are those of `freud.naming.detection`, on clips that the name was not found on. They depend on nothing but
the feature, its side, how many there are and a seed, so nothing is kept between asking and scoring. What is asked does
not give the answers away.
"""

from __future__ import annotations

from freud.errors import FreudError
from freud.naming import detection
from freud.server import schemas
from freud.server.labels import named
from freud.server.result import IndexedSite


def questions(site: IndexedSite, feature: int, *, side: schemas.Side, n: int, seed: int) -> list[schemas.Question]:
    """What to play, in random order; half of the marks, or a few less, are on events.

    Raises:
        UnknownNameError: no such feature.
        FreudError: it has fewer than two events on held-out clips, or `freud name` has not been run.
    """
    asked = _items(site, feature, side, n, seed)
    return [
        schemas.Question(
            clip=item.clip, start=item.start, end=item.end, mark_start=item.mark_start, mark_end=item.mark_end
        )
        for item in asked
    ]


def score(site: IndexedSite, feature: int, answered: schemas.Answers) -> schemas.Detection:
    """How well the questions of the same side, number and seed were answered, and the truth.

    Raises:
        UnknownNameError: no such feature.
        FreudError: not one answer to each question, or as above.
    """
    asked = _items(site, feature, answered.side, answered.n, answered.seed)
    if len(asked) != len(answered.answers):
        raise FreudError(f"answers: {len(answered.answers)} to {len(asked)} questions; expected one to each")
    found = detection.score([item.fires for item in asked], answered.answers)
    truth = [schemas.Truth(clip=item.clip, name=item.name, fires=item.fires, heard=item.heard) for item in asked]
    return schemas.Detection(**vars(found), truth=truth)


def _items(site: IndexedSite, feature: int, side: schemas.Side, n: int, seed: int) -> list[detection.Item]:
    found = detection.items(site.index, named(site), feature, n, side=side, seed=seed)
    if not found:
        raise FreudError(f"feature {feature}{side}: no place on held-out clips is free of it, so nothing can be asked")
    return found
