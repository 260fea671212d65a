"""Two quick messages in one conversation: the second queues, is rejected, or interrupts, on any access process."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from contracts import keys
from contracts.ids import CONVERSATION_PREFIX, SessionId, Shard, new_request_id, parse_public
from contracts.messages import Generate, InferenceRequest
from tests.integration.access.devices import DELTA, ITEM, device
from tests.integration.access.test_leaving import crowded, request_of, state
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

LONG = "tokens=2000 pause=0.05"
SHORT = "tokens=3"
Clients = tuple[OpenAI, OpenAI]


@pytest.fixture
def both(pair: Stack) -> Clients:
    """A client of each access process."""
    here, there = (pair.client(port) for port in pair.access_ports)
    return here, there


@pytest.fixture
def conversation(both: Clients) -> str:
    return both[0].conversations.create().id


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as opened:
        yield opened


def test_the_second_queues_unless_it_says_otherwise(both: Clients, conversation: str, store: Any) -> None:
    first = begun(both[0], conversation, "tokens=20 pause=0.05", store)
    second = ask(both[1], conversation, SHORT)
    assert status(both[0], first) == second.status == "completed"
    assert roles(both[0], conversation) == ["user", "assistant"] * 2


def test_one_that_is_to_be_rejected_is_so_at_once_and_leaves_no_trace(
    both: Clients, conversation: str, store: Any
) -> None:
    first = begun(both[0], conversation, LONG, store)
    with pytest.raises(BadRequestError) as refused:
        ask(both[1], conversation, "Not this.", "reject")
    assert (refused.value.code, refused.value.param) == ("conversation_locked", "conversation")
    assert state(store, request_of(first)) == "running"
    both[0].responses.cancel(first)
    assert "Not this." not in texts(both[0], conversation)


def test_where_nothing_is_busy_nothing_is_rejected(both: Clients, conversation: str) -> None:
    assert ask(both[0], conversation, SHORT, "reject").status == "completed"
    assert ask(both[1], conversation, SHORT, "reject").status == "completed"


def test_of_two_at_the_same_instant_one_is_rejected_and_costs_nothing(pair: Stack, pool: ThreadPoolExecutor) -> None:
    tenant = f"tenant-{secrets.token_hex(4)}"
    here, there = clients_of(pair, tenant)
    used = 0
    for _ in range(5):
        conversation = here.conversations.create().id
        answers = at_once(pool, [here, there], conversation, "tokens=10 pause=0.05", "reject")
        [refused] = [one for one in answers if isinstance(one, BadRequestError)]
        [answer] = [one for one in answers if not isinstance(one, BadRequestError)]
        assert refused.code == "conversation_locked"
        used += answer.usage.total_tokens
    wait_until(lambda: not ledger(pair, tenant)["reserved"]["tokens"], "everything being settled or refunded")
    assert ledger(pair, tenant)["settled"]["tokens"] == used


def test_one_that_runs_in_the_background_ends_as_failed_when_it_is_rejected(
    both: Clients, conversation: str, store: Any
) -> None:
    first = begun(both[0], conversation, LONG, store)
    second = ask(both[1], conversation, SHORT, "reject", background=True)
    wait_until(lambda: status(both[0], second.id) == "failed", "the second being rejected")
    error = both[0].responses.retrieve(second.id).error
    assert error is not None
    assert error.code == "conversation_locked"
    both[0].responses.cancel(first)


def test_a_repetition_is_not_rejected_for_the_sake_of_its_own_first_time(both: Clients, conversation: str) -> None:
    key = {"idempotency_key": secrets.token_hex(8)}
    first = ask(both[0], conversation, "tokens=30 pause=0.05", "reject", background=True, **key)
    assert ask(both[1], conversation, "tokens=30 pause=0.05", "reject", background=True, **key).id == first.id


def test_who_interrupts_has_the_first_cancelled_and_its_partial_answer_in_its_history(
    both: Clients, conversation: str, store: Any, pool: ThreadPoolExecutor
) -> None:
    first = pool.submit(streamed, both[0], conversation, LONG)
    wait_until(lambda: running(store, conversation), "the first one's answer")
    second = ask(both[1], conversation, SHORT, "interrupt")

    events = first.result(10)
    partial = "".join(event.delta for event in events if event.type == DELTA)
    assert events[-1].type == "response.cancelled"
    assert second.status == "completed"
    assert statuses(both[0], conversation) == ["completed", "incomplete", "completed", "completed"]
    assert texts(both[0], conversation)[1].startswith(partial)
    assert [role for role, _ in prompt(store, second.id)] == ["system", "user", "assistant", "user"]
    assert prompt(store, second.id)[2][1] == texts(both[0], conversation)[1]


def test_a_chat_completion_interrupts_another(both: Clients, conversation: str, store: Any) -> None:
    with both[0].chat.completions.create(stream=True, **chat(LONG, conversation)) as first:
        chunks = iter(first)
        next(chunks)
        second = both[1].chat.completions.create(stream=False, **chat(SHORT, conversation, "interrupt"))
        with pytest.raises(Exception, match="cancelled"):
            list(chunks)
    assert second.choices[0].finish_reason == "stop"
    assert statuses(both[0], conversation) == ["completed", "incomplete", "completed", "completed"]


def test_where_nothing_is_busy_nothing_is_interrupted(both: Clients, conversation: str) -> None:
    assert ask(both[0], conversation, SHORT, "interrupt").status == "completed"
    assert ask(both[1], conversation, SHORT, "interrupt").status == "completed"
    assert statuses(both[0], conversation) == ["completed"] * 4


def test_another_conversation_is_not_interrupted(both: Clients, conversation: str, store: Any) -> None:
    first = begun(both[0], conversation, LONG, store)
    ask(both[0], both[0].conversations.create().id, SHORT, "interrupt")
    assert state(store, request_of(first)) == "running"
    both[0].responses.cancel(first)


@pytest.mark.parametrize("quick", [2, 6])
def test_of_many_quick_messages_the_last_one_wins_and_no_question_is_lost(
    quick: int, both: Clients, conversation: str, store: Any, pool: ThreadPoolExecutor
) -> None:
    first = begun(both[0], conversation, LONG, store)
    answers = at_once(pool, [*both] * (quick // 2), conversation, "tokens=40 pause=0.05", "interrupt")

    assert status(both[0], first) == "cancelled"
    assert sorted(answer.status for answer in answers) == [*["cancelled"] * (quick - 1), "completed"]
    items = listed(both[0], conversation)
    assert {item["response_id"] for item in items} == {first, *(answer.id for answer in answers)}
    assert [item["role"] for item in items] == ["user", "assistant"] * (quick + 1)
    assert ask(both[1], conversation, SHORT, "reject").status == "completed"


def test_one_that_waits_to_interrupt_is_interrupted_by_the_next(
    pair: Stack, store: Any, pool: ThreadPoolExecutor
) -> None:
    here, there, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    first = pool.submit(streamed, here, conversation, "tokens=3 first", "interrupt")
    wait_until(lambda: waiting(store, conversation), "the first one waiting")
    second = pool.submit(ask, there, conversation, SHORT, "interrupt")

    assert first.result(10)[-1].type == "response.cancelled"
    assert not second.done()
    here.responses.cancel(elsewhere)
    answer = second.result(20)
    assert answer.status == "completed"
    assert texts(here, conversation)[:2] == ["tokens=3 first", ""]
    assert prompt(store, answer.id)[-1] == ("user", f"tokens=3 first\n\n{SHORT}")


def test_one_whose_successor_died_before_it_cancelled_it_gives_way_by_itself(
    pair: Stack, store: Any, pool: ThreadPoolExecutor
) -> None:
    here, _, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    first = pool.submit(streamed, here, conversation, "tokens=3 first", "interrupt")
    wait_until(lambda: waiting(store, conversation), "the first one waiting")
    store.set(keys.interrupting(session_of(conversation)), new_request_id(Shard(0)), ex=60)

    assert first.result(10)[-1].type == "response.cancelled"
    assert texts(here, conversation) == ["tokens=3 first", ""]
    here.responses.cancel(elsewhere)


def test_one_that_waits_and_does_not_interrupt_is_interrupted_when_it_begins(
    pair: Stack, store: Any, pool: ThreadPoolExecutor
) -> None:
    here, there, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    first = ask(here, conversation, LONG, background=True)
    wait_until(lambda: gate_of(pair) >= 1, "the first one at the gate")
    second = pool.submit(ask, there, conversation, SHORT, "interrupt")
    wait_until(lambda: gate_of(pair) >= 2, "the second one at the gate")

    here.responses.cancel(elsewhere)
    assert second.result(20).status == "completed"
    assert status(here, first.id) == "cancelled"


def test_one_that_waits_to_be_rejected_is_so_when_another_begins(
    pair: Stack, store: Any, pool: ThreadPoolExecutor
) -> None:
    here, there, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    first = ask(here, conversation, LONG, background=True)
    wait_until(lambda: gate_of(pair) >= 1, "the first one at the gate")
    second = pool.submit(ask, there, conversation, SHORT, "reject")
    wait_until(lambda: gate_of(pair) >= 2, "the second one at the gate")

    here.responses.cancel(elsewhere)
    with pytest.raises(BadRequestError, match="Another answer"):
        second.result(20)
    here.responses.cancel(first.id)


def test_one_that_is_not_admitted_does_not_stay_behind(pair: Stack, store: Any) -> None:
    here, _, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    with pytest.raises(Exception, match="stayed busy"):
        ask(here, conversation, SHORT, "interrupt", wait="0")
    latest = store.get(keys.interrupting(session_of(conversation))).decode()
    assert state(store, latest) == "failed"
    here.responses.cancel(elsewhere)


def test_a_repetition_does_not_interrupt_its_own_first_time(both: Clients, conversation: str) -> None:
    key = {"idempotency_key": secrets.token_hex(8)}
    first = ask(both[0], conversation, "tokens=30 pause=0.05", "interrupt", background=True, **key)
    assert ask(both[1], conversation, "tokens=30 pause=0.05", "interrupt", background=True, **key).id == first.id
    wait_until(lambda: status(both[0], first.id) == "completed", "its end")


def test_a_conversation_has_a_policy_for_messages_that_say_none(both: Clients, store: Any) -> None:
    here, there = both
    conversation = here.conversations.create(extra_body={"on_busy": "reject"}).id
    first = begun(here, conversation, LONG, store)
    with pytest.raises(BadRequestError, match="Another answer"):
        ask(there, conversation, SHORT)
    changed = there.conversations.update(conversation, metadata={}, extra_body={"on_busy": "interrupt"})
    assert changed.model_dump()["on_busy"] == "interrupt"
    with pytest.raises(BadRequestError, match="Another answer"):
        ask(here, conversation, SHORT, "reject")
    assert ask(here, conversation, SHORT).status == "completed"
    assert status(here, first) == "cancelled"


def test_a_key_of_one_user_does_not_interrupt_another_users_conversation(
    pair: Stack, both: Clients, store: Any
) -> None:
    here, _ = both
    conversation = here.conversations.create(extra_body={"user": "bob"}).id
    first = begun(here, conversation, LONG, store)
    ada: Any = here.post(
        "/../admin/keys",
        body={"name": "ada", "tenant": "default", "user": "ada", "scopes": ["inference"]},
        cast_to=object,
    )
    for client in (pair.client(key=ada["key"]), *clients_of(pair, "somebody-else")):
        with pytest.raises(NotFoundError):
            ask(client, conversation, SHORT, "interrupt")
    assert state(store, request_of(first)) == "running"
    here.responses.cancel(first)


def test_every_device_hears_the_first_end_and_the_second_begin(
    pair: Stack, both: Clients, conversation: str, store: Any
) -> None:
    with device(pair.access_ports[0], conversation) as one, device(pair.access_ports[1], conversation) as other:
        begun(both[0], conversation, LONG, store)
        one.until(DELTA, 2)
        second = ask(both[1], conversation, SHORT, "interrupt")
        one.until(ITEM, 4)
        other.until(ITEM, 4)
    assert one.items == other.items
    ends = [kind for kind in one.kinds if kind in ("response.cancelled", "response.completed")]
    assert ends == ["response.cancelled", "response.completed"]
    assert one.text() == second.output_text


def test_a_device_hears_of_one_that_was_interrupted_while_it_waited(
    pair: Stack, store: Any, pool: ThreadPoolExecutor
) -> None:
    here, there, elsewhere = occupied(pair, store)
    conversation = here.conversations.create().id
    with device(pair.access_ports[1], conversation, key=here.api_key) as listening:
        pool.submit(streamed, here, conversation, "tokens=3 first", "interrupt")
        wait_until(lambda: waiting(store, conversation), "the first one waiting")
        second = pool.submit(ask, there, conversation, SHORT, "interrupt")
        listening.until(ITEM, 2)
        here.responses.cancel(elsewhere)
        listening.until(ITEM, 4)
    assert [(role, text) for _, role, text in listening.items] == [
        ("user", "tokens=3 first"),
        ("assistant", ""),
        ("user", SHORT),
        ("assistant", second.result(20).output_text),
    ]
    assert listening.kinds.count("response.cancelled") == listening.kinds.count("response.completed") == 1


@pytest.mark.parametrize("route", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("value", ["Interrupt", "", "cancel", 1, True, [], {"policy": "interrupt"}, "x" * 100_000])
def test_any_other_word_is_refused_by_name(route: str, value: object, pair: Stack, conversation: str) -> None:
    body = {"model": "plain", "conversation": conversation, "on_busy": value}
    answer = posted(pair, route, body | {"input": SHORT, "messages": [{"role": "user", "content": SHORT}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "on_busy")


@pytest.mark.parametrize("route", ["/v1/responses", "/v1/chat/completions"])
def test_without_a_conversation_nothing_can_be_busy(route: str, pair: Stack) -> None:
    body = {"model": "plain", "on_busy": "interrupt", "input": SHORT}
    answer = posted(pair, route, body | {"messages": [{"role": "user", "content": SHORT}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "on_busy")


def ask(
    client: OpenAI, conversation: str, words: str, on_busy: str | None = None, wait: str = "60", **more: Any
) -> Any:
    """The response to a question in a conversation."""
    background = more.pop("background", False)
    return client.responses.create(
        model="plain",
        input=words,
        conversation=conversation,
        background=background,
        extra_body=more | ({"on_busy": on_busy} if on_busy else {}),
        extra_headers={"x-penstock-wait": wait},
    )


def begun(client: OpenAI, conversation: str, words: str, store: Any) -> str:
    """The public id of an answer that a worker is at."""
    response = ask(client, conversation, words, background=True).id
    wait_until(lambda: state(store, request_of(response)) == "running", "the first one running")
    return response


def streamed(client: OpenAI, conversation: str, words: str, on_busy: str = "queue") -> list[Any]:
    """All events of the answer to a question."""
    body, headers = {"on_busy": on_busy}, {"x-penstock-wait": "60"}
    with client.responses.create(
        model="plain", input=words, conversation=conversation, stream=True, extra_body=body, extra_headers=headers
    ) as stream:
        return list(stream)


def at_once(
    pool: ThreadPoolExecutor, clients: Sequence[OpenAI], conversation: str, words: str, on_busy: str
) -> list[Any]:
    """What each of the clients was answered, or how it was refused, when all asked at the same instant."""
    start = threading.Barrier(len(clients))

    def asked(client: OpenAI) -> Any:
        start.wait(10)
        try:
            return ask(client, conversation, words, on_busy)
        except BadRequestError as refused:
            return refused

    answers: list[Future[Any]] = [pool.submit(asked, client) for client in clients]
    return [answer.result(30) for answer in answers]


def chat(words: str, conversation: str, on_busy: str = "queue") -> Any:
    more = {"conversation": conversation, "on_busy": on_busy}
    return {"model": "plain", "messages": [{"role": "user", "content": words}], "extra_body": more}


def occupied(pair: Stack, store: Any) -> tuple[OpenAI, OpenAI, str]:
    """Clients of a tenant that may run one request at a time, and the one that runs, in no conversation."""
    here, there = crowded(pair, f"tenant-{secrets.token_hex(4)}")
    elsewhere = here.responses.create(model="plain", input=LONG, background=True).id
    wait_until(lambda: state(store, request_of(elsewhere)) == "running", "the one elsewhere running")
    wait_until(lambda: gate_of(pair) == 0, "nobody at the gate")
    return here, there, elsewhere


def clients_of(pair: Stack, tenant: str) -> Clients:
    made: Any = pair.client().post(
        "/../admin/keys", body={"name": "k", "tenant": tenant, "scopes": ["inference"]}, cast_to=object
    )
    here, there = (pair.client(port, made["key"]) for port in pair.access_ports)
    return here, there


def status(client: OpenAI, response: str) -> str | None:
    return client.responses.retrieve(response).status


def listed(client: OpenAI, conversation: str) -> list[dict[str, Any]]:
    return [item.model_dump() for item in client.conversations.items.list(conversation, order="asc", limit=100)]


def texts(client: OpenAI, conversation: str) -> list[str]:
    return [item["content"][0]["text"] for item in listed(client, conversation)]


def roles(client: OpenAI, conversation: str) -> list[str]:
    return [item["role"] for item in listed(client, conversation)]


def statuses(client: OpenAI, conversation: str) -> list[str]:
    return [item["status"] for item in listed(client, conversation)]


def session_of(conversation: str) -> SessionId:
    return SessionId(parse_public(conversation, CONVERSATION_PREFIX))


def running(store: Any, conversation: str) -> bool:
    """Whether an answer in a conversation has some text."""
    busy = store.hget(keys.session(session_of(conversation)), "busy")
    return busy is not None and store.xlen(keys.replies(busy.decode())) > 5


def waiting(store: Any, conversation: str) -> bool:
    """Whether one that came to interrupt waits for admission."""
    latest = store.get(keys.interrupting(session_of(conversation)))
    return latest is not None and state(store, latest.decode()) == "waiting"


def gate_of(pair: Stack) -> int:
    """How many wait for admission."""
    queues: Any = pair.client().get("/../admin/queues", cast_to=object)
    return sum(model["waiting"] for model in queues["data"])


def ledger(pair: Stack, tenant: str) -> dict[str, dict[str, int]]:
    limits: Any = pair.client().get(f"/../admin/limits/{tenant}", cast_to=object)
    return limits["ledger"]["total"]


def prompt(store: Any, response: str) -> list[tuple[str, str]]:
    """Role and text of the messages that a worker was given."""
    task = InferenceRequest.decode(store.hget(keys.request(request_of(response)), "body")).task
    assert isinstance(task, Generate)
    return [(message.role, message.content) for message in task.messages]


def posted(pair: Stack, route: str, body: dict[str, Any]) -> httpx2.Response:
    url = f"http://127.0.0.1:{pair.access_ports[0]}{route}"
    return httpx2.post(url, json=body, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)
