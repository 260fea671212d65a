"""Which text a question of a conversation is searched with. Pure; no model is asked to rewrite it.

A question that is sure of its answer by itself is searched as it is. One that is not may be a follow-up, such as "and
for kids?", so a short one is also searched behind the question before it. That text nearly always finds something: what
the question before has found. So the entry that it finds must know what is new in the follow-up, or it is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from rag.terms import is_pair, terms

MOST_NEW = 3
"""A follow-up leans on what was said: it brings at most so many words or Chinese characters of its own."""
SURE = 0.9
"""From this probability on an answer that a question finds by itself is its own, whatever was said before it."""
LEAST_KNOWN = 0.5
"""The share of them that the entry has at least."""
MOST_CHARACTERS = 500
"""Longer texts are no question to lean on, and an embedding model would read no further."""

# Beside the stop words of search, which must know "how often" from "how long": here only a topic counts.
_NO_TOPIC = frozenset(
    terms(
        """
        much many often long far until all one no not yes isn go going get got take want know else also too instead even
        still yet well ok thank hi hello 能 会 要 可 还 也 都 就 再 又 然 后 另 外 其 他 久 时 间 长 天 款
        """
    )
)


def texts(question: str, history: Sequence[str]) -> tuple[str, ...]:
    """What to search for: the question, and where it may be a follow-up, the same behind the one before it.

    ``history`` are the questions before it, oldest first; the last one counts.
    """
    before = history[-1] if history else ""
    if not before.strip() or len(before) > MOST_CHARACTERS or len(_new(question, before)) > MOST_NEW:
        return (question,)
    return question, f"{before} {question}"


def is_known(question: str, history: Sequence[str], entry: Set[str]) -> bool:
    """Whether an entry with these terms can be what the follow-up asks about."""
    new = _new(question, history[-1])
    return len(new & entry) >= LEAST_KNOWN * len(new)


def _new(question: str, before: str) -> frozenset[str]:
    """What the question brings. Pairs of characters say again what their characters say."""
    return frozenset(term for term in terms(question) if not is_pair(term)) - frozenset(terms(before)) - _NO_TOPIC
