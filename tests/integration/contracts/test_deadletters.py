"""Dead letters: listed without prompts, shown, sent again once, dropped."""

from __future__ import annotations

import pytest

from contracts import keys
from contracts.errors import NotFound
from contracts.functions import DeadLetters
from contracts.messages import ChatMessage, Generate, InferenceRequest
from tests.integration.contracts.conftest import SHARD, Desk


@pytest.fixture
def letters(desk: Desk) -> DeadLetters:
    return DeadLetters(desk.redis, desk.protocol, 1)


async def given_up(desk: Desk) -> InferenceRequest:
    """A request of a session that three engines have died over."""
    task = Generate(messages=(ChatMessage(role="user", content="between you and me"),))
    request = desk.request(session=await desk.session(), task=task)
    await desk.submit(request)
    for _ in range(3):
        (grant,) = await desk.take()
        await desk.protocol.release(SHARD, [(grant.id, grant.generation)], "the engine died")
    assert await desk.take() == []
    return request


async def test_a_letter_says_what_was_given_up_and_why_and_nothing_of_the_prompt(
    desk: Desk, letters: DeadLetters
) -> None:
    request = await given_up(desk)
    (letter,) = await letters.newest(10)
    assert (letter.id, letter.tenant, letter.model) == (request.id, "acme", "m")
    assert (letter.deaths, letter.losses, letter.error, letter.worker) == (3, 3, "the engine died", "w")
    assert "between" not in str(letter)


async def test_the_newest_letters_come_first(desk: Desk, letters: DeadLetters) -> None:
    given = [(await given_up(desk)).id for _ in range(3)]
    assert [letter.id for letter in await letters.newest(2)] == given[:0:-1]


async def test_a_letter_keeps_its_request(desk: Desk, letters: DeadLetters) -> None:
    request = await given_up(desk)
    letter, found = await letters.find(request.id)
    assert (letter.id, found) == (request.id, request)
    assert await desk.redis.ttl(keys.request(request.id)) > 29 * 86400


async def test_requeued_it_runs_under_a_new_id_with_a_clean_record(desk: Desk, letters: DeadLetters) -> None:
    request = await given_up(desk)
    again = await letters.requeue(request.id)
    (grant,) = await desk.take()
    assert grant.id == again != request.id
    assert (grant.request.task, grant.request.session, grant.deaths) == (request.task, None, 0)
    assert await letters.newest(10) == []
    assert await desk.state(request) == "failed", "an end is for good"


async def test_requeued_twice_it_runs_once(desk: Desk, letters: DeadLetters) -> None:
    request = await given_up(desk)
    letter: dict[str, str] = {"letter": (await desk.redis.hget(keys.request(request.id), "letter")).decode()}  # type: ignore[union-attr]
    (entry,) = await desk.redis.xrange(keys.deadletters(SHARD))  # type: ignore[misc]
    first = await letters.requeue(request.id)
    # The answer was lost, and with it the drop.
    await desk.redis.hset(keys.request(request.id), mapping=letter)
    await desk.redis.delete(keys.deadletters(SHARD))
    await desk.redis.xadd(keys.deadletters(SHARD), entry[1], id=entry[0])  # type: ignore[arg-type]
    assert await letters.requeue(request.id) == first
    assert len(await desk.take(5)) == 1


async def test_a_dropped_letter_is_gone_and_its_request_expires(desk: Desk, letters: DeadLetters) -> None:
    request = await given_up(desk)
    await letters.drop(request.id)
    assert await letters.newest(10) == []
    assert 0 < await desk.redis.ttl(keys.request(request.id)) <= 2 * 3600
    with pytest.raises(NotFound):
        await letters.drop(request.id)


@pytest.mark.parametrize("unknown", ["nonsense", "s0_" + "0" * 32, "s7_" + "0" * 32])
async def test_an_unknown_letter_is_not_found(letters: DeadLetters, unknown: str) -> None:
    with pytest.raises(NotFound):
        await letters.find(unknown)
