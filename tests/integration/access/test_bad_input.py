"""Bad input to the two answering routes: a clear error in OpenAI's shape that names the field and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId
from tests.integration.access.conftest import Client, error, new_client
from tests.stack import Stack

HI = [{"role": "user", "content": "tokens=3"}]


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"model": 7}, "model", "valid string"),
        ({"stream": 0}, "stream", "boolean"),
        ({"messages": []}, "messages", "at least 1"),
        ({"messages": "hi"}, "messages", "array"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages.0.role", "'user'"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages", "empty"),
        ({"messages": [*HI, {"role": "assistant", "content": "hi"}]}, "messages", "user's"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"temperature": "hot"}, "temperature", "number"),
        ({"n": 9}, "n", "less than or equal to 4"),
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"stop": ["x"] * 9}, "stop", "8"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a", "512"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "not supported"),
        ({"chat_template": "{{ x }}"}, "chat_template", "not supported"),
        ({"response_format": {"type": "yaml"}}, "response_format", "json_schema"),
    ],
)
def test_a_wrong_completion_is_refused_by_name(client: Client, changes: dict[str, Any], param: str, words: str) -> None:
    problem = error(client.post("/v1/chat/completions", {"model": "plain", "messages": HI, **changes}), 400)
    assert problem["param"] is not None
    assert problem["param"].startswith(param)
    assert words in problem["message"]
    assert problem["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"input": 5}, "input", "valid string"),
        ({"background": True, "store": False}, "store", "true"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", "file_search"),
        ({"conversation": "conv_x", "previous_response_id": "resp_x"}, "previous_response_id", "not both"),
        ({"reasoning": {"effort": "high"}}, "reasoning", "not supported"),
        ({"truncation": "auto"}, "truncation", "not supported"),
    ],
)
def test_a_wrong_response_is_refused_by_name(client: Client, changes: dict[str, Any], param: str, words: str) -> None:
    problem = error(client.post("/v1/responses", {"model": "plain", "input": "tokens=3", **changes}), 400)
    assert (problem["param"] or "").startswith(param)
    assert words in problem["message"]


def test_an_unknown_model_is_told_which_there_are(client: Client) -> None:
    problem = error(client.post("/v1/chat/completions", {"model": "gpt-9", "messages": HI}), 404)
    assert (problem["code"], problem["param"]) == ("model_not_found", "model")
    assert "plain" in problem["message"]


def test_a_missing_and_a_wrong_key_are_told_what_to_do(house: Stack, client: Client) -> None:
    body = {"model": "plain", "messages": HI}
    missing = client.http.post("/v1/chat/completions", json=body, headers={"authorization": ""})
    wrong = client.http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer sk-nobody"})
    assert error(missing, 401)["code"] == "missing_api_key"
    assert error(wrong, 401)["code"] == "invalid_api_key"
    assert "sk-nobody" not in wrong.text


def test_a_key_without_the_scope_is_told_which_it_lacks(house: Stack, admin: Client) -> None:
    made = admin.post("/admin/keys", {"name": "k", "tenant": "t", "scopes": ["knowledge"]}).json()
    headers = {"authorization": f"Bearer {made['key']}"}
    answer = admin.http.post("/v1/responses", json={"model": "plain", "input": "hi"}, headers=headers)
    assert "inference" in error(answer, 403)["message"]


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: Client) -> None:
    huge = {"model": "plain", "messages": [{"role": "user", "content": "x" * (1 << 20)}]}
    assert error(client.post("/v1/chat/completions", huge), 413)["code"] == "body_too_large"


def test_json_that_is_nested_too_deeply_is_refused_before_it_is_parsed(client: Client) -> None:
    bomb = '{"model": "plain", "messages": ' + "[" * 5000 + "]" * 5000 + "}"
    answer = client.http.post("/v1/chat/completions", content=bomb, headers={"content-type": "application/json"})
    assert error(answer, 400)["code"] == "invalid_json"


def test_malformed_json_is_said_so(client: Client) -> None:
    answer = client.http.post(
        "/v1/responses", content='{"model": "plain",', headers={"content-type": "application/json"}
    )
    assert error(answer, 400)["code"] == "invalid_json"


def test_a_question_longer_than_the_context_is_told_the_numbers(client: Client) -> None:
    long = [{"role": "user", "content": "word " * 9000}]
    problem = error(client.post("/v1/chat/completions", {"model": "plain", "messages": long}), 400)
    assert problem["code"] == "context_length_exceeded"
    assert "8192" in problem["message"]


@pytest.mark.parametrize("path", ["", "/input_items", "?stream=true"])
def test_another_tenants_response_is_not_there(client: Client, stranger: Client, path: str) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    assert client.get(f"/v1/responses/{made['id']}").status_code == 200
    assert error(stranger.get(f"/v1/responses/{made['id']}{path}"), 404)["code"] == "response_not_found"
    assert error(stranger.post(f"/v1/responses/{made['id']}/cancel"), 404)["code"] == "response_not_found"
    assert error(stranger.delete(f"/v1/responses/{made['id']}"), 404)["code"] == "response_not_found"


def test_another_tenants_conversation_cannot_be_spoken_in(client: Client, stranger: Client) -> None:
    conversation = client.post("/v1/conversations", {}).json()["id"]
    body = {"model": "plain", "input": "hi", "conversation": conversation}
    assert error(stranger.post("/v1/responses", body), 404)["code"] == "conversation_not_found"


def test_another_tenants_response_cannot_be_continued(client: Client, stranger: Client) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    body = {"model": "plain", "input": "hi", "previous_response_id": made["id"]}
    assert error(stranger.post("/v1/responses", body), 404)["code"] == "response_not_found"


@pytest.mark.parametrize("cursor", ["x", "1-zz", "5", "1-abc\r"])
def test_a_malformed_cursor_is_refused(client: Client, cursor: str) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    answer = client.http.get(
        f"/v1/responses/{made['id']}?stream=true", headers={"last-event-id": cursor.replace("\r", "")}
    )
    assert error(answer, 400)["param"] == "last-event-id"


def test_a_deleted_response_is_gone(client: Client) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    assert client.delete(f"/v1/responses/{made['id']}").json()["deleted"] is True
    assert error(client.get(f"/v1/responses/{made['id']}"), 404)["code"] == "response_not_found"


def test_unknown_fields_are_no_error(client: Client) -> None:
    answer = client.post("/v1/chat/completions", {"model": "plain", "messages": HI, "brand_new_field": 1})
    assert answer.status_code == 200


def test_a_key_that_may_not_ask_may_not_read_cancel_or_delete_answers(
    house: Stack, admin: Client, client: Client
) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    with new_client(house, admin, tenant=client.tenant, scopes=["push"]) as pusher:
        for answer in (
            pusher.get(f"/v1/responses/{made['id']}"),
            pusher.post(f"/v1/responses/{made['id']}/cancel"),
            pusher.delete(f"/v1/responses/{made['id']}"),
        ):
            assert error(answer, 403)["code"] == "insufficient_scope"


@pytest.mark.parametrize(
    "body", ['{"model": "plain", "input": "hi"}'.encode("utf-16"), b'{"model": "pl\0ain"}', b"\xff"]
)
def test_a_body_that_is_no_utf8_json_is_refused(client: Client, body: bytes) -> None:
    answer = client.http.post("/v1/responses", content=body, headers={"content-type": "application/json"})
    assert error(answer, 400)["code"] == "invalid_json"


def test_a_file_that_is_not_sent_as_a_form_is_refused_before_it_is_read(client: Client) -> None:
    answer = client.http.post("/v1/files", content=b"[]", headers={"content-type": "application/json"})
    assert error(answer, 400)["param"] == "file"


def test_the_answer_to_a_log_that_has_expired_is_gone(house: Stack, client: Client) -> None:
    made = client.post("/v1/responses", {"model": "plain", "input": "tokens=3"}).json()
    with redis.Redis.from_url(house.redis_url) as store:
        store.delete(keys.replies(RequestId(made["id"].removeprefix(RESPONSE_PREFIX))))
    assert error(client.get(f"/v1/responses/{made['id']}"), 410)["code"] == "log_expired"
    assert error(client.get(f"/v1/responses/{made['id']}", stream="true"), 410)["code"] == "log_expired"


def test_an_idempotency_key_whose_log_has_expired_is_told_so_and_does_not_hang(house: Stack, client: Client) -> None:
    body = {"model": "plain", "input": "tokens=3", "idempotency_key": "once"}
    made = client.post("/v1/responses", body).json()
    with redis.Redis.from_url(house.redis_url) as store:
        store.delete(keys.replies(RequestId(made["id"].removeprefix(RESPONSE_PREFIX))))
    assert error(client.post("/v1/responses", body), 410)["code"] == "log_expired"
