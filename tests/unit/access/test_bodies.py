"""Bodies: strict about types, bounded, and honest about what is not honoured."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from access.problems import _of_validation
from access.routes.bodies import Body, fingerprint, refuse_unhonoured, response_format
from access.routes.chat import UNHONOURED, ChatBody
from access.routes.conversations import ConversationBody, ConversationChanges, ItemsBody
from access.routes.embeddings import EmbeddingBody
from access.routes.responses import ResponseBody
from access.routes.stores import SearchBody, StoreBody
from access.routes.users import ProfileBody
from contracts.errors import CallerError

HELLO = {"role": "user", "content": "Hello?"}
CHAT: dict[str, Any] = {"model": "m", "messages": [HELLO]}


def refused(body: type[Body], given: dict[str, Any]) -> CallerError:
    with pytest.raises(ValidationError) as raised:
        body.model_validate(given)
    return _of_validation([{**problem, "loc": ("body", *problem["loc"])} for problem in raised.value.errors()])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream", 0),
        ("stream", "true"),
        ("n", 5),
        ("n", "1"),
        ("n", 0),
        ("temperature", "hot"),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("presence_penalty", -3),
        ("seed", 2**63),
        ("messages", []),
        ("messages", "Hello?"),
        ("service_tier", "first"),
        ("on_busy", "wait"),
        ("on_busy", "Queue"),
        ("on_busy", True),
        ("on_busy", ["interrupt"]),
        ("user", 7),
        ("metadata", {"k": 1}),
        ("metadata", {"k": "v" * 513}),
        ("metadata", {str(at): "v" for at in range(17)}),
        ("vector_store_ids", ["vs"] * 9),
        ("model", ""),
    ],
)
def test_a_wrong_value_is_named(field: str, value: object) -> None:
    param = refused(ChatBody, CHAT | {field: value}).param
    assert param is not None
    assert param.split(".")[0] == field


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(field: str) -> None:
    error = refused(ChatBody, {name: value for name, value in CHAT.items() if name != field})
    assert (error.param, error.code) == (field, "missing_required_parameter")


def test_too_many_stop_strings_are_refused() -> None:
    assert refused(ChatBody, CHAT | {"stop": ["x"] * 9}).code == "invalid_type"


def test_the_value_itself_is_not_repeated() -> None:
    assert "SECRET" not in refused(ChatBody, CHAT | {"stream": "SECRET"}).message


def test_an_unknown_field_is_accepted() -> None:
    assert ChatBody.model_validate(CHAT | {"field_of_next_year": 1}).model == "m"


@pytest.mark.parametrize("name", UNHONOURED)
def test_a_known_parameter_that_is_not_honoured_is_refused_by_name(name: str) -> None:
    body = ChatBody.model_validate(CHAT | {name: "something"})
    with pytest.raises(CallerError) as raised:
        refuse_unhonoured(body, UNHONOURED)
    assert (raised.value.param, raised.value.code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in UNHONOURED.items() for value in values])
def test_a_value_that_asks_for_nothing_is_let_through(name: str, value: object) -> None:
    body = ChatBody.model_validate(CHAT | {name: value})
    refuse_unhonoured(body, UNHONOURED)
    assert name in (body.model_extra or {})


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert (
        ChatBody.model_validate({"model": "m", "messages": [{"role": "user", "content": parts}]}).messages[0].text
        == "one\ntwo"
    )


def test_an_image_is_refused() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}
    assert refused(ChatBody, {"model": "m", "messages": [{"role": "user", "content": [image]}]}).code == "invalid_type"


def test_the_fingerprint_leaves_out_the_idempotency_key() -> None:
    bodies = [ChatBody.model_validate(CHAT | {"idempotency_key": key}) for key in ("a", "b")]
    assert fingerprint(bodies[0]) == fingerprint(bodies[1])


def test_another_question_has_another_fingerprint() -> None:
    assert fingerprint(ChatBody.model_validate(CHAT)) != fingerprint(ChatBody.model_validate(CHAT | {"seed": 1}))


@pytest.mark.parametrize(
    "format_", [{"type": "xml"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {"schema": []}}]
)
def test_an_unknown_response_format_is_refused(format_: dict[str, Any]) -> None:
    with pytest.raises(CallerError):
        response_format(format_, "response_format")


def test_a_schema_is_bounded() -> None:
    huge = {"type": "json_schema", "json_schema": {"schema": {"description": "x" * 17_000}}}
    with pytest.raises(CallerError, match="16 KiB"):
        response_format(huge, "response_format")


def test_one_stop_string_is_a_list_of_one() -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert ChatBody.model_validate({"model": "m", "messages": messages, "stop": "x"}).stop == ["x"]
    assert ChatBody.model_validate({"model": "m", "messages": messages, "stop": ["x", "y"]}).stop == ["x", "y"]


@pytest.mark.parametrize(
    ("body", "given", "param"),
    [
        (EmbeddingBody, {"model": "m", "input": [1, 2, 3]}, "input"),
        (EmbeddingBody, {"model": "m", "input": ["x"] * 257}, "input"),
        (EmbeddingBody, {"model": "m", "input": "x" * 8001}, "input"),
        (EmbeddingBody, {"model": "m", "input": ""}, "input"),
        (EmbeddingBody, {"model": "m", "input": []}, "input"),
        (EmbeddingBody, {"model": "m", "input": "x", "encoding_format": "hex"}, "encoding_format"),
        (ConversationBody, {"title": "x" * 201}, "title"),
        (ConversationBody, {"on_busy": "cancel"}, "on_busy"),
        (ConversationChanges, {"on_busy": 0}, "on_busy"),
        (ConversationBody, {"items": [HELLO] * 21}, "items"),
        (ItemsBody, {"items": []}, "items"),
        (ItemsBody, {"items": [HELLO | {"type": "function_call"}]}, "items"),
        (SearchBody, {"query": ["a", "b"]}, "query"),
        (SearchBody, {"query": "a", "max_num_results": 51}, "max_num_results"),
        (StoreBody, {"metadata": {"k": 1}}, "metadata"),
        (ProfileBody, {"facts": {"name": 1}}, "facts"),
        (ProfileBody, {"facts": {f"f{at}": "v" for at in range(33)}}, "facts"),
        (ResponseBody, {"model": "m", "input": []}, "input"),
        (ResponseBody, {"model": "m", "input": "x", "tools": [{"type": "web_search"}]}, "tools"),
        (ResponseBody, {"model": "m", "input": "x", "background": 1}, "background"),
        (ResponseBody, {"model": "m", "input": "x", "on_busy": "cancel"}, "on_busy"),
    ],
)
def test_other_bodies_are_as_strict(body: type[Body], given: dict[str, Any], param: str) -> None:
    named = refused(body, given).param
    assert named is not None
    assert named.split(".")[0] == param
