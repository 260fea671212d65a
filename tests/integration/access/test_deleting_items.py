"""A message that is taken out of a conversation is gone: from lists, from devices, and from what the model is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from contracts import keys
from contracts.ids import CONVERSATION_PREFIX, RESPONSE_PREFIX, RequestId, SessionId, parse_public
from contracts.messages import Generate, InferenceRequest
from tests.integration.access.devices import DELTA, ITEM, device
from tests.integration.access.test_session_events import asking, new, push
from tests.stack import API_KEY, Stack

DELETED = "conversation.item.deleted"
Http = httpx2.Client
Items = list[dict[str, Any]]


@pytest.fixture
def here(pair: Stack) -> Iterator[Http]:
    base = f"http://127.0.0.1:{pair.access_ports[0]}"
    with httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60) as opened:
        yield opened


@pytest.fixture
def conversation(here: Http) -> str:
    return new(here)


def test_the_library_deletes_an_item_and_gets_the_conversation(pair: Stack, here: Http, conversation: str) -> None:
    ask(here, conversation, "tokens=2")
    with pair.client() as sdk:
        assert isinstance(sdk, OpenAI)
        answered = sdk.conversations.items.delete(items(here, conversation)[0]["id"], conversation_id=conversation)
    assert (answered.id, answered.object) == (conversation, "conversation")


def test_a_deleted_turn_is_neither_listed_nor_found_nor_shown_to_the_model(
    here: Http, store: Any, conversation: str
) -> None:
    ask(here, conversation, "tokens=2 keep")
    ask(here, conversation, "tokens=2 regret")
    question, answer = items(here, conversation)[2:]
    for item in (question, answer):
        assert delete(here, conversation, item["id"]).status_code == 200
        assert here.get(f"/v1/conversations/{conversation}/items/{item['id']}").status_code == 404
    assert [item["role"] for item in items(here, conversation)] == ["user", "assistant"]
    shown = messages_of(store, ask(here, conversation, "tokens=2 next"))
    assert [text for role, text in shown if role == "user"] == ["tokens=2 keep", "tokens=2 next"]
    assert not any("regret" in text for _, text in shown)


def test_nothing_of_a_deleted_text_is_left_in_the_conversation(here: Http, store: Any, conversation: str) -> None:
    ask(here, conversation, "tokens=2 regret")
    delete(here, conversation, items(here, conversation)[0]["id"])
    assert b"regret" not in repr(store.xrange(turns(conversation))).encode()


def test_an_answer_keeps_its_id_without_its_question(here: Http, store: Any, conversation: str) -> None:
    ask(here, conversation, "tokens=2")
    question, answer = items(here, conversation)
    delete(here, conversation, question["id"])
    assert items(here, conversation) == [answer]
    assert here.get(f"/v1/conversations/{conversation}/items/{answer['id']}").json() == answer
    shown = messages_of(store, ask(here, conversation, "tokens=2 next"))
    assert ("assistant", answer["content"][0]["text"]) in shown
    assert delete(here, conversation, answer["id"]).status_code == 200
    assert answer not in items(here, conversation)


def test_a_question_without_its_answer_is_not_taken_for_one_that_is_answered(
    pair: Stack, here: Http, store: Any, conversation: str
) -> None:
    ask(here, conversation, "tokens=2 lonely")
    question, answer = items(here, conversation)
    delete(here, conversation, answer["id"])
    assert items(here, conversation) == [question]
    assert items(here, conversation, until=question["created_at"] + 0.5) == [question]
    with device(pair.access_ports[1], conversation) as listening:
        assert listening.events[0].data["response"] is None
        assert listening.events[0].data["items"] == [question]
    assert not any("lonely" in text for _, text in messages_of(store, ask(here, conversation, "tokens=2 next")))


def test_devices_hear_what_was_deleted_now_or_when_they_come_back(pair: Stack, here: Http, conversation: str) -> None:
    push(here, conversation, "One.")
    push(here, conversation, "Two.")
    one, two = items(here, conversation)
    with device(pair.access_ports[1], conversation) as listening:
        delete(here, conversation, one["id"])
        listening.until(DELETED)
        heard = listening.events[-1]
        assert heard.data == {"type": DELETED, "conversation_id": conversation, "item_id": one["id"]}
    push(here, conversation, "Three.")
    delete(here, conversation, two["id"])
    with device(pair.access_ports[0], conversation, heard.id) as back:
        back.until("conversation.resumed")
        assert back.kinds == [ITEM, DELETED, "conversation.resumed"]
    with device(pair.access_ports[0], conversation) as fresh:
        assert [item["content"][0]["text"] for item in fresh.events[0].data["items"]] == ["Three."]


def test_a_deletion_passes_an_answer_that_is_being_generated(pair: Stack, here: Http, conversation: str) -> None:
    push(here, conversation, "Old.")
    [old] = items(here, conversation)
    with (
        asking(here, conversation, "tokens=40 pause=0.05"),
        device(pair.access_ports[1], conversation) as listening,
    ):
        listening.until(DELTA, 3)
        assert delete(here, conversation, old["id"]).status_code == 200
        listening.until(DELETED)
        assert "response.completed" not in listening.kinds


def test_a_turn_that_is_being_answered_is_kept_and_the_answer_says_what_to_do(
    pair: Stack, here: Http, conversation: str
) -> None:
    with asking(here, conversation, "tokens=400 pause=0.05"), device(pair.access_ports[0], conversation) as listening:
        listening.until(DELTA, 2)
        question, answer = items(here, conversation)
        for item in (question, answer):
            refused = delete(here, conversation, item["id"])
            assert (refused.status_code, refused.json()["error"]["code"]) == (409, "still_running")
            assert question["response_id"] in refused.json()["error"]["message"]
        here.post(f"/v1/responses/{question['response_id']}/cancel")
        listening.until(ITEM)
        assert delete(here, conversation, question["id"]).status_code == 200


def test_what_was_put_in_from_outside_can_be_taken_out(here: Http) -> None:
    history = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
    conversation = here.post("/v1/conversations", json={"items": history * 2}).json()["id"]
    first, _, third, fourth = items(here, conversation)
    delete(here, conversation, first["id"])
    delete(here, conversation, fourth["id"])
    left = [(item["role"], item["id"]) for item in items(here, conversation)]
    assert left == [("assistant", first["id"].replace("user", "assistant")), ("user", third["id"])]


def test_deleting_twice_is_no_error_and_tells_devices_once(here: Http, store: Any, conversation: str) -> None:
    push(here, conversation, "One.")
    [one] = items(here, conversation)
    assert [delete(here, conversation, one["id"]).status_code for _ in range(2)] == [200, 200]
    assert store.xlen(turns(conversation)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "msg_1_0_user",
        "msg_1_0_system",
        "msg_x",
        "msg_999999999999999_9999999999_assistant",
        "msg_1_0_user%00",
        "%2e%2e",
    ],
)
def test_an_id_that_is_none_deletes_nothing(here: Http, conversation: str, wrong: str) -> None:
    push(here, conversation, "One.")
    assert here.delete(f"/v1/conversations/{conversation}/items/{wrong}").status_code in (404, 405)
    assert len(items(here, conversation)) == 1


def test_the_other_speakers_id_of_a_push_is_none(here: Http, conversation: str) -> None:
    push(here, conversation, "One.")
    [one] = items(here, conversation)
    assert delete(here, conversation, one["id"].replace("assistant", "user")).status_code == 404


def test_anothers_item_is_not_there(here: Http, conversation: str) -> None:
    push(here, conversation, "One.")
    [one] = items(here, conversation)
    made = here.post("/admin/keys", json={"name": "k", "tenant": "stranger", "scopes": ["inference", "push"]}).json()
    path = f"/v1/conversations/{conversation}/items/{one['id']}"
    refused = here.delete(path, headers={"authorization": f"Bearer {made['key']}"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "conversation_not_found")
    assert items(here, conversation) == [one]


def ask(here: Http, conversation: str, question: str) -> RequestId:
    """The request that answered."""
    answer = here.post("/v1/responses", json={"model": "plain", "conversation": conversation, "input": question})
    assert answer.status_code == 200, answer.text
    return RequestId(parse_public(answer.json()["id"], RESPONSE_PREFIX))


def items(here: Http, conversation: str, **params: Any) -> Items:
    answer = here.get(f"/v1/conversations/{conversation}/items", params={"order": "asc", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def delete(here: Http, conversation: str, item: str) -> httpx2.Response:
    return here.delete(f"/v1/conversations/{conversation}/items/{item}")


def messages_of(store: Any, request_id: RequestId) -> list[tuple[str, str]]:
    """Role and text of what a model was shown."""
    request = InferenceRequest.decode(store.hget(keys.request(request_id), "body"))
    assert isinstance(request.task, Generate)
    return [(message.role, message.content) for message in request.task.messages]


def turns(conversation: str) -> str:
    return keys.turns(SessionId(parse_public(conversation, CONVERSATION_PREFIX)))
