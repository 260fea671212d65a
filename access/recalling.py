"""Recall: what memory gives to a prompt, fitted to the room that question and answer leave."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from access.asked import Asked
from access.estimating import SUMMARY_FRAME_TOKENS, Count, Estimating
from access.prompt import shown_summary
from access.windows import Windows
from contracts.ids import SessionId
from contracts.messages import ChatMessage
from memory import History, Past, Profiles, Summary, Turn, start_of


@dataclass(frozen=True)
class Recalled:
    """What memory had: the profile's facts, the summary of what was said earlier, and the history that fits the window,
    before what the client sent of it.

    ``tokens`` is what they add to the prompt. ``dropped`` are the turns that are neither in the window nor in the
    summary, where the session is to be summarised.
    """

    facts: dict[str, str]
    history: tuple[ChatMessage, ...]
    tokens: int = 0
    summary: Summary | None = None
    dropped: tuple[Turn, ...] = ()


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
        """What memory has for this question, within the room that it and its answer leave."""
        facts: dict[str, str] = await self._profiles.get(asked.caller.tenant, asked.user) if asked.user else {}
        count = functools.cache(self._estimating.counter(asked.model))
        about = _about(facts, count)
        if asked.session is None:
            return Recalled(facts, asked.history, about)
        past = await self._history.past(asked.session)
        earlier = count(shown_summary(past.summary)) if past.summary else 0
        kept = max(earlier, self._kept_for_summary(asked, past))
        start = start_of(past.turns, self._estimating.memory_budget(asked) - about - kept, count)
        window = [message for turn in past.turns[start:] for message in turn.messages]
        remembered = about + earlier + sum(count(message.content) for message in window)
        self._windows.saw(asked.session, remembered)
        dropped = past.turns[:start] if past.summarize else ()
        return Recalled(facts, (*window, *asked.history), remembered, past.summary, dropped)

    def _kept_for_summary(self, asked: Asked, past: Past) -> int:
        """Room for the longest summary, also while there is none: the window must not move when it comes."""
        return self._estimating.summary_tokens(asked.model) + SUMMARY_FRAME_TOKENS if past.summarize else 0


def _about(facts: dict[str, str], count: Count) -> int:
    return count("\n".join(f"{name}: {value}" for name, value in facts.items())) if facts else 0
