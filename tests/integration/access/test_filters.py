"""Attributes of files and filters on them, through OpenAI's own library."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from openai import OpenAI

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, parse_public
from contracts.messages import InferenceRequest
from tests.integration.access.conftest import Client, error
from tests.stack import Stack

QUESTION = "When does the library open?"
BRANCHES: dict[str, dict[str, Any]] = {
    "east": {"branch": "east", "floors": 2, "public": True, "since": 1990.5},
    "west": {"branch": "west", "floors": 5, "public": False},
}
EAST: dict[str, Any] = {"type": "eq", "key": "branch", "value": "east"}
WEST: dict[str, Any] = EAST | {"value": "west"}


@pytest.fixture
def library(sdk: OpenAI) -> str:
    """The id of a store with two files, each of which answers the question."""
    store = sdk.vector_stores.create(name="library")
    for branch, attributes in BRANCHES.items():
        text = f"key,question,answer\n{branch},{QUESTION},The {branch} branch.\n".encode()
        file = sdk.files.create(file=(f"{branch}.csv", text), purpose="assistants")
        sdk.vector_stores.files.create(store.id, file_id=file.id, attributes=attributes)
    return store.id


@pytest.fixture
def shown(house: Stack) -> Iterator[Callable[[str], set[str]]]:
    """The names of the files whose passages a response's model was shown."""
    with contextlib.closing(redis.Redis.from_url(house.redis_url)) as stored:

        def sources(response: str) -> set[str]:
            body = stored.hget(keys.request(RequestId(parse_public(response, RESPONSE_PREFIX))), "body")
            request = InferenceRequest.decode(body)  # type: ignore[arg-type]
            assert request.retrieval_skipped is None
            return {passage.source.partition(".")[0] for passage in request.passages}

        yield sources


def found(sdk: OpenAI, store_id: str, filters: Any) -> dict[str, dict[str, Any] | None]:
    """The attributes of the files that a search finds, by the file's name."""
    results = sdk.vector_stores.search(store_id, query=QUESTION, filters=filters)
    return {one.filename.removesuffix(".csv"): one.attributes for one in results}


def test_a_file_shows_the_attributes_it_was_given(sdk: OpenAI, library: str) -> None:
    listed = list(sdk.vector_stores.files.list(library))
    assert [one.attributes for one in listed] == [BRANCHES["west"], BRANCHES["east"]]
    for file in listed:
        assert sdk.vector_stores.files.retrieve(file.id, vector_store_id=library).attributes == file.attributes


def test_a_search_without_filters_finds_both_with_their_attributes(sdk: OpenAI, library: str) -> None:
    results = sdk.vector_stores.search(library, query=QUESTION)
    assert {one.filename.removesuffix(".csv"): one.attributes for one in results} == BRANCHES


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (EAST, {"east"}),
        ({"type": "ne", "key": "since", "value": 1990.5}, {"west"}),
        ({"type": "gte", "key": "floors", "value": 5}, {"west"}),
        ({"type": "lt", "key": "floors", "value": 6}, {"east", "west"}),
        ({"type": "eq", "key": "public", "value": True}, {"east"}),
        ({"type": "in", "key": "branch", "value": ["north", "west"]}, {"west"}),
        ({"type": "nin", "key": "branch", "value": ["north", "west"]}, {"east"}),
        ({"type": "and", "filters": [EAST, {"type": "gt", "key": "floors", "value": 2}]}, set()),
        ({"type": "or", "filters": [EAST, WEST]}, {"east", "west"}),
    ],
)
def test_a_search_finds_what_passes_its_filters(sdk: OpenAI, library: str, filters: Any, names: set[str]) -> None:
    assert found(sdk, library, filters) == {name: BRANCHES[name] for name in names}


def test_changed_attributes_are_shown_and_searched_by_at_once(sdk: OpenAI, library: str) -> None:
    [east] = [one for one in sdk.vector_stores.files.list(library) if one.attributes == BRANCHES["east"]]
    changed = sdk.vector_stores.files.update(east.id, vector_store_id=library, attributes={"branch": "south"})
    assert changed.attributes == {"branch": "south"}
    assert found(sdk, library, EAST) == {}
    assert found(sdk, library, EAST | {"value": "south"}) == {"east": {"branch": "south"}}
    assert sdk.vector_stores.files.update(east.id, vector_store_id=library, attributes=None).attributes == {}


def test_an_upload_may_bring_its_attributes(sdk: OpenAI) -> None:
    store = sdk.vector_stores.create(name="library")
    text = f"# {QUESTION}\n\nIt opens at nine.".encode()
    sdk.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("a.md", text), attributes={"year": 2024})
    assert found(sdk, store.id, {"type": "gt", "key": "year", "value": 2000}) == {"a.md": {"year": 2024}}
    assert found(sdk, store.id, {"type": "gt", "key": "year", "value": 2030}) == {}


def test_an_entry_put_by_key_passes_as_its_file_does(sdk: OpenAI, client: Client, library: str) -> None:
    entry = {"key": "east", "question": QUESTION, "answer": "At nine."}
    assert client.post(f"/v1/vector_stores/{library}/entries", entry).status_code == 200
    [first] = sdk.vector_stores.search(library, query=QUESTION, filters=EAST)  # type: ignore[arg-type]
    assert (first.content[0].text, first.attributes) == ("At nine.", BRANCHES["east"])


@pytest.mark.parametrize(
    "odd", ['x" or tenant != "', "a] or 1 == 1", "\\", "{tenant}", "开放", "key\nkey", "__proto__"]
)
def test_keys_and_values_of_any_shape_are_only_compared(sdk: OpenAI, library: str, odd: str) -> None:
    [east] = [one for one in sdk.vector_stores.files.list(library) if one.attributes == BRANCHES["east"]]
    sdk.vector_stores.files.update(east.id, vector_store_id=library, attributes={odd: odd})
    assert found(sdk, library, {"type": "eq", "key": odd, "value": odd}) == {"east": {odd: odd}}
    assert found(sdk, library, {"type": "eq", "key": "branch", "value": odd}) == {}


