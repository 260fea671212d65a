"""What a misspelt word was meant to be, among the words that are at hand. Pure.

One slip is forgiven: a letter too many, too few, wrong, or two that changed places (Damerau, "A technique for computer
detection and correction of spelling errors", 1964: four of five slips are one of these). The first letter must be
right, and short words must be right altogether: they have too many neighbours.
"""

from __future__ import annotations

from collections.abc import Set

SHORTEST = 5
"""Letters that the longer of both words has at least."""


def meant(words: Set[str], known: Set[str]) -> frozenset[str]:
    """``words``, each that is not ``known`` replaced by the known words that it is one slip away from, if any.

    What has a digit stays as it is: a number, or Chinese, which ``rag.terms`` writes as code points.
    """
    unknown = {word for word in words - known if word.isalpha()}
    if not unknown:
        return frozenset(words)
    by_letter: dict[str, list[str]] = {}
    for word in known:
        by_letter.setdefault(word[0], []).append(word)
    near = {word: [one for one in by_letter.get(word[0], ()) if _is_a_slip(word, one)] for word in unknown}
    return frozenset(words - unknown).union(*(found or [word] for word, found in near.items()))


def _is_a_slip(word: str, other: str) -> bool:
    if abs(len(word) - len(other)) > 1 or max(len(word), len(other)) < SHORTEST:
        return False
    same = next((i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other)))
    rest, others = word[same:], other[same:]
    return (
        rest[1:] == others[1:]  # one wrong letter
        or rest[1:] == others  # one too many
        or rest == others[1:]  # one too few
        or (rest[1::-1] == others[:2] and rest[2:] == others[2:])  # two that changed places
    )
