"""How much of a conversation's prompts the engine had in its prefix cache, and how much it could have had. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile


@dataclass(frozen=True)
class Turn:
    """One turn as the engine saw it, in token ids. ``cached`` of the prompt's tokens it had, as its usage tells."""

    prompt: Sequence[int]
    answer: Sequence[int]
    cached: int


@dataclass(frozen=True)
class Reuse:
    """Tokens of all prompts behind the first: all of them, those that could be reused, those that were.

    ``unchanged`` tokens stand at a prompt's start exactly as they stood in the prompt and answer of the turn before.
    """

    prompts: int
    unchanged: int
    hits: int

    @property
    def of_unchanged(self) -> float:
        """The share of what could be reused that was."""
        return self.hits / self.unchanged

    @property
    def of_prompts(self) -> float:
        """The share of all prompt tokens that nobody had to compute."""
        return self.hits / self.prompts


def reuse(turns: Sequence[Turn]) -> Reuse:
    """Of one conversation, in its order, of two turns at least. A hit beyond what is unchanged is luck: not counted."""
    unchanged = [shared([*before.prompt, *before.answer], after.prompt) for before, after in pairwise(turns)]
    hits = [min(same, turn.cached) for same, turn in zip(unchanged, turns[1:], strict=True)]
    return Reuse(sum(len(turn.prompt) for turn in turns[1:]), sum(unchanged), sum(hits))


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
