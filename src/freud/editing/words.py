"""Two transcripts side by side: which words differ, by jiwer's alignment, and error rates.

Words are compared as they are written, with punctuation and case: an edit that adds
commas did something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from freud.editing.result import Difference, DifferenceKind


def differences(before: Sequence[str], after: Sequence[str]) -> tuple[Difference, ...]:
    """Runs of words that are equal, inserted, deleted or substituted, in order; together they are both transcripts."""
    before, after = tuple(before), tuple(after)
    if not before or not after:
        kind = "delete" if before else "insert"
        return (Difference(kind, before, after, 0, 0),) if before or after else ()
    import jiwer

    (chunks,) = jiwer.process_words(" ".join(before), " ".join(after)).alignments
    return tuple(
        Difference(
            cast(DifferenceKind, chunk.type),
            before[chunk.ref_start_idx : chunk.ref_end_idx],
            after[chunk.hyp_start_idx : chunk.hyp_end_idx],
            chunk.ref_start_idx,
            chunk.hyp_start_idx,
        )
        for chunk in chunks
    )


def word_errors(found: Sequence[Difference]) -> int:
    """Substitutions, deletions and insertions."""
    return sum(max(len(each.before), len(each.after)) for each in found if each.kind != "equal")


def changed_words(found: Sequence[Difference]) -> set[int]:
    """Positions of the words of the first transcript that the other has not, or has something inserted before."""
    changed: set[int] = set()
    for each in found:
        if each.kind != "equal":
            changed.update(range(each.first, each.first + max(len(each.before), 1)))
    return changed


def character_errors(before: str, after: str) -> int:
    """Edit distance of characters."""
    if not before or not after:
        return len(before) + len(after)
    import jiwer

    found = jiwer.process_characters(before, after)
    return found.substitutions + found.deletions + found.insertions
