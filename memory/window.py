"""Which part of a history the model is shown. Pure.

When the history outgrows its budget the oldest half of it is dropped, at a turn boundary. Dropping one turn each time
would change the prompt's beginning with every question and defeat the engine's prefix cache; dropping half leaves the
beginning as it is for many turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contracts.messages import ChatMessage
from memory.history import Turn


def fit(turns: Sequence[Turn], budget_tokens: int, count: Callable[[str], int]) -> list[ChatMessage]:
    """The messages of the turns that fit into ``budget_tokens``, oldest first.

    The window's start follows from the turns alone: they are replayed in order, and each time the sum passes the
    budget, the oldest half goes. So two access processes show the model the same window.
    """
    sizes = [sum(count(message.content) for message in turn.messages) for turn in turns]
    start, total = 0, 0
    for end, size in enumerate(sizes):
        total += size
        while total > budget_tokens and start <= end:
            middle = start + max(1, (end - start + 1) // 2)
            total -= sum(sizes[start:middle])
            start = middle
    return [message for turn in turns[start:] for message in turn.messages]
