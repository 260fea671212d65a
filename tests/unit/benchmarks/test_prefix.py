"""What a prefix cache saved: counted from token ids, and from nothing that could look like a hit and is none."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from access.prompt import FAQ_INSTRUCTIONS
from benchmarks import prefix, questions
from benchmarks.reuse import Reuse, Turn, reuse, shared
from contracts.messages import ChatMessage

ASKED = questions.ask(random.Random(1))
HISTORY = [ChatMessage(role="user", content="Hello"), ChatMessage(role="assistant", content="Good day.")]


def test_what_stands_unchanged_may_reach_into_the_answer_before() -> None:
    turns = [Turn([1, 2, 3], [4, 5], 0), Turn([1, 2, 3, 4, 9, 9], [], 3)]
    assert reuse(turns) == Reuse(prompts=6, unchanged=4, hits=3)


def test_a_hit_beyond_what_is_unchanged_does_not_count() -> None:
    assert reuse([Turn([1, 2, 3], [], 0), Turn([1, 7, 8], [], 3)]).hits == 1


def test_the_first_prompt_counts_for_nothing() -> None:
    first = Turn([1] * 100, [], 96)
    assert reuse([first, Turn([1] * 100, [], 96)]) == Reuse(prompts=100, unchanged=100, hits=96)


def test_the_shares_are_of_what_could_be_reused_and_of_everything() -> None:
    found = Reuse(prompts=400, unchanged=200, hits=180)
    assert (found.of_unchanged, found.of_prompts) == (0.9, 0.45)


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_what_two_begin_with_is_the_same_in_both_and_no_longer(one: list[int], other: list[int]) -> None:
    count = shared(one, other)
    assert one[:count] == other[:count]
    assert one[count : count + 1] != other[count : count + 1] or count == min(len(one), len(other))


def test_both_layouts_show_the_same_words_and_differ_in_what_stands_first() -> None:
    ours, theirs = (layout(ASKED, HISTORY) for layout in (prefix.beside_the_question, prefix.in_the_system_prompt))
    assert [message.role for message in ours] == [message.role for message in theirs]
    assert ours[1:-1] == theirs[1:-1] == tuple(HISTORY)
    assert ours[0].content == FAQ_INSTRUCTIONS
    passages, _, question = ours[-1].content.rpartition("\n\nQuestion: ")
    assert (theirs[0].content, theirs[-1].content) == (f"{FAQ_INSTRUCTIONS}\n\n{passages}", question)


def test_a_share_below_the_goal_is_told_as_missed() -> None:
    good, bad = Reuse(100, 50, 45), Reuse(100, 50, 44)
    assert prefix.figures([good], [bad])[0].reached
    assert not prefix.figures([bad], [good])[0].reached
