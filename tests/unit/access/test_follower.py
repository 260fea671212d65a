"""A follower: what it may hand on as it was heard, and when only the log can say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.follower import HEARD_AT_MOST, NOBODY, Follower, Logged, merged
from contracts.ids import Generation, Shard, new_request_id
from contracts.messages import Cancelled, Delta, Reply, SequenceFinished
from tests.unit.access.logs_of_requests import answer, answers, logged

FIRST, SECOND = Generation("00000000000000a1"), Generation("00000000000000b2")


def heard(*hints: tuple[int, Generation], seen: int = 0, writer: Generation = FIRST) -> list[int] | None:
    """The numbers a follower hands on that has handed on ``seen`` replies; ``None``: it asks the log."""
    follower = Follower(new_request_id(Shard(0)))
    if seen:
        follower.hand_on([Logged(seq, writer, Delta(text="."), False) for seq in range(1, seen + 1)])
    for seq, generation in hints:
        follower.hear(Logged(seq, generation, Delta(text="."), False))
    drained = follower.drain()
    return None if drained is None else [one.seq for one in drained]


def test_what_continues_is_handed_on() -> None:
    assert heard((3, FIRST), (4, FIRST), seen=2) == [3, 4]


def test_the_first_to_write_need_not_be_known() -> None:
    assert heard((1, SECOND), (2, SECOND)) == [1, 2]


def test_what_was_handed_on_already_is_not_handed_on_again() -> None:
    assert heard((2, FIRST), (3, FIRST), seen=2) == [3]


@pytest.mark.parametrize(
    "hints",
    [
        pytest.param([(4, FIRST)], id="a hole"),
        pytest.param([(3, FIRST), (5, FIRST)], id="a hole behind the first"),
        pytest.param([(3, SECOND)], id="another worker went on, or the log regrew"),
        pytest.param([(3, FIRST), (4, SECOND)], id="another worker in the middle"),
        pytest.param([(2, SECOND), (3, FIRST)], id="what was handed on has another writer now"),
        pytest.param([(1, SECOND)], id="the log is shorter than what was handed on"),
        pytest.param([(3, NOBODY)], id="ended by no worker"),
    ],
)
def test_what_does_not_fit_is_left_to_the_log(hints: list[tuple[int, Generation]]) -> None:
    assert heard(*hints, seen=2) is None


def test_a_reader_that_does_not_read_keeps_little() -> None:
    follower = Follower(new_request_id(Shard(0)))
    for seq in range(1, 10 * HEARD_AT_MOST):
        follower.hear(Logged(seq, FIRST, Delta(text="."), False))
    assert len(follower.heard) == HEARD_AT_MOST
    assert follower.drain() is None


def test_the_log_is_asked_once_for_each_doubt() -> None:
    follower = Follower(new_request_id(Shard(0)))
    follower.fall_behind()
    assert follower.drain() is None
    assert follower.drain() == []


def test_it_flows_from_the_first_text_on() -> None:
    follower = Follower(new_request_id(Shard(0)))
    follower.hand_on(logged(answer("a"))[:2])
    assert not follower.flowing
    follower.hand_on(logged(answer("a"))[2:3])
    assert follower.flowing


@given(answers(), st.data())
def test_merging_keeps_the_text_and_the_last_number(replies: list[Reply], data: st.DataObject) -> None:
    size = data.draw(st.integers(min_value=1, max_value=len(replies)))
    batch = logged(replies)[:size]
    assert text(merged(batch)) == text(batch)
    assert merged(batch)[-1].seq == batch[-1].seq
    assert merged(merged(batch)) == merged(batch)


def test_only_deltas_of_one_sequence_are_merged() -> None:
    replies: list[Reply] = [
        Delta(index=0, text="a"),
        Delta(index=0, text="b"),
        Delta(index=1, text="c"),
        Delta(index=0, text="d"),
        SequenceFinished(index=0),
        Cancelled(),
    ]
    assert [(one.seq, getattr(one.reply, "text", "")) for one in merged(logged(replies))] == [
        (2, "ab"),
        (3, "c"),
        (4, "d"),
        (5, ""),
        (6, ""),
    ]


def test_vectors_stay_as_they_are() -> None:
    batch = logged([Delta(index=0, vector=b"1"), Delta(index=0, vector=b"2")])
    assert merged(batch) == batch


def text(batch: list[Logged]) -> str:
    return "".join(one.reply.text for one in batch if isinstance(one.reply, Delta))
