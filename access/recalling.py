"""Recall: what memory gives to a prompt, fitted to the room that question and answer leave."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from access.asked import Asked
from access.estimating import SUMMARY_FRAME_TOKENS, Estimating
from access.prompt import about_user, shown_summary
from contracts.messages import ChatMessage
from memory import History, Known, Past, Profiles, Summary, Turn, newest, start_of, with_unanswered
from memory.history import position_of


@dataclass(frozen=True)
class Recalled:
    """What memory had: the profile's facts, the summary of what was said earlier, and the history that fits the window,
    before what the client sent of it.

    ``unanswered`` are the questions just before, cancelled before a word was said. ``learned`` is what the user has
    told of themselves. ``tokens`` is what all that adds to the prompt. ``dropped`` are the turns that are neither in
    the window nor in the summary, where the session is to be summarised; ``unsaid`` is how many messages had been taken
    out of it by then. ``untaught`` are the turns that the user may be learned about from.
    """

    facts: dict[str, str]
    history: tuple[ChatMessage, ...]
    tokens: int = 0
    unanswered: tuple[str, ...] = ()
    summary: Summary | None = None
    dropped: tuple[Turn, ...] = ()
    unsaid: int = 0
    learned: Mapping[str, str] = field(default_factory=dict[str, str])
    untaught: tuple[Turn, ...] = ()


EARLIER_TURNS = 3
"""Turns that are read for the question before: the last one may be a push, or its question taken out."""

NOTHING = Recalled({}, ())
NOBODY = Known()


class Recalling:
    """Reads memory for prompts. Made once per process; holds no state of any session."""

    def __init__(self, profiles: Profiles, history: History, estimating: Estimating):
        self._profiles = profiles
        self._history = history
        self._estimating = estimating

    async def recall(self, asked: Asked) -> Recalled:
        """What memory has for this question, within the room that it and its answer leave."""
        known = await self._profiles.known(asked.caller.tenant, asked.user) if asked.user else NOBODY
        count = functools.cache(self._estimating.counter(asked.model))
        about = count(about_user(known.facts, known.said)) if known.facts or known.said else 0
        if asked.session is None:
            return Recalled(known.facts, asked.history, about, learned=known.said)
        past = await self._history.past(asked.session)
        earlier = count(shown_summary(past.summary)) if past.summary else 0
        kept = max(earlier, self._kept_for_summary(asked, past))
        turns, open_questions = with_unanswered(past.turns)
        budget = self._estimating.memory_budget(asked) - about - kept
        unanswered = newest(open_questions, budget, count)
        before = sum(count(question) for question in unanswered)
        start = start_of(turns, budget - before, count)
        window = [message for turn in turns[start:] for message in turn.messages]
        remembered = about + earlier + before + sum(count(message.content) for message in window)
        return Recalled(
            facts=known.facts,
            history=(*window, *asked.history),
            tokens=remembered,
            unanswered=tuple(unanswered),
            summary=past.summary,
            dropped=tuple(turns[:start]) if past.summarize else (),
            unsaid=past.unsaid,
            learned=known.said,
            untaught=_untaught(past, asked.user, known),
        )

    async def earlier_questions(self, asked: Asked) -> list[str]:
        """What the user asked just before, oldest first: as the client sent it, else as the session remembers it."""
        said = [message.content for message in asked.history if message.role == "user"]
        if said or asked.session is None:
            return said
        turns = await self._history.recent(asked.session, EARLIER_TURNS)
        return [turn.question for turn in turns if turn.question]

    def _kept_for_summary(self, asked: Asked, past: Past) -> int:
        """Room for the longest summary, also while there is none: the window must not move when it comes."""
        return self._estimating.summary_tokens(asked.model) + SUMMARY_FRAME_TOKENS if past.summarize else 0


def _untaught(past: Past, user: str, known: Known) -> tuple[Turn, ...]:
    """The answered turns that may teach something of the user: in a session of the user's own, if it is wanted."""
    since = known.since
    if since is None or past.user != user:
        return ()
    return tuple(turn for turn in past.unread if turn.question and turn.answer and position_of(turn.id)[0] > since)
