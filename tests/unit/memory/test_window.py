"""The window: what of a history the model is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.messages import ChatMessage
from memory import Turn, fit, newest, portion, start_of, with_unanswered
from memory.window import shortened

turns_of_any_length = st.lists(st.integers(min_value=1, max_value=40), max_size=40).map(
    lambda sizes: [turn(at, size) for at, size in enumerate(sizes)]
)
budgets = st.integers(min_value=0, max_value=300)


def turn(at: int, size: int) -> Turn:
    """A turn whose answer is ``size`` characters and whose question is one."""
    return Turn(f"{at}-0", "q", chr(ord("a") + at % 26) * size, "done")


def shown(turns: list[Turn], budget: int) -> list[ChatMessage]:
    return fit(turns, budget, len)


def test_what_fits_is_shown_whole() -> None:
    assert [message.content for message in shown([turn(0, 3), turn(1, 3)], 8)] == ["q", "aaa", "q", "bbb"]


def test_too_much_loses_its_oldest_half() -> None:
    kept = shown([turn(at, 9) for at in range(4)], 35)
    assert [message.content[0] for message in kept[1::2]] == ["c", "d"]


def test_a_single_turn_that_is_too_long_is_dropped() -> None:
    assert shown([turn(0, 100)], 10) == []


def test_a_turn_without_an_answer_is_not_shown() -> None:
    running = Turn("1-0", "And?", None, "running")
    assert len(shown([turn(0, 3), running], 100)) == 2


def test_a_push_is_shown_without_a_question() -> None:
    assert shown([Turn("1-0", None, "Ping.", "push")], 100) == [ChatMessage(role="assistant", content="Ping.")]


@given(turns_of_any_length, budgets)
def test_the_window_never_exceeds_its_budget(turns: list[Turn], budget: int) -> None:
    assert sum(len(message.content) for message in shown(turns, budget)) <= budget


@given(turns_of_any_length, budgets)
def test_the_window_is_the_end_of_the_history(turns: list[Turn], budget: int) -> None:
    everything = [message for one in turns for message in one.messages]
    window = shown(turns, budget)
    assert window == everything[len(everything) - len(window) :]


@given(turns_of_any_length, budgets)
def test_the_window_begins_at_a_turn(turns: list[Turn], budget: int) -> None:
    assert all(message.role == "user" for message in shown(turns, budget)[:1])


@given(turns_of_any_length, st.integers(min_value=45, max_value=300))
def test_its_start_moves_only_when_the_budget_is_passed(turns: list[Turn], budget: int) -> None:
    """The engine's prefix cache holds from one question to the next, but for the moments in which half is dropped."""
    for end in range(1, len(turns)):
        before, after = shown(turns[:end], budget), shown(turns[: end + 1], budget)
        size = sum(len(message.content) for message in (*before, *turns[end].messages))
        assert after[: len(before)] == before or size > budget


@given(turns_of_any_length, turns_of_any_length, budgets)
def test_the_window_is_the_same_without_the_turns_that_fell_out(
    said: list[Turn], later: list[Turn], budget: int
) -> None:
    """What a summary covers is not read again; the window goes on from there as if it were."""
    dropped = start_of(said, budget, len)
    assert start_of(said[dropped:], budget, len) == 0
    assert shown([*said[dropped:], *later], budget) == shown([*said, *later], budget)


@given(turns_of_any_length, st.integers(min_value=4, max_value=300))
def test_a_portion_is_the_oldest_turns_that_fit(turns: list[Turn], budget: int) -> None:
    read = portion(turns, budget, len)
    assert [one.id for one in read] == [one.id for one in turns[: len(read)]]
    assert sum(len(message.content) for one in read for message in one.messages) <= budget
    assert bool(read) == bool(turns)


@given(turns_of_any_length, st.integers(min_value=4, max_value=300))
def test_portions_come_to_the_end(turns: list[Turn], budget: int) -> None:
    left, rounds = turns, 0
    while left:
        left, rounds = left[len(portion(left, budget, len)) :], rounds + 1
    assert rounds <= len(turns)


@given(st.text(max_size=60), st.integers(min_value=0, max_value=40))
def test_a_text_that_is_too_long_is_shown_by_its_beginning(text: str, budget: int) -> None:
    short = shortened(text, budget, lambda words: 1 + len(words.encode()))
    assert text.startswith(short)
    assert not short or len(short.encode()) < budget
    assert short == text or len(text.encode()) >= budget


def test_a_turn_that_is_too_long_for_a_portion_is_read_by_its_beginning() -> None:
    [read] = portion([Turn("1-0", "q" * 90, "a" * 10, "done"), turn(2, 5)], 30, len)
    assert (read.question, read.answer) == ("q" * 15, "a" * 10)


def interrupted(at: int, question: str) -> Turn:
    """A turn that was cancelled before a word was said."""
    return Turn(f"{at}-0", question, "", "cancelled")


def test_questions_that_were_interrupted_stand_before_the_next_one() -> None:
    turns, open_questions = with_unanswered([interrupted(0, "a"), interrupted(1, "b"), turn(2, 1), interrupted(3, "c")])
    assert [one.question for one in turns] == ["a\n\nb\n\nq"]
    assert open_questions == ["c"]


def test_a_partial_answer_closes_its_question() -> None:
    cut = Turn("0-0", "q", "It is", "cancelled")
    assert with_unanswered([cut, turn(1, 3)]) == ([cut, turn(1, 3)], [])


def test_a_question_that_failed_or_runs_is_not_repeated() -> None:
    others = [Turn("0-0", "q", "", "failed"), Turn("1-0", "q", None, "running")]
    assert with_unanswered([*others, turn(2, 3)]) == ([*others, turn(2, 3)], [])


def test_a_push_does_not_answer_a_question() -> None:
    push = Turn("1-0", None, "Ping.", "push")
    assert with_unanswered([interrupted(0, "a"), push]) == ([push], ["a"])


@given(st.lists(st.sampled_from("xqp"), max_size=20), budgets)
def test_with_interrupted_questions_roles_still_alternate(kinds: list[str], budget: int) -> None:
    made = {
        "x": lambda at: interrupted(at, "a"),
        "q": lambda at: turn(at, 3),
        "p": lambda at: Turn(f"{at}-0", "b", None, "running"),
    }
    turns, _ = with_unanswered([made[kind](at) for at, kind in enumerate(kinds)])
    roles = [message.role for message in shown(turns, budget)]
    assert roles == ["user", "assistant"] * (len(roles) // 2)


@given(st.lists(st.text(min_size=1, max_size=40), max_size=10), budgets)
def test_the_newest_texts_that_fit_are_kept(texts: list[str], budget: int) -> None:
    kept = newest(texts, budget, len)
    assert kept == texts[len(texts) - len(kept) :]
    assert sum(map(len, kept)) <= budget
    assert len(kept) == len(texts) or sum(map(len, texts[-len(kept) - 1 :])) > budget
