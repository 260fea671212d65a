"""The worker's pure decisions: class order, back-off, what merges, how an answer is restored."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.errors import CallerError, EngineError
from contracts.ids import WorkerId
from contracts.messages import (
    CLASSES,
    Delta,
    Embed,
    Finished,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
)
from inference_worker.answer import Answer, Plan
from inference_worker.backoff import CAP, backoff
from inference_worker.engines.openai import retry_after
from inference_worker.engines.port import EngineDelta, answer_budget
from inference_worker.heartbeat import Speed
from inference_worker.intake import classes_in_order
from inference_worker.replies import merge
from tests.integration.inference_worker.desk import request

STARTED = Started(worker=WorkerId("w1"), model_revision="r1")
OPENED = (STARTED, SequenceStarted())


def answer(**parameters: object) -> Answer:
    return Answer(request("hello", **parameters), WorkerId("w2"), "r1")


def test_seven_of_eight_takes_go_by_urgency():
    assert [classes_in_order(turn) for turn in range(7)] == [CLASSES] * 7


def test_every_eighth_take_starts_lower_so_that_none_starves():
    assert [classes_in_order(turn)[0] for turn in (7, 15, 23)] == ["standard", "batch", "standard"]


def test_every_take_looks_at_every_class():
    assert all(set(classes_in_order(turn)) == set(CLASSES) for turn in range(32))


def test_back_off_grows_is_jittered_and_bounded():
    nothing = timedelta()
    assert backoff(1, nothing, 0.5) < backoff(3, nothing, 0.5)
    assert backoff(3, nothing, 0.0) == nothing
    assert backoff(1000, nothing, 1.0) == CAP


def test_back_off_is_never_shorter_than_asked():
    assert backoff(1, timedelta(seconds=7), 0.0) == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "soon"}, 0.0),
    ],
)
def test_retry_after_is_understood_in_all_its_forms(headers: dict[str, str], seconds: float):
    assert retry_after(headers, now=40.0) == seconds


def test_consecutive_deltas_of_one_sequence_merge():
    merged = merge(Delta(text="a", token_ids=(1,)), Delta(text="b", token_ids=(2,)))
    assert merged == Delta(text="ab", token_ids=(1, 2))


@pytest.mark.parametrize("second", [Delta(index=1, text="b"), Delta(vector=b"1234"), SequenceFinished()])
def test_what_is_not_the_same_sequence_does_not_merge(second: Delta | SequenceFinished):
    assert merge(Delta(text="a"), second) is None


def test_an_answer_opens_with_its_first_delta_and_not_before():
    replies = answer().accept(EngineDelta(text="a", token_ids=(1,)))
    assert replies == [
        Started(worker=WorkerId("w2"), model_revision="r1"),
        SequenceStarted(),
        Delta(text="a", token_ids=(1,)),
    ]


@pytest.mark.parametrize(("asked", "model"), [(3, 0), (None, 3), (3, 512)])
def test_an_engine_that_goes_on_beyond_the_limit_has_failed(asked: int | None, model: int):
    limited = Answer(request("hello", max_tokens=asked), WorkerId("w2"), "r1", max_model_len=model)
    limited.accept(EngineDelta(text="abc", token_ids=(1, 2, 3)))
    with pytest.raises(EngineError):
        limited.accept(EngineDelta(text="d", token_ids=(4,)))


def test_an_answer_cut_at_its_limit_is_incomplete():
    cut = answer()
    cut.accept(EngineDelta(text="a", token_ids=(1,), finish_reason="length", prompt_tokens=4))
    [finished], ending = cut.finished()
    assert isinstance(finished, Finished)
    assert (finished.status, ending.state, ending.text) == ("incomplete", "incomplete", "a")
    assert (ending.usage.prompt_tokens, ending.usage.completion_tokens) == (4, 1)


@pytest.mark.parametrize(
    ("log", "plan"),
    [
        ((), "begin"),
        (OPENED, "continue"),
        ((*OPENED, Delta(text="a", token_ids=(1,))), "continue"),
        ((*OPENED, Delta(text="a", token_ids=(1,)), SequenceFinished()), "close"),
        ((*OPENED, Delta(text="a")), "restart"),
        ((Started(worker=WorkerId("w1"), model_revision="r0"), SequenceStarted()), "restart"),
        ((*OPENED, Delta(text="a", token_ids=(1,)), Reset(reason="x")), "begin"),
    ],
)
def test_a_log_decides_how_to_go_on(log: tuple[Delta, ...], plan: Plan):
    assert answer().restore(log) == plan


@pytest.mark.parametrize("parameters", [{"json_object": True}, {"presence_penalty": 0.5}, {"n": 2}])
def test_what_cannot_go_on_exactly_starts_again(parameters: dict[str, object]):
    assert answer(**parameters).restore([*OPENED, Delta(text="a", token_ids=(1,))]) == "restart"


def test_embeddings_start_again():
    asked = request(task=Embed(texts=("a", "b")))
    embedding = Answer(asked, WorkerId("w2"), "r1")
    assert embedding.restore([*OPENED, Delta(vector=b"1234")]) == "restart"


def test_a_continued_answer_says_nothing_twice_and_counts_everything():
    continued = answer()
    continued.restore([*OPENED, Delta(text="a", token_ids=(1,))])
    assert continued.token_ids == (1,)
    assert continued.accept(EngineDelta(text="b", token_ids=(2,))) == [Delta(text="b", token_ids=(2,))]
    assert (continued.text, continued.usage.completion_tokens) == ("ab", 2)


def test_a_fresh_start_says_reset_before_it_opens_again():
    again = answer()
    again.restore([*OPENED, Delta(text="old")])
    again.restart("because")
    kinds = [type(reply) for reply in again.accept(EngineDelta(text="new", token_ids=(1,)))]
    assert kinds == [Reset, Started, SequenceStarted, Delta]
    assert again.text == "new"


def test_without_max_tokens_an_answer_may_fill_the_context():
    assert answer_budget(100, None, 512) == 412


def test_a_prompt_that_fills_the_context_leaves_no_answer():
    with pytest.raises(CallerError, match="Shorten the messages"):
        answer_budget(512, None, 512)


def test_speed_follows_the_tokens_of_the_last_seconds():
    speed = Speed(now=0.0)
    for second in range(1, 12):
        speed.tell(second * 100, float(second))
    assert speed.per_second == pytest.approx(100, rel=0.01)
    assert speed.tell(1100, 60.0) == pytest.approx(50, rel=0.01)
