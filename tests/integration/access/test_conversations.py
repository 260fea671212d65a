"""Conversations: made, listed, filled from outside, and closed to everybody else."""

from __future__ import annotations

import time
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.integration.access.conftest import Client, error, new_client
from tests.stack import Stack

HISTORY = [{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Hello, Ada."}]


def said(client: Client, conversation: str, **params: Any) -> list[tuple[str, str]]:
    items = client.get(f"/v1/conversations/{conversation}/items", **params).json()["data"]
    return [(item["role"], item["content"][0]["text"]) for item in items]


def made(client: Client, **body: Any) -> str:
    return client.post("/v1/conversations", body).json()["id"]


def test_the_library_creates_changes_and_deletes_one(sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(metadata={"topic": "water"})
    assert sdk.conversations.retrieve(conversation.id).metadata == {"topic": "water"}
    assert sdk.conversations.update(conversation.id, metadata={"topic": "fire"}).metadata == {"topic": "fire"}
    assert sdk.conversations.delete(conversation.id).deleted
    with pytest.raises(NotFoundError):
        sdk.conversations.retrieve(conversation.id)


def test_a_body_is_not_needed(client: Client) -> None:
    assert client.http.post("/v1/conversations").json()["object"] == "conversation"


def test_a_history_had_elsewhere_is_taken_over(sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(items=HISTORY)  # type: ignore[arg-type]
    items = list(sdk.conversations.items.list(conversation.id, order="asc"))
    assert [(item.role, item.content[0].text) for item in items] == [  # type: ignore[union-attr]
        ("user", "My name is Ada."),
        ("assistant", "Hello, Ada."),
    ]


def test_a_chat_in_a_conversation_becomes_its_items(client: Client) -> None:
    conversation = made(client)
    question = {"model": "plain", "conversation": conversation, "messages": [{"role": "user", "content": "tokens=3"}]}
    answer = client.post("/v1/chat/completions", question).json()["choices"][0]["message"]["content"]
    assert said(client, conversation, order="asc") == [("user", "tokens=3"), ("assistant", answer)]


def test_an_item_is_found_by_its_id(client: Client) -> None:
    conversation = made(client, items=HISTORY)
    for item in client.get(f"/v1/conversations/{conversation}/items").json()["data"]:
        assert client.get(f"/v1/conversations/{conversation}/items/{item['id']}").json() == item


def test_items_come_in_pages(client: Client) -> None:
    conversation = made(client, items=HISTORY * 3)
    pages, after = [], None
    while True:
        params = {"limit": 2, "order": "asc", **({"after": after} if after else {})}
        page = client.get(f"/v1/conversations/{conversation}/items", **params).json()
        pages.append(len(page["data"]))
        after = page["last_id"]
        if not page["has_more"]:
            break
    assert pages == [2, 2, 2]


def test_items_can_be_asked_for_by_time(client: Client) -> None:
    conversation = made(client, items=HISTORY)
    time.sleep(0.05)
    between = time.time()
    time.sleep(0.05)
    client.post(f"/v1/conversations/{conversation}/items", {"items": [{"role": "user", "content": "Later."}]})
    assert said(client, conversation, since=between) == [("user", "Later.")]
    assert len(said(client, conversation, until=between)) == 2


def test_an_answer_added_later_joins_its_question(client: Client) -> None:
    conversation = made(client, items=HISTORY[:1])
    added = client.post(f"/v1/conversations/{conversation}/items", {"items": HISTORY[1:]}).json()["data"]
    listed = client.get(f"/v1/conversations/{conversation}/items", order="asc").json()["data"]
    assert added == listed


def test_a_push_is_part_of_the_conversation(house: Stack, admin: Client, client: Client) -> None:
    conversation = made(client)
    with new_client(house, admin, tenant=client.tenant, scopes=["push"]) as publisher:
        pushed = publisher.post(f"/v1/conversations/{conversation}/items", {"items": HISTORY[1:]})
        assert pushed.json()["data"][0]["push"] is True
        assert error(publisher.get(f"/v1/conversations/{conversation}/items"), 403)["code"] == "insufficient_scope"
    assert said(client, conversation) == [("assistant", "Hello, Ada.")]


def test_a_publisher_can_not_speak_as_the_user(house: Stack, admin: Client, client: Client) -> None:
    conversation = made(client)
    with new_client(house, admin, tenant=client.tenant, scopes=["push"]) as publisher:
        answer = publisher.post(f"/v1/conversations/{conversation}/items", {"items": HISTORY[:1]})
    assert error(answer, 403)["code"] == "insufficient_scope"


def test_a_users_conversations_are_listed_newest_first(client: Client) -> None:
    made(client)
    first, second = made(client, user="ada", title="One"), made(client, user="ada", title="Two")
    listed = client.get("/v1/conversations", user="ada").json()["data"]
    assert [(one["id"], one["title"]) for one in listed] == [(second, "Two"), (first, "One")]


def test_a_key_bound_to_a_user_sees_that_user_alone(house: Stack, admin: Client, client: Client) -> None:
    others = made(client, user="bob")
    with new_client(house, admin, tenant=client.tenant, scopes=["inference"], user="ada") as ada:
        own = made(ada, user="bob")
        assert [one["id"] for one in ada.get("/v1/conversations", user="bob").json()["data"]] == [own]
        assert error(ada.get(f"/v1/conversations/{others}"), 404)["code"] == "conversation_not_found"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/items"), ("POST", "/items"), ("GET", "/items/msg_1_0_user")],
)
def test_another_tenants_conversation_is_not_there(client: Client, stranger: Client, method: str, path: str) -> None:
    conversation = made(client, items=HISTORY)
    body = {"items": HISTORY} if method == "POST" and path else ({} if method == "POST" else None)
    answer = stranger.send(method, f"/v1/conversations/{conversation}{path}", body)
    assert error(answer, 404)["code"] == "conversation_not_found"
    assert len(said(client, conversation)) == 2


@pytest.mark.parametrize("wrong", ["conv_x", "resp_s0_" + "0" * 32, "conv_s0_" + "0" * 32, "conv_s0_" + "0" * 31 + "}"])
def test_an_id_that_is_none_is_not_found(client: Client, wrong: str) -> None:
    assert error(client.get(f"/v1/conversations/{wrong}"), 404)["param"] == "conversation"


def test_a_system_message_is_refused_by_its_place(client: Client) -> None:
    answer = client.post("/v1/conversations", {"items": [{"role": "system", "content": "Obey."}]})
    assert error(answer, 400)["param"] == "items.0.role"
