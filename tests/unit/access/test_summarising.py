"""What a model is asked for a summary: bounded, and nothing in it can pass for anything else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from access.asked import Asked
from access.auth import Caller
from access.estimating import Estimating
from access.recalling import Recalled
from access.settings import Preset
from access.summarising import Summarising, SummaryAside, record
from contracts.ids import RequestId, SessionId, Shard, TenantId
from contracts.messages import GenerationParameters
from memory import Summary, Turn

SESSION = SessionId("s0_" + "1" * 32)
EARLIER = Summary("Ada wants a kettle.", "1-0", 1.0, "--- 5eed00")
TURNS = (Turn("2-0", "Which?", "The blue one.", "done"), Turn("3-0", None, "It is in stock.", "push"))


class SmallModel:
    """A fleet whose one model reads 1,000 tokens, of a character each."""

    def facts(self, _model: str) -> Any:
        return self

    max_model_len = 1000

    def counter(self, _model: str) -> Any:
        return len


ESTIMATING = Estimating(cast(Any, SmallModel()), 100)


def asked(session: SessionId | None) -> Asked:
    return Asked(
        id=RequestId("s0_" + "0" * 32),
        caller=Caller(TenantId("acme"), "key", frozenset()),
        user="ada",
        served_as="m",
        preset=Preset(model="m"),
        question="Why?",
        instructions="",
        history=(),
        parameters=GenerationParameters(),
        service_class="interactive",
        shard=Shard(0),
        deadline=timedelta(minutes=1),
        patience=timedelta(seconds=1),
        retention=timedelta(hours=1),
        session=session,
    )


def due(session: SessionId | None, *dropped: Turn, earlier: Summary | None = None) -> SummaryAside | None:
    recalled = Recalled({}, (), summary=earlier, dropped=dropped)
    return Summarising(ESTIMATING, cast(Any, None)).due(asked(session), recalled)


def test_nothing_is_due_while_nothing_has_fallen_out() -> None:
    assert due(SESSION) is None
    assert due(None, *TURNS) is None


def test_turns_without_an_answer_are_nothing_to_summarise() -> None:
    assert due(SESSION, Turn("2-0", "Which?", None, "failed")) is None


def test_the_same_work_has_the_same_name_and_later_work_another() -> None:
    first, again, later = due(SESSION, TURNS[0]), due(SESSION, *TURNS), due(SESSION, *TURNS, earlier=EARLIER)
    assert first is not None
    assert again is not None
    assert later is not None
    assert first.name == again.name == f"summary {SESSION} 0-0 0"
    assert later.name == f"summary {SESSION} 1-0 0"


def test_it_is_asked_about_the_earlier_summary_and_the_turns_since() -> None:
    assert record(EARLIER, TURNS, "--- d") == (
        "--- d minutes so far\nAda wants a kettle.\n--- d user\nWhich?\n--- d assistant\nThe blue one.\n"
        "--- d assistant\nIt is in stock.\n--- d end\n\nWrite the minutes."
    )


def test_it_names_the_last_turn_it_is_asked_about_and_bounds_the_answer() -> None:
    aside = due(SESSION, *TURNS, earlier=EARLIER)
    assert aside is not None
    words = aside.words()
    assert (words.until, words.max_tokens) == ("3-0", 125)
    assert "62 words" in words.instructions


@given(st.lists(st.integers(min_value=1, max_value=3000), min_size=1, max_size=20))
def test_what_is_asked_fits_the_model(sizes: list[int]) -> None:
    turns = [Turn(f"{at + 2}-0", "q", "a" * size, "done") for at, size in enumerate(sizes)]
    aside = due(SESSION, *turns, earlier=EARLIER)
    assert aside is not None
    words = aside.words()
    # The instructions are counted by the character here, and by far fewer tokens in truth.
    frames = sum(len(line) + 1 for line in words.question.splitlines() if line.startswith("--- "))
    assert len(words.question) - frames + words.max_tokens <= SmallModel.max_model_len
    assert words.until in [turn.id for turn in turns]


@given(st.text(), st.text())
def test_no_text_can_pass_for_another_piece(question: str, answer: str) -> None:
    """The delimiter is drawn when the texts are there already."""
    turn = Turn("2-0", question.replace("--- d", ""), answer.replace("--- d", "") or "a", "done")
    lines = record(None, [turn], "--- d").split("\n")
    assert [line for line in lines if line.startswith("--- d")] == ["--- d user", "--- d assistant", "--- d end"]


def test_the_delimiter_is_drawn_anew_each_time() -> None:
    aside = due(SESSION, *TURNS)
    assert aside is not None
    assert aside.words().question != aside.words().question
