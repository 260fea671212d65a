"""A preset that answers in the words of its passages: nothing else can be said, and what is said is cited."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from tests.integration.access.conftest import Client, error

ANSWER = 'Up to "30" days.\nAsk us. 您可以退货。'
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def shop(client: Client) -> list[Any]:
    """A vector store with one entry, as a tool."""
    store_id = client.post("/v1/vector_stores", {"name": "shop"}).json()["id"]
    entry = {"key": "returns", "question": "How long may I return it?", "answer": ANSWER}
    assert client.post(f"/v1/vector_stores/{store_id}/entries", entry).status_code == 200
    return [{"type": "file_search", "vector_store_ids": [store_id]}]


def test_the_answer_is_the_passage_as_it_stands_with_its_mark(sdk: OpenAI, shop: list[Any]) -> None:
    made = sdk.responses.create(model="quoting", input="How long may I return it?", tools=shop)
    part: Any = made.output[0]
    [cited] = part.content[0].annotations
    assert made.output_text == f"{ANSWER} [1]"
    assert cited.title == "How long may I return it?"


def test_where_nothing_was_found_the_model_says_what_it_was_told_to_say(sdk: OpenAI, shop: list[Any]) -> None:
    asked = 'Who won in 1954? say="This is not in the FAQ."'
    assert sdk.responses.create(model="quoting", input=asked, tools=shop).output_text == "This is not in the FAQ."


@pytest.mark.parametrize("form", [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"schema": {}}}])
def test_no_format_can_be_asked_of_it(client: Client, form: dict[str, Any]) -> None:
    body = {"model": "quoting", "messages": HI, "response_format": form}
    problem = error(client.post("/v1/chat/completions", body), 400)
    assert (problem["code"], problem["param"]) == ("format_not_possible", "model")
    assert "ask 'scripted'" in problem["message"]
