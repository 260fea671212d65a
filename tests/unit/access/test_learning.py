"""Learning: from what users wrote themselves, now and then, and within bounds."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from access.learning import EVERY, Learning, LearningAside
from access.recalling import Recalled
from contracts.ids import SessionId
from memory import Turn
from tests.unit.access.test_summarising import ESTIMATING, SESSION, SmallModel, asked


def turns(*questions: str) -> tuple[Turn, ...]:
    return tuple(Turn(f"{at}-0", question, f"answer {at}", "done") for at, question in enumerate(questions, 1))


def due(untaught: tuple[Turn, ...], session: SessionId | None = SESSION) -> LearningAside | None:
    learning = Learning(("name", "city"), ESTIMATING, cast(Any, None))
    return learning.due(asked(session), Recalled({}, (), untaught=untaught))


def test_it_is_due_now_and_then() -> None:
    assert due(turns(*["q"] * (EVERY - 1))) is None
    assert due(turns(*["q"] * EVERY), None) is None
    aside = due(turns(*["q"] * EVERY))
    assert aside is not None
    assert (aside.user, aside.name) == ("ada", f"learn {SESSION} 1-0")


def test_only_what_the_user_wrote_is_shown() -> None:
    aside = due(turns("I am Ada.", "I live in Paris.", "Why?", "How?"))
    assert aside is not None
    words = aside.words()
    delimiter = words.question[:10]
    assert words.question.startswith(f"{delimiter} user\nI am Ada.\n{delimiter} user\nI live in Paris.\n")
    assert "answer" not in words.question
    assert (words.until, words.max_tokens) == ("4-0", 80)
    assert words.instructions.endswith("name: …\ncity: …")


@given(st.lists(st.text(min_size=1, max_size=2000), min_size=EVERY, max_size=12))
def test_what_is_asked_fits_the_model(questions: list[str]) -> None:
    aside = due(turns(*questions))
    assert aside is not None
    words = aside.words()
    frames = sum(len(line) + 1 for line in words.question.split("\n") if line.startswith("--- "))
    assert len(words.question) - frames + words.max_tokens <= SmallModel.max_model_len
    assert words.question.split("\n")[0].endswith(" user")
