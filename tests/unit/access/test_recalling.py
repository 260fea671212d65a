"""Recall: within the room that there is, and the same window before and behind a summary."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from access.recalling import NOBODY, Recalled, Recalling
from memory import Known, Learned, Past, Summary, Turn
from tests.unit.access.test_summarising import ESTIMATING, SESSION, SmallModel, asked

SUMMARY = Summary("Ada wants a kettle.", "", 1.0, "--- 5eed00")
turns_of_any_length = st.lists(st.integers(min_value=1, max_value=400), max_size=30).map(
    lambda sizes: tuple(Turn(f"{at + 1}-0", "q", "a" * size, "done") for at, size in enumerate(sizes))
)


@dataclass
class Memory:
    """Profiles and history of one user and one session."""

    said: Past
    user: Known

    async def known(self, *_of: Any) -> Known:
        return self.user

    async def past(self, _session: Any) -> Past:
        return self.said


def recall(past: Past, known: Known = NOBODY) -> Recalled:
    memory: Any = Memory(past, known)
    return asyncio.run(Recalling(memory, memory, ESTIMATING).recall(asked(SESSION)))


@given(turns_of_any_length, st.dictionaries(st.sampled_from("abc"), st.text(max_size=40), max_size=3))
def test_what_is_recalled_fits_and_is_counted_whole(turns: tuple[Turn, ...], facts: dict[str, str]) -> None:
    for past in (Past(turns), Past(turns, summarize=True), Past(turns, summarize=True, summary=SUMMARY)):
        recalled = recall(past, Known(facts))
        told = sum(len(message.content) for message in recalled.history) + sum(len(value) for value in facts.values())
        assert told + (len(SUMMARY.text) if past.summary else 0) <= recalled.tokens
        assert recalled.tokens <= ESTIMATING.memory_budget(asked(SESSION))


@given(turns_of_any_length, turns_of_any_length)
def test_the_window_does_not_move_when_the_summary_comes(said: tuple[Turn, ...], later: tuple[Turn, ...]) -> None:
    """Only the summary itself changes the beginning of the prompt, and it does so when the window has dropped."""
    before = recall(Past(said, summarize=True))
    if not before.dropped:
        return
    summary = msgspec.structs.replace(SUMMARY, until=before.dropped[-1].id)
    everything = (*said, *(replace(turn, id=f"{len(said)}{turn.id}") for turn in later))
    behind = recall(Past(everything[len(before.dropped) :], summarize=True, summary=summary))
    assert behind.history == recall(Past(everything, summarize=True)).history


@given(turns_of_any_length)
def test_every_turn_is_shown_or_dropped(turns: tuple[Turn, ...]) -> None:
    recalled = recall(Past(turns, summarize=True))
    shown = [message.content for message in recalled.history if message.role == "assistant"]
    assert [turn.answer for turn in recalled.dropped] + shown == [turn.answer for turn in turns]


def test_who_asks_for_no_summary_has_nothing_dropped_and_no_room_kept() -> None:
    turns = tuple(Turn(f"{at}-0", "q", "a" * 100, "done") for at in range(1, 20))
    plain, kept = recall(Past(turns)), recall(Past(turns, summarize=True))
    assert plain.dropped == ()
    assert len(plain.history) >= len(kept.history)
    assert SmallModel.max_model_len > plain.tokens


def untaught(since: int | None, user: str = "ada", *more: Turn) -> list[str]:
    turns = (*(Turn(f"{at}-0", "q", "a", "done") for at in (1, 2, 3)), *more)
    return [turn.id for turn in recall(Past(user=user, unread=turns), Known(since=since)).untaught]


def test_turns_teach_from_when_that_was_switched_on() -> None:
    assert (untaught(None), untaught(0), untaught(2)) == ([], ["1-0", "2-0", "3-0"], ["3-0"])


def test_turns_of_another_users_session_do_not_teach() -> None:
    assert (untaught(0, "eve"), untaught(0, "")) == ([], [])


def test_pushes_and_unanswered_questions_do_not_teach() -> None:
    more = (Turn("4-0", None, "Ping.", "push"), Turn("5-0", "Well?", None, "running"))
    assert untaught(2, "ada", *more) == ["3-0"]


def test_what_was_told_is_recalled_and_counted_where_nothing_is_registered() -> None:
    told = {"name": Learned("Ada", 1, SESSION), "city": Learned("Paris", 1, SESSION)}
    recalled = recall(Past(), Known({"city": "Rome"}, told, 0))
    assert (recalled.facts, recalled.learned) == ({"city": "Rome"}, {"name": "Ada"})
    assert recalled.tokens > len("About the user:city: RomeTold by the user, not verified:name: Ada")
