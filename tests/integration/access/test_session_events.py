"""One stream of events for each conversation: its devices hear the same, on any access process, and miss nothing."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import httpx2
import pytest

from contracts import keys
from contracts.ids import CONVERSATION_PREFIX, SessionId, parse_public
from tests.integration.access.devices import DELTA, ITEM, Device, device
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

TWO_SECONDS = "tokens=40 pause=0.05"
Http = httpx2.Client


@pytest.fixture
def here(pair: Stack) -> Iterator[Http]:
    """A plain HTTP client of the first access process."""
    base = f"http://127.0.0.1:{pair.access_ports[0]}"
    with httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60) as opened:
        yield opened


@pytest.fixture
def conversation(here: Http) -> str:
    return new(here)


def test_two_devices_on_two_processes_hear_the_same(pair: Stack, here: Http, conversation: str) -> None:
    with device(pair.access_ports[0], conversation) as one, device(pair.access_ports[1], conversation) as other:
        answer = ask(here, conversation, "tokens=20 pause=0.02")
        push(here, conversation, "Ping.")
        one.until(ITEM, 3)
        other.until(ITEM, 3)
    assert one.items == other.items
    assert [event.id for event in one.events if event.id] == [event.id for event in other.events if event.id]
    assert [(role, text) for _, role, text in one.items] == [
        ("user", "tokens=20 pause=0.02"),
        ("assistant", answer),
        ("assistant", "Ping."),
    ]
    assert one.text() == other.text() == answer
    assert without_deltas(one) == without_deltas(other)


def test_an_answer_comes_between_its_question_and_its_item(pair: Stack, here: Http, conversation: str) -> None:
    with device(pair.access_ports[1], conversation) as listening:
        ask(here, conversation, "tokens=3")
        listening.until(ITEM, 2)
    kinds = listening.kinds
    assert kinds[0] == "conversation.snapshot"
    assert kinds[1:3] == [ITEM, "response.created"]
    assert kinds[-2:] == ["response.completed", ITEM]


def test_a_device_that_comes_in_the_middle_sees_what_was_said_and_then_the_rest(
    pair: Stack, here: Http, conversation: str
) -> None:
    with device(pair.access_ports[0], conversation) as first, asking(here, conversation, TWO_SECONDS) as asked:
        first.until(DELTA, 5)
        with device(pair.access_ports[1], conversation) as late:
            late.until(ITEM)
            first.until(ITEM, 2)
        snapshot = late.events[0].data
        assert snapshot["response"]["text"]
        assert snapshot["response"]["cursor"]
        assert [item["role"] for item in snapshot["items"]] == ["user", "assistant"]
        assert DELTA in late.kinds
        assert late.text() == first.text() == asked()


def test_a_device_that_comes_back_misses_nothing_and_hears_nothing_twice(
    pair: Stack, here: Http, conversation: str
) -> None:
    with device(pair.access_ports[0], conversation) as before:
        push(here, conversation, "One.")
        before.until(ITEM)
    push(here, conversation, "Two.")
    push(here, conversation, "Three.")
    with device(pair.access_ports[1], conversation, before.last_id) as after:
        push(here, conversation, "Four.")
        after.until(ITEM, 3)
    assert [text for _, _, text in before.items + after.items] == ["One.", "Two.", "Three.", "Four."]
    assert after.kinds == [ITEM, ITEM, "conversation.resumed", ITEM]


def test_a_device_that_comes_back_in_the_middle_of_an_answer_has_all_of_it(
    pair: Stack, here: Http, conversation: str
) -> None:
    with asking(here, conversation, TWO_SECONDS) as asked:
        with device(pair.access_ports[0], conversation) as before:
            before.until(DELTA, 5)
        with device(pair.access_ports[1], conversation, before.last_id) as after:
            after.until(ITEM)
        assert after.text() == asked()
        assert [role for _, role, _ in after.items] == ["assistant"]


@pytest.mark.parametrize("cursor", ["1-1", "99999999999999-0"])
def test_a_cursor_that_is_out_of_reach_begins_anew(pair: Stack, here: Http, conversation: str, cursor: str) -> None:
    push(here, conversation, "One.")
    with device(pair.access_ports[0], conversation, cursor) as back:
        assert back.kinds == ["conversation.snapshot"]


@pytest.mark.parametrize("cursor", ["1", "a-b", "1-1x", "3-00000000000000a1"])
def test_a_malformed_cursor_is_refused(here: Http, conversation: str, cursor: str) -> None:
    answer = here.get(f"/v1/conversations/{conversation}/events", headers={"last-event-id": cursor})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "last-event-id")


def test_a_push_passes_an_answer_that_is_being_generated(pair: Stack, here: Http, conversation: str) -> None:
    with asking(here, conversation, TWO_SECONDS), device(pair.access_ports[1], conversation) as listening:
        listening.until(DELTA, 3)
        push(here, conversation, "Ping.")
        listening.until(ITEM, 2)
    told = [event.data["item"]["content"][0]["text"] for event in listening.events if event.kind == ITEM]
    assert "Ping." in told[:-1]


def test_a_renamed_conversation_is_told_and_a_deleted_one_ends_the_stream(
    pair: Stack, here: Http, conversation: str
) -> None:
    with device(pair.access_ports[1], conversation) as listening:
        here.post(f"/v1/conversations/{conversation}", json={"title": "Rivers"})
        listening.until("conversation.updated")
        assert listening.events[-1].data["conversation"]["title"] == "Rivers"
        here.delete(f"/v1/conversations/{conversation}")
        listening.until("conversation.deleted")
        wait_until(lambda: listening.ended, "the end of the stream")


def test_what_no_hint_told_is_found_all_the_same(pair: Stack, store: Any, conversation: str) -> None:
    with device(pair.access_ports[0], conversation) as listening:
        turns = keys.turns(SessionId(parse_public(conversation, CONVERSATION_PREFIX)))
        time.sleep(0.5)  # the first looks are over
        store.xadd(turns, {"type": "push", "publisher": "p", "id": "1", "text": "Unheard.", "metadata": "{}"})
        listening.until(ITEM, seconds=10)
    assert listening.items[0][2] == "Unheard."


def test_anothers_conversation_has_no_events(pair: Stack, here: Http, conversation: str) -> None:
    made = here.post("/admin/keys", json={"name": "k", "tenant": "stranger", "scopes": ["inference", "push"]}).json()
    answer = here.get(f"/v1/conversations/{conversation}/events", headers={"authorization": f"Bearer {made['key']}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "conversation_not_found")


def test_a_revoked_key_hears_no_more(pair: Stack, here: Http, conversation: str) -> None:
    made = here.post("/admin/keys", json={"name": "k", "tenant": "default", "scopes": ["inference"]}).json()
    with device(pair.access_ports[1], conversation, key=made["key"]) as listening:
        here.delete(f"/admin/keys/{made['key'].split('_')[0][3:]}")
        wait_until(lambda: listening.ended, "the end of the stream", 15)


def test_two_hundred_followed_conversations_need_no_more_connections_than_one(
    pair: Stack, here: Http, store: Any, conversation: str
) -> None:
    conversations = [new(here) for _ in range(200)]
    with contextlib.ExitStack() as opened:
        first = opened.enter_context(device(pair.access_ports[0], conversation))
        time.sleep(1)
        before = store.info("clients")["connected_clients"]
        devices = [opened.enter_context(device(pair.access_ports[0], one)) for one in conversations]
        for one in conversations:
            push(here, one, "Ping.")
        for each in devices:
            each.until(ITEM)
        # The pool for commands may have grown by a few meanwhile.
        assert store.info("clients")["connected_clients"] < before + 10
        assert first.kinds == ["conversation.snapshot"]


def new(here: Http) -> str:
    return here.post("/v1/conversations", json={}).json()["id"]


def ask(here: Http, conversation: str, question: str) -> str:
    body = {"model": "plain", "conversation": conversation, "input": question}
    answer = here.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["output"][0]["content"][0]["text"]


@contextlib.contextmanager
def asking(here: Http, conversation: str, question: str) -> Generator[Any]:
    """Somebody asks meanwhile; a call of what is yielded waits for the answer's text."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(ask(here, conversation, question)))
    thread.start()

    def answer() -> str:
        thread.join()
        return answers[0]

    try:
        yield answer
    finally:
        thread.join()


def push(here: Http, conversation: str, text: str) -> None:
    body = {"items": [{"role": "assistant", "content": text}]}
    assert here.post(f"/v1/conversations/{conversation}/items", json=body).status_code == 200


def without_deltas(heard: Device) -> list[str]:
    """The kinds of a device's events; how text is cut into deltas may differ."""
    return [kind for kind in heard.kinds if kind != DELTA]


def test_a_process_that_stops_does_not_wait_for_those_who_follow(pair: Stack, conversation: str) -> None:
    port = pair.access()
    stopping = pair.child(f"access-{len(pair.access_ports) - 1}")
    pair.access_ports.remove(port)
    with device(port, conversation) as listening:
        listening.until("conversation.snapshot")
        began = time.monotonic()
        stopping.stop()
        assert time.monotonic() - began < 8
        wait_until(lambda: listening.ended, "the end of the stream", 5)
