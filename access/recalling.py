"""Recall: what memory gives to a prompt, fitted to the room that question and answer leave."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from access.asked import Asked
from access.estimating import Count, Estimating
from access.windows import Windows
from contracts.ids import SessionId
from contracts.messages import ChatMessage
from memory import History, Profiles, fit


@dataclass(frozen=True)
class Recalled:
    """What memory had: the profile's facts, and the history that fits the window, before what the client sent of it.

    ``tokens`` is what both add to the prompt.
    """

    facts: dict[str, str]
    history: tuple[ChatMessage, ...]
    tokens: int = 0


NOTHING = Recalled({}, ())


class Recalling:
    """Reads memory for prompts. Made once per process; of a session it knows only how much it took last time."""

    def __init__(self, profiles: Profiles, history: History, estimating: Estimating):
        self._profiles = profiles
        self._history = history
        self._estimating = estimating
        self._windows = Windows()

    def expected(self, session: SessionId | None) -> int:
        """How many tokens a session's memory will take, by what it took here last time."""
        return self._windows.of(session)

    async def recall(self, asked: Asked) -> Recalled:
        """Profile facts, and the part of the history that leaves room for the question and its answer."""
        facts: dict[str, str] = await self._profiles.get(asked.caller.tenant, asked.user) if asked.user else {}
        count = functools.cache(self._estimating.counter(asked.model))
        about = _about(facts, count)
        if asked.session is None:
            return Recalled(facts, asked.history, about)
        turns = await self._history.recent(asked.session)
        window = fit(turns, self._estimating.memory_budget(asked) - about, count)
        remembered = about + sum(count(message.content) for message in window)
        self._windows.saw(asked.session, remembered)
        return Recalled(facts, (*window, *asked.history), remembered)


def _about(facts: dict[str, str], count: Count) -> int:
    return count("\n".join(f"{name}: {value}" for name, value in facts.items())) if facts else 0
