"""The oracle can see: each kind of damage, done to a good log on purpose, is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.ids import RequestId, TenantId
from contracts.messages import (
    ChatMessage,
    Delta,
    Failed,
    Failure,
    Finished,
    Generate,
    InferenceRequest,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
)
from inference_worker.engines.scripted import token_text
from tests.chaos.clients import Question
from tests.chaos.evidence import Entry, Evidence, Found
from tests.chaos.oracle import Verdict, expected, judge, text_of
from tests.chaos.transcript import GAVE_UP, NEVER_RAN

REQUEST_ID = RequestId(f"s0_{7:032x}")
PROMPT = "chaos 7 tokens=6"
LETTER = {Started: "s", SequenceStarted: "q", Delta: "d", SequenceFinished: "e", Finished: "f", Reset: "r"}


def request() -> InferenceRequest:
    return InferenceRequest(
        id=REQUEST_ID,
        tenant=TenantId("default"),
        user="",
        key="k",
        model="scripted",
        service_class="interactive",
        task=Generate(messages=(ChatMessage(role="user", content=PROMPT),)),
        created_at=0.0,
        deadline_seconds=60,
    )


def deltas() -> list[Delta]:
    return [Delta(text=token_text(token), token_ids=(token,)) for token in expected(request())]


def logged(*replies: Reply, writers: str = "") -> tuple[Entry, ...]:
    """A log; the writer of each reply is a letter of ``writers``, or all of them the same."""
    names = writers or "a" * len(replies)
    return tuple(
        Entry(seq, name, LETTER[type(reply)], reply)
        for seq, (name, reply) in enumerate(zip(names, replies, strict=True), 1)
    )


def whole(*inner: Reply, tokens: int = 6, writers: str = "") -> Found:
    """A request that is done, with ``inner`` between its beginning and its end."""
    end = (SequenceFinished(), Finished(usage=Usage(prompt_tokens=3, completion_tokens=tokens)))
    replies = (Started(worker="w"), SequenceStarted(), *inner, *end)
    return Found(REQUEST_ID, "done", request(), logged(*replies, writers=writers))


def question(**changes: object) -> Question:
    text = "".join(delta.text for delta in deltas())
    told = Question(7, PROMPT, "stream", "completed", told={REQUEST_ID}, texts={REQUEST_ID: text})
    return replace(told, **changes)


def verdict_on(found: Found, *questions: Question, lossy: bool = False) -> Verdict:
    return judge(Evidence({found.id: found}), questions or [question()], lossy=lossy)


def test_a_good_log_has_nothing_wrong() -> None:
    verdict = verdict_on(whole(*deltas()))
    assert verdict.problems == []
    assert (verdict.requests, verdict.reply_events, verdict.tokens) == (1, 10, 6)


def test_an_answer_that_another_worker_continued_is_good() -> None:
    verdict = verdict_on(whole(*deltas(), writers="aaaaabbbbb"))
    assert (verdict.problems, verdict.continued) == ([], 1)


def test_an_answer_that_began_again_is_good() -> None:
    assert verdict_on(whole(*deltas()[:3], Reset(reason="x"), SequenceStarted(), *deltas())).problems == []


def test_a_lost_token_is_found() -> None:
    verdict = verdict_on(whole(*deltas()[:2], *deltas()[3:]))
    assert (verdict.lost, verdict.doubled, verdict.reordered) == (1, 0, 0)


def test_a_doubled_token_is_found() -> None:
    verdict = verdict_on(whole(*deltas()[:3], *deltas()[2:]))
    assert (verdict.lost, verdict.doubled, verdict.reordered) == (0, 1, 0)


def test_two_tokens_in_the_wrong_order_are_found() -> None:
    first, second, *rest = deltas()
    verdict = verdict_on(whole(second, first, *rest))
    assert (verdict.lost, verdict.doubled, verdict.reordered) == (0, 0, 1)


def test_a_frozen_worker_that_writes_after_its_successor_is_found() -> None:
    assert "mixed" in " ".join(verdict_on(whole(*deltas(), writers="aaabbbaabb")).problems)


def test_a_hole_in_the_numbers_is_found() -> None:
    good = whole(*deltas())
    torn = replace(good, log=tuple(replace(entry, seq=entry.seq + (entry.seq > 4)) for entry in good.log))
    assert "hole" in " ".join(verdict_on(torn).problems)


def test_a_second_end_is_found() -> None:
    good = whole(*deltas())
    again = replace(good.log[-1], seq=len(good.log) + 1)
    assert "ends at" in " ".join(verdict_on(replace(good, log=(*good.log, again))).problems)


def test_a_request_without_an_end_is_found() -> None:
    good = whole(*deltas())
    assert "ends at" in " ".join(verdict_on(replace(good, state="running", log=good.log[:-1])).problems)


def test_usage_that_counts_tokens_twice_is_found() -> None:
    assert "settled" in " ".join(verdict_on(whole(*deltas(), tokens=9)).problems)


def test_a_client_that_has_another_text_than_the_log_is_found() -> None:
    forked = question(texts={REQUEST_ID: text_of(whole(*deltas()).log) + "wheel "})
    assert "the client has" in " ".join(verdict_on(whole(*deltas()), forked).problems)


def test_an_answer_that_a_power_loss_undid_after_it_was_given_must_still_be_the_right_one() -> None:
    failure = Failure(code=NEVER_RAN, message="It never ran.")
    undone = replace(whole(), state="failed", log=(Entry(1, "-", "x", Failed(failure=failure)),))
    given = text_of(whole(*deltas()).log)
    assert verdict_on(undone, question(texts={REQUEST_ID: given}), lossy=True).problems == []
    for text, lossy in ((given, False), (given + "wheel ", True)):
        found = verdict_on(undone, question(texts={REQUEST_ID: text}), lossy=lossy).problems
        assert "the client has" in " ".join(found)


def test_a_request_may_fail_only_where_a_dead_letter_says_that_its_workers_died() -> None:
    failure = Failure(code=GAVE_UP, message="Workers died.")
    failed = replace(whole(), state="failed", log=(Entry(1, "-", "x", Failed(failure=failure)),))
    asked = question(end="failed", texts={})
    given_up = judge(Evidence({failed.id: failed}, frozenset({failed.id})), [asked], lossy=False)
    assert (given_up.problems, given_up.given_up) == ([], 1)
    assert "ended failed" in " ".join(judge(Evidence({failed.id: failed}), [asked], lossy=False).problems)


def test_an_accepted_request_that_is_gone_is_found() -> None:
    other = question(told={RequestId(f"s0_{8:032x}")}, texts={})
    assert "accepted and is lost" in " ".join(verdict_on(whole(*deltas()), other).problems)


@pytest.mark.parametrize("told", [True, False])
def test_after_a_power_loss_it_may_be_gone_if_the_client_was_told(told: bool) -> None:
    other = question(told={RequestId(f"s0_{8:032x}")}, texts={}, gone=told, end="")
    assert bool(verdict_on(whole(*deltas()), other, lossy=True).problems) is not told


def test_one_question_with_two_answers_is_found() -> None:
    good, twin = whole(*deltas()), RequestId(f"s0_{9:032x}")
    both = Evidence({good.id: good, twin: replace(good, id=twin)})
    assert judge(both, [question()], lossy=False).doubled == 1


def test_a_client_that_never_hears_of_an_end_is_found() -> None:
    assert "never heard" in " ".join(verdict_on(whole(*deltas()), question(end="", texts={})).problems)


def test_what_is_left_behind_is_found() -> None:
    left = Evidence(pending=("1 leases",), leaked=("penstock:{s0}:request:x has no end",))
    assert len(judge(left, [], lossy=False).problems) == 2
