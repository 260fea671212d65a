"""Sessions, their history and profiles on a real server."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import CallerError, NotFound
from contracts.functions import LearnedFacts, Library, Push, Pushed, Pushes, Summaries
from contracts.ids import Shard, TenantId, new_request_id, new_session_id
from memory import History, Learned, Profiles, Session, Sessions, Summary

ACME, OTHER = TenantId("acme"), TenantId("other")
SESSION = new_session_id(Shard(0))


async def session(redis: Redis, user: str = "ada") -> Session:
    return await Sessions(redis).create(Shard(0), ACME, user, title="Water", metadata={"topic": "pipes"})


def summary(until: str) -> Summary:
    return Summary("Ada asks for water.", until, 1.0, "--- 5eed00")


async def keep(redis: Redis, made: Session, until: str, unsaid: int = 0) -> str:
    return await Summaries(Library(redis)).keep(made.id, made.tenant, until, summary(until).encode(), unsaid)


async def learn(redis: Redis, at: int, **values: str) -> bool:
    """Learn from a turn of that moment, Unix ms."""
    facts = {name: Learned(value, at, SESSION).encode() for name, value in values.items()}
    return await LearnedFacts(Library(redis)).learn(ACME, "ada", at, facts)


async def learned(redis: Redis) -> dict[str, str]:
    return {name: fact.value for name, fact in (await Profiles(redis).known(ACME, "ada")).learned.items()}


async def now(redis: Redis) -> int:
    """A moment behind all that has happened, Unix ms."""
    seconds, micros = await redis.time()
    return seconds * 1000 + micros // 1000 + 1


async def passed(redis: Redis, moment: int) -> None:
    """Wait until a moment of the server's clock, Unix ms, is over."""
    while await now(redis) <= moment + 1:
        pass


async def push(redis: Redis, made: Session, text: str, **changes: Any) -> Pushed:
    wanted = Push(secrets.token_hex(4), "orders", ACME, made.id, text, {"order": "7"})
    return await Pushes(Library(redis)).push(replace(wanted, **changes))


async def test_a_session_is_read_back_as_it_was_made(redis: Redis) -> None:
    made = await session(redis)
    assert await Sessions(redis).get(ACME, made.id) == made


async def test_only_what_is_given_is_changed(redis: Redis) -> None:
    made, sessions = await session(redis), Sessions(redis)
    changed = await sessions.update(made, on_busy="interrupt")
    assert changed == await sessions.get(ACME, made.id) == replace(made, on_busy="interrupt")


@pytest.mark.parametrize("policy", ["", "of a newer release"])
async def test_a_session_whose_policy_is_not_known_queues(redis: Redis, policy: str) -> None:
    made = await session(redis)
    await redis.hset(keys.session(made.id), "on_busy", policy)
    assert (await Sessions(redis).get(ACME, made.id)).on_busy == "queue"


@pytest.mark.parametrize("wrong", ["", "s0_short", "s0_" + "0" * 32, "s0_" + "g" * 32])
async def test_a_session_that_is_none_is_not_found(redis: Redis, wrong: str) -> None:
    with pytest.raises(NotFound):
        await Sessions(redis).get(ACME, wrong)


async def test_another_tenants_session_is_not_found(redis: Redis) -> None:
    made = await session(redis)
    with pytest.raises(NotFound):
        await Sessions(redis).get(OTHER, made.id)