def test_a_response_is_shown_only_what_passes(sdk: OpenAI, library: str, shown: Callable[[str], set[str]]) -> None:
    for filters, names in ((EAST, {"east"}), (WEST, {"west"}), (EAST | {"value": "north"}, set[str]())):
        tool: Any = {"type": "file_search", "vector_store_ids": [library], "filters": filters}
        made = sdk.responses.create(model="plain", input=QUESTION, tools=[tool])
        assert shown(made.id) == names
        assert made.tools[0].to_dict() == tool


def test_two_searches_of_one_store_show_what_passes_either(
    sdk: OpenAI, library: str, shown: Callable[[str], set[str]]
) -> None:
    tools: Any = [
        {"type": "file_search", "vector_store_ids": [library], "filters": filters} for filters in (EAST, WEST)
    ]
    assert shown(sdk.responses.create(model="plain", input=QUESTION, tools=tools).id) == {"east", "west"}


def test_a_response_is_shown_as_many_passages_as_it_asks_for(
    sdk: OpenAI, library: str, shown: Callable[[str], set[str]]
) -> None:
    for most in (1, 2):
        tool: Any = {"type": "file_search", "vector_store_ids": [library], "max_num_results": most}
        assert len(shown(sdk.responses.create(model="plain", input=QUESTION, tools=[tool]).id)) == most


def test_a_preset_has_a_filter_that_a_request_can_only_narrow(
    sdk: OpenAI, library: str, shown: Callable[[str], set[str]]
) -> None:
    assert shown(sdk.responses.create(model="public", input=QUESTION).id) == {"east"}
    for filters, names in ((WEST, set[str]()), (EAST, {"east"})):
        tool: Any = {"type": "file_search", "vector_store_ids": [library], "filters": filters}
        assert shown(sdk.responses.create(model="public", input=QUESTION, tools=[tool]).id) == names


def test_a_completion_may_filter_the_stores_it_names(client: Client, library: str) -> None:
    asked = {"model": "quoting", "messages": [{"role": "user", "content": QUESTION}], "vector_store_ids": [library]}
    answers = [client.post("/v1/chat/completions", asked | {"filters": filters}).json() for filters in (EAST, WEST)]
    assert [one["choices"][0]["message"]["content"] for one in answers] == [
        "The east branch. [1]",
        "The west branch. [1]",
    ]
    stray = {"model": "plain", "messages": asked["messages"], "filters": EAST}
    assert error(client.post("/v1/chat/completions", stray), 400)["param"] == "filters"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("search", {"query": "q", "filters": {"type": "like"}}, "filters"),
        ("search", {"query": "q", "filters": {"type": "or", "filters": [{"type": "eq"}]}}, "filters.filters.0.key"),
        ("files", {"file_id": "f", "attributes": {"a": []}}, "attributes.a"),
        ("files", {"file_id": "f", "attributes": {"k" * 65: 1}}, "attributes"),
        ("files/file-1", {"attributes": {str(number): 1 for number in range(17)}}, "attributes"),
        ("files/file-1", {}, "attributes"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(client: Client, library: str, path: str, body: dict[str, Any], param: str) -> None:
    assert error(client.post(f"/v1/vector_stores/{library}/{path}", body), 400)["param"] == param


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("search", r'{"query": "q", "filters": {"type": "gt", "key": "a", "value": NaN}}', "filters.value"),
        ("files", r'{"file_id": "f", "attributes": {"a": 1e999}}', "attributes.a"),
    ],
)
def test_a_number_that_is_none_is_named(client: Client, library: str, path: str, body: str, param: str) -> None:
    headers = {"content-type": "application/json"}
    answer = client.http.post(f"/v1/vector_stores/{library}/{path}", content=body, headers=headers)
    assert error(answer, 400)["param"] == param


def test_a_wrong_filter_of_a_tool_is_named(client: Client, library: str) -> None:
    tool = {"type": "file_search", "vector_store_ids": [library], "filters": {"type": "gt", "key": "a", "value": True}}
    problem = error(client.post("/v1/responses", {"model": "plain", "input": QUESTION, "tools": [tool]}), 400)
    assert problem["param"] == "tools.0.filters.value"


def test_another_tenants_file_is_never_found_whatever_the_filter(
    client: Client, stranger: Client, library: str, shown: Callable[[str], set[str]]
) -> None:
    own = stranger.post("/v1/vector_stores", {"name": "library"}).json()["id"]
    [file_id, *_] = [one["id"] for one in client.get(f"/v1/vector_stores/{library}/files").json()["data"]]
    everything = {"type": "nin", "key": "branch", "value": ["none"]}
    body = {"query": QUESTION, "filters": everything}
    assert stranger.post(f"/v1/vector_stores/{own}/search", body).json()["data"] == []
    error(stranger.post(f"/v1/vector_stores/{library}/search", body), 404)
    error(stranger.post(f"/v1/vector_stores/{library}/files/{file_id}", {"attributes": {}}), 404)
    error(stranger.post(f"/v1/vector_stores/{own}/files/{file_id}", {"attributes": {}}), 404)
    tool = {"type": "file_search", "vector_store_ids": [library], "filters": everything}
    error(stranger.post("/v1/responses", {"model": "plain", "input": QUESTION, "tools": [tool]}), 404)
    made = stranger.post("/v1/responses", {"model": "public", "input": QUESTION}).json()
    assert shown(made["id"]) == set()
