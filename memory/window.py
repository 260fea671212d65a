"""Which part of a history the model is shown, and how what it drops is handed on to be summarised. Pure.

When the history outgrows its budget the oldest half of it is dropped, at a turn boundary. Dropping one turn each time
would change the prompt's beginning with every question and defeat the engine's prefix cache; dropping half leaves the
beginning as it is for many turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from contracts.messages import ChatMessage
from memory.history import Turn

Count = Callable[[str], int]


def fit(turns: Sequence[Turn], budget_tokens: int, count: Count) -> list[ChatMessage]:
    """The messages of the turns that fit into ``budget_tokens``, oldest first."""
    start = start_of(turns, budget_tokens, count)
    return [message for turn in turns[start:] for message in turn.messages]


def start_of(turns: Sequence[Turn], budget_tokens: int, count: Count) -> int:
    """Which turn the window begins with; those before it have fallen out of it.

    It follows from the turns alone: they are replayed in order, and each time the sum passes the budget, the oldest
    half goes. So two access processes show the model the same window; and it stays the same when those that fell out
    are no longer among ``turns``.
    """
    sizes = [_size(turn, count) for turn in turns]
    start, total = 0, 0
    for end, size in enumerate(sizes):
        total += size
        while total > budget_tokens and start <= end:
            middle = start + max(1, (end - start + 1) // 2)
            total -= sum(sizes[start:middle])
            start = middle
    return start


def portion(turns: Sequence[Turn], budget_tokens: int, count: Count) -> list[Turn]:
    """The oldest turns, as many as are read at once within the budget: at least one, if there is one.

    A text that would take more than half of the budget is shown by its beginning.
    """
    chosen: list[Turn] = []
    left = budget_tokens
    for turn in turns:
        short = replace(
            turn,
            question=turn.question and shortened(turn.question, budget_tokens // 2, count),
            answer=turn.answer and shortened(turn.answer, budget_tokens // 2, count),
        )
        left -= _size(short, count)
        if chosen and left < 0:
            break
        chosen.append(short)
    return chosen


def shortened(text: str, budget_tokens: int, count: Count) -> str:
    """The beginning of ``text`` that fits into the budget; all of it if it does."""
    while text and (size := count(text)) > budget_tokens:
        text = text[: min(len(text) - 1, max(0, len(text) * budget_tokens // size))]
    return text


def with_unanswered(turns: Sequence[Turn]) -> tuple[list[Turn], list[str]]:
    """The turns, each with the questions before it that were cancelled before a word was said; and those after all.

    So no question of a quick series is lost to the model, and roles still alternate, as many chat templates demand.
    """
    joined: list[Turn] = []
    unanswered: list[str] = []
    for turn in turns:
        if turn.question is not None and turn.status == "cancelled" and not turn.answer:
            unanswered.append(turn.question)
        elif turn.question is not None and turn.answer:
            joined.append(replace(turn, question="\n\n".join([*unanswered, turn.question])))
            unanswered = []
        else:
            joined.append(turn)
    return joined, unanswered


def newest(texts: Sequence[str], budget_tokens: int, count: Callable[[str], int]) -> list[str]:
    """The last of the texts, as many as fit into ``budget_tokens``."""
    start = len(texts)
    while start and (budget_tokens := budget_tokens - count(texts[start - 1])) >= 0:
        start -= 1
    return list(texts[start:])


def _size(turn: Turn, count: Count) -> int:
    return sum(count(message.content) for message in turn.messages)