async def test_what_a_summary_covers_is_not_recalled(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    turns = [await history.add(made, str(number), "a") for number in range(3)]
    await Sessions(redis).update(made, summarize=True)
    assert await keep(redis, made, turns[1].id) == "ok"
    past = await history.past(made.id)
    assert ([turn.question for turn in past.turns], past.summarize) == (["2"], True)
    assert past.summary == (await Sessions(redis).get(ACME, made.id)).summary == summary(turns[1].id)


async def test_a_summary_gives_way_to_one_that_covers_more(redis: Redis) -> None:
    made = await Sessions(redis).create(Shard(0), ACME, "ada", summarize=True)
    assert await keep(redis, made, "9-1") == "ok"
    assert [await keep(redis, made, until) for until in ("9-1", "9-0", "8-7")] == ["known"] * 3
    assert [await keep(redis, made, until) for until in ("9-2", "9-11", "10-0")] == ["ok"] * 3
    assert (await History(redis).past(made.id)).summary == summary("10-0")


async def test_a_summary_of_what_is_not_there_changes_nothing(redis: Redis) -> None:
    made = await session(redis)
    before = await redis.hgetall(keys.session(made.id))
    assert await keep(redis, made, "1-0") == "unwanted"
    assert await keep(redis, replace(made, tenant=OTHER), "1-0") == "unknown"
    assert await keep(redis, replace(made, id=new_session_id(Shard(0))), "1-0") == "unknown"
    assert await redis.hgetall(keys.session(made.id)) == before
    assert len(await redis.keys("*")) == 2


async def test_who_wants_no_summary_any_more_has_none(redis: Redis) -> None:
    made = await Sessions(redis).create(Shard(0), ACME, "ada", summarize=True)
    await keep(redis, made, "9-0")
    stored = await Sessions(redis).get(ACME, made.id)
    await Sessions(redis).update(stored, title="Other")
    assert (await Sessions(redis).get(ACME, made.id)).summary == summary("9-0")
    await Sessions(redis).update(stored, summarize=False)
    found = await Sessions(redis).get(ACME, made.id)
    assert (found.title, found.summarize, found.summary) == ("Other", False, None)
    assert (await History(redis).past(made.id)).summary is None
    await Sessions(redis).update(stored, summarize=True)
    assert await keep(redis, made, "1-0") == "ok"


@pytest.mark.parametrize(("deleted", "left"), [(0, False), (1, False), (2, True)])
async def test_a_summary_is_forgotten_with_what_it_covers(redis: Redis, deleted: int, left: bool) -> None:
    history = History(redis)
    made = await Sessions(redis).create(Shard(0), ACME, "ada", summarize=True)
    turns = [await history.add(made, str(number), "a") for number in range(3)]
    await keep(redis, made, turns[1].id)
    for _ in range(2):  # once more is no other deletion
        assert (await history.unsay(made, turns[deleted].id, "assistant")).outcome == "ok"
    past = await history.past(made.id)
    assert (past.summary is not None, past.unsaid, len(past.turns)) == (left, 1, 1 if left else 3)


async def test_a_summary_of_what_was_deleted_meanwhile_is_not_kept(redis: Redis) -> None:
    history = History(redis)
    made = await Sessions(redis).create(Shard(0), ACME, "ada", summarize=True)
    turns = [await history.add(made, str(number), "a") for number in range(2)]
    read = (await history.past(made.id)).unsaid
    await history.unsay(made, turns[0].id, "user")
    assert await keep(redis, made, turns[1].id, read) == "unwanted"
    assert await keep(redis, made, turns[1].id, (await history.past(made.id)).unsaid) == "ok"


async def test_a_summary_of_a_form_that_is_not_ours_is_none(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    await history.add(made, "q", "a")
    await redis.hset(keys.session(made.id), "summary", "{")
    assert len((await history.past(made.id)).turns) == 1


async def test_a_deleted_session_leaves_nothing(redis: Redis) -> None:
    made = await session(redis)
    await History(redis).add(made, "q", "a")
    await Sessions(redis).delete(made)
    assert await redis.keys("*") == []


async def test_sessions_are_listed_for_their_user_alone(redis: Redis) -> None:
    made = await session(redis)
    await session(redis, user="bob")
    assert await Sessions(redis).list(Shard(0), ACME, "ada") == [made]
    assert await Sessions(redis).list(Shard(0), OTHER, "ada") == []


async def test_every_key_of_a_session_ends_some_day(redis: Redis) -> None:
    made = await session(redis)
    await History(redis).add(made, "q", "a")
    await push(redis, made, "ping")
    assert [await redis.ttl(key) > 0 for key in await redis.keys("*")] == [True] * 4


async def test_turns_are_read_in_the_order_they_were_said(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    await history.add(made, "one", "1")
    await push(redis, made, "ping")
    await history.add(made, "two", "2")
    assert [turn.answer for turn in await history.recent(made.id)] == ["1", "ping", "2"]
    assert [turn.answer for turn in await history.recent(made.id, limit=1)] == ["2"]


async def test_a_turn_that_never_ran_is_read_back_with_its_request_and_its_end(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    added = await history.add(made, "one", "", request=new_request_id(Shard(0)), status="cancelled")
    assert await history.recent(made.id) == [added]


async def test_turns_can_be_asked_for_by_time(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    await history.add(made, "one", "1")
    await asyncio.sleep(0.02)
    moment = time.time()
    await asyncio.sleep(0.02)
    await history.add(made, "two", "2")
    assert [turn.answer for turn in await history.between(made.id, since=moment)] == ["2"]
    assert [turn.answer for turn in await history.between(made.id, until=moment)] == ["1"]


async def test_many_profiles_come_in_one_round_trip(redis: Redis) -> None:
    profiles = Profiles(redis)
    await profiles.put(ACME, "ada", {"name": "Ada"})
    await profiles.put(ACME, "bob", {"name": "Bob"})
    before = (await redis.info("stats"))["total_reads_processed"]
    assert await profiles.get_many(ACME, ["bob", "nobody", "ada"]) == [{"name": "Bob"}, {}, {"name": "Ada"}]
    # One read for the batch, one for asking.
    assert (await redis.info("stats"))["total_reads_processed"] - before <= 2


async def test_a_changed_fact_leaves_the_others(redis: Redis) -> None:
    profiles = Profiles(redis)
    await profiles.put(ACME, "ada", {"name": "Ada", "plan": "free"})
    assert await profiles.patch(ACME, "ada", {"plan": None, "language": "en"}) == {"language": "en", "name": "Ada"}


async def test_a_profile_without_facts_takes_no_room(redis: Redis) -> None:
    await Profiles(redis).put(ACME, "ada", {})
    assert await redis.exists(keys.profile(ACME, "ada")) == 0


async def test_a_push_is_put_in_once_by_its_id(redis: Redis) -> None:
    made = await session(redis)
    first = await push(redis, made, "ping", id="7")
    assert await push(redis, made, "ping", id="7") == Pushed("existing", first.entry)
    assert (await push(redis, made, "pong", id="7")).outcome == "conflict"
    [turn] = await History(redis).recent(made.id)
    assert (turn.id, turn.publisher, turn.metadata) == (first.entry, "orders", {"order": "7"})


async def test_another_publishers_id_is_its_own(redis: Redis) -> None:
    made = await session(redis)
    assert (await push(redis, made, "ping", id="7")).outcome == "ok"
    assert (await push(redis, made, "ping", id="7", publisher="hotels")).outcome == "ok"


async def test_a_push_to_another_tenants_session_changes_nothing(redis: Redis) -> None:
    made = await session(redis)
    before = sorted(await redis.keys("*"))
    assert (await push(redis, made, "ping", tenant=OTHER)).outcome == "unknown"
    assert sorted(await redis.keys("*")) == before


async def test_a_push_that_was_torn_is_mended(redis: Redis) -> None:
    """A power loss may leave the first writes of the step alone: the record, or the record and the entry."""
    made = await session(redis)
    first = await push(redis, made, "ping", id="7")
    record = keys.pushed(Shard(0), ACME, "orders", "7")
    await redis.hdel(record, "entry")
    assert (await push(redis, made, "ping", id="7")).entry == first.entry
    await redis.hdel(record, "entry")
    await redis.delete(keys.turns(made.id))
    assert (await push(redis, made, "ping", id="7")).outcome == "ok"
    assert [turn.answer for turn in await History(redis).recent(made.id)] == ["ping"]


async def test_news_are_what_stands_behind_a_position(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    first, second = await push(redis, made, "one"), await push(redis, made, "two")
    [news, gone] = await history.news([(made.id, first.entry), (new_session_id(Shard(0)), "0-0")])
    assert (news.session, [entry.id for entry in news.entries]) == (made, [second.entry])
    assert (gone.session, gone.entries) == (None, ())


async def test_whatever_changes_a_session_gives_a_hint(redis: Redis) -> None:
    made = await session(redis)
    pubsub = redis.pubsub()
    await pubsub.subscribe(keys.session_channel(made.id))
    await Sessions(redis).update(made, title="Fire", metadata=None)
    await History(redis).add(made, "q", "a")
    await push(redis, made, "ping")
    await Sessions(redis).delete(made)
    heard = [await pubsub.get_message(timeout=5) for _ in range(5)]
    await pubsub.aclose()
    assert [message["type"] for message in heard if message] == ["subscribe", *["message"] * 4]


async def test_the_newest_session_of_a_user_is_the_one_used_last(redis: Redis) -> None:
    sessions = Sessions(redis)
    assert await sessions.newest([Shard(0), Shard(1)], ACME, "ada") is None
    first = await session(redis)
    await sessions.create(Shard(1), ACME, "ada")
    await sessions.get(ACME, first.id)
    assert await sessions.newest([Shard(0), Shard(1)], ACME, "ada") == first.id


async def test_nothing_is_learned_of_who_did_not_ask_for_it(redis: Redis) -> None:
    assert not await learn(redis, await now(redis), name="Ada")
    assert await redis.keys("*") == []


async def test_facts_are_learned_from_what_is_said_later(redis: Redis) -> None:
    facts = LearnedFacts(Library(redis))
    before = await now(redis) - 1
    await facts.switch(ACME, "ada", on=True)
    assert not await learn(redis, before, name="Eve")
    at = await now(redis)
    assert await learn(redis, at, name="Ada")
    known = await Profiles(redis).known(ACME, "ada")
    assert known.learned == {"name": Learned("Ada", at, SESSION)}
    assert known.since is not None
    assert before <= known.since < at


async def test_what_was_said_later_counts(redis: Redis) -> None:
    await LearnedFacts(Library(redis)).switch(ACME, "ada", on=True)
    at = await now(redis)
    await learn(redis, at + 5, city="Paris")
    await learn(redis, at, city="Rome", name="Ada")
    assert await learned(redis) == {"city": "Paris", "name": "Ada"}


async def test_what_is_forgotten_is_not_learned_again_from_the_same_turns(redis: Redis) -> None:
    facts = LearnedFacts(Library(redis))
    await facts.switch(ACME, "ada", on=True)
    said = await now(redis)
    await passed(redis, said)
    await learn(redis, said, city="Paris", name="Ada")
    await facts.forget(ACME, "ada", "city")
    assert not await learn(redis, said, city="Paris")
    assert await learned(redis) == {"name": "Ada"}
    await facts.forget(ACME, "ada")
    assert not await learn(redis, said, name="Ada")
    assert await learned(redis) == {}
    assert await learn(redis, await now(redis), name="Ada")


async def test_switched_off_nothing_is_left(redis: Redis) -> None:
    facts = LearnedFacts(Library(redis))
    await facts.switch(ACME, "ada", on=True)
    await learn(redis, await now(redis), name="Ada")
    await facts.switch(ACME, "ada", on=False)
    await facts.forget(ACME, "ada")
    assert await redis.keys("*") == []


async def test_switching_on_twice_does_not_begin_anew(redis: Redis) -> None:
    facts = LearnedFacts(Library(redis))
    await facts.switch(ACME, "ada", on=True)
    since = (await Profiles(redis).known(ACME, "ada")).since
    await passed(redis, since or 0)
    await facts.switch(ACME, "ada", on=True)
    assert (await Profiles(redis).known(ACME, "ada")).since == since


async def test_a_deleted_profile_forgets_what_was_learned(redis: Redis) -> None:
    await LearnedFacts(Library(redis)).switch(ACME, "ada", on=True)
    await learn(redis, await now(redis), name="Ada")
    assert await Profiles(redis).delete(ACME, "ada")
    assert await redis.keys("*") == []


async def test_what_was_learned_from_is_not_read_again(redis: Redis) -> None:
    made, history, facts = await session(redis), History(redis), LearnedFacts(Library(redis))
    turns = [await history.add(made, str(number), "a") for number in range(3)]
    for until in (turns[1].id, turns[0].id):
        await facts.advance(made.id, ACME, until)
    past = await history.past(made.id)
    assert ([turn.question for turn in past.unread], len(past.turns), past.user) == (["2"], 3, "ada")


async def test_a_session_that_was_deleted_is_not_brought_back(redis: Redis) -> None:
    made = await session(redis)
    await Sessions(redis).delete(made)
    await LearnedFacts(Library(redis)).advance(made.id, ACME, "1-0")
    await LearnedFacts(Library(redis)).advance(made.id, OTHER, "1-0")
    assert await redis.keys("*") == []


async def test_nobodys_session_is_adopted_once(redis: Redis) -> None:
    sessions, made = Sessions(redis), await session(redis, user="")
    assert (await sessions.adopt(made, "ada")).user == "ada"
    with pytest.raises(CallerError) as refused:
        await sessions.adopt(await sessions.get(ACME, made.id), "bob")
    assert (refused.value.code, refused.value.param) == ("conversation_of_another_user", "user")
    with pytest.raises(CallerError):  # also who has read it before it was
        await sessions.adopt(made, "bob")
    assert await sessions.list(Shard(0), ACME, "") == []
    assert [one.id for one in await sessions.list(Shard(0), ACME, "ada")] == [made.id]
    assert await redis.ttl(keys.sessions(Shard(0), ACME, "ada")) > 0


async def test_what_was_said_before_an_adoption_teaches_nothing_of_the_user(redis: Redis) -> None:
    sessions, history, made = Sessions(redis), History(redis), await session(redis, user="")
    await history.add(made, "I am Eve.", "Hello.")
    adopted = await sessions.adopt(made, "ada")
    await history.add(adopted, "I am Ada.", "Hello.")
    past = await history.past(made.id)
    assert ([turn.question for turn in past.unread], len(past.turns)) == (["I am Ada."], 2)


async def test_a_change_does_not_undo_an_adoption(redis: Redis) -> None:
    sessions, made = Sessions(redis), await session(redis, user="")
    await sessions.adopt(made, "ada")
    await sessions.update(made, title="Fire", metadata=None)
    found = await sessions.get(ACME, made.id)
    assert (found.user, found.title) == ("ada", "Fire")


async def test_a_retention_that_was_shortened_leaves_longer_lived_sessions_listed(redis: Redis) -> None:
    await session(redis)
    await Sessions(redis, timedelta(hours=1)).create(Shard(0), ACME, "ada")
    assert await redis.ttl(keys.sessions(Shard(0), ACME, "ada")) > 86400


async def test_a_session_that_is_read_while_it_is_deleted_stays_deleted(redis: Redis) -> None:
    sessions, made = Sessions(redis), await session(redis)
    await sessions.delete(made)
    await sessions._renew(made)
    assert await redis.keys("*") == []


async def test_nothing_is_said_in_a_session_that_is_gone(redis: Redis) -> None:
    made = await session(redis)
    await Sessions(redis).delete(made)
    with pytest.raises(NotFound):
        await History(redis).add(made, "q", "a")
    assert await redis.keys("*") == []


async def test_older_turns_are_found_behind_many_deleted_ones(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    kept = [await history.add(made, f"q{number}", f"a{number}") for number in range(3)]
    for number in range(60):
        turn = await history.add(made, f"regret {number}", "a")
        for speaker in ("user", "assistant"):
            assert (await history.unsay(made, turn.id, speaker)).outcome == "ok"
    assert [turn.question for turn in await history.recent(made.id, limit=2)] == ["q1", "q2"]
    entries, _ = await history.latest(made.id, 4)
    assert [entry.text for entry in entries if entry.kind != "deleted"] == ["q1", "a1", "q2", "a2"]
    assert [turn.id for turn in await history.recent(made.id)] == [turn.id for turn in kept]
