"""Files and vector stores: loaded, searched, changed, and closed to everybody else."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from tests.integration.access.conftest import Client, error, new_client
from tests.stack import Stack

FAQ = b"key,question,answer\nreturns,Can I return an item?,Within 30 days.\ndelivery,How long is delivery?,Two days.\n"


def store(client: Client, filename: str = "faq.csv", content: bytes = FAQ, **more: Any) -> tuple[str, str]:
    """A store with one file; the ids of both."""
    store_id = client.post("/v1/vector_stores", {"name": "faq"}).json()["id"]
    return store_id, load(client, store_id, filename, content, **more)


def load(client: Client, store_id: str, filename: str, content: bytes, **more: Any) -> str:
    file_id = client.upload(filename, content).json()["id"]
    loaded = client.post(f"/v1/vector_stores/{store_id}/files", {"file_id": file_id, **more})
    assert loaded.status_code == 200, loaded.text
    return file_id


def best(client: Client, store_id: str, query: str) -> dict[str, Any] | None:
    found = client.post(f"/v1/vector_stores/{store_id}/search", {"query": query, "max_num_results": 1}).json()["data"]
    return found[0] if found else None


def test_the_library_uploads_loads_and_searches(sdk: OpenAI) -> None:
    made = sdk.vector_stores.create(name="faq")
    loaded = sdk.vector_stores.files.upload_and_poll(vector_store_id=made.id, file=("faq.csv", FAQ))
    assert loaded.status == "completed"
    [first, *_] = sdk.vector_stores.search(made.id, query="Can I send something back?")
    assert (first.file_id, first.filename, first.content[0].text) == (loaded.id, "faq.csv", "Within 30 days.")
    assert 0 < first.score <= 1
    assert sdk.vector_stores.retrieve(made.id).file_counts.completed == 1


def test_a_store_may_be_made_with_its_files(client: Client) -> None:
    file_id = client.upload("faq.csv", FAQ).json()["id"]
    made = client.post("/v1/vector_stores", {"name": "faq", "file_ids": [file_id], "metadata": {"team": "a"}}).json()
    assert (made["file_counts"]["total"], made["metadata"]) == (1, {"team": "a"})


def test_a_store_can_be_renamed_listed_and_deleted(client: Client) -> None:
    store_id, _ = store(client)
    assert client.post(f"/v1/vector_stores/{store_id}", {"name": "new"}).json()["name"] == "new"
    assert [one["id"] for one in client.get("/v1/vector_stores").json()["data"]] == [store_id]
    assert client.delete(f"/v1/vector_stores/{store_id}").json()["deleted"] is True
    assert error(client.get(f"/v1/vector_stores/{store_id}"), 404)["code"] == "vector_store_not_found"


def test_a_file_loaded_again_takes_the_place_of_the_old_one(client: Client) -> None:
    store_id, old = store(client)
    new = load(client, store_id, "faq.csv", b"key,question,answer\ndelivery,How long is delivery?,Five days.\n")
    assert [one["id"] for one in client.get(f"/v1/vector_stores/{store_id}/files").json()["data"]] == [new]
    found = client.post(f"/v1/vector_stores/{store_id}/search", {"query": "How long is delivery?"}).json()["data"]
    assert [one["content"][0]["text"] for one in found] == ["Five days."]
    assert error(client.get(f"/v1/vector_stores/{store_id}/files/{old}"), 404)["code"] == "file_not_found"


def test_a_file_taken_out_is_not_found_any_more(client: Client) -> None:
    store_id, file_id = store(client)
    assert best(client, store_id, "Can I return an item?") is not None
    client.delete(f"/v1/vector_stores/{store_id}/files/{file_id}")
    assert best(client, store_id, "Can I return an item?") is None


def test_a_text_is_split_and_cited_by_its_heading(client: Client) -> None:
    text = b"# Manual\n\n## Cleaning\nRinse the filter weekly.\n\n## Storage\nKeep it dry."
    store_id, file_id = store(client, "manual.md", text)
    found = best(client, store_id, "How often do I rinse the filter?")
    assert found is not None
    assert (found["file_id"], found["title"]) == (file_id, "Cleaning")


def test_a_broken_row_is_named_with_line_and_column(client: Client) -> None:
    store_id, _ = store(client)
    file_id = client.upload("bad.csv", b"question,answer\nq,a\nq2,\n").json()["id"]
    said = error(client.post(f"/v1/vector_stores/{store_id}/files", {"file_id": file_id}), 400)
    assert said["message"] == "bad.csv, line 3: column 'answer' is empty"


def test_a_store_is_not_made_of_a_broken_file(client: Client) -> None:
    file_id = client.upload("bad.csv", b"question\nq\n").json()["id"]
    assert error(client.post("/v1/vector_stores", {"file_ids": [file_id]}), 400)["code"] == "invalid_file"
    assert client.get("/v1/vector_stores").json()["data"] == []


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"expires_after": {"anchor": "last_active_at", "days": 1}}, "expires_after"),
        ("/{store}/search", {"query": "q", "rewrite_query": True}, "rewrite_query"),
        ("/{store}/files", {"file_id": "file-1", "chunking_strategy": {"type": "static"}}, "chunking_strategy"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(client: Client, path: str, body: dict[str, Any], param: str) -> None:
    store_id = client.post("/v1/vector_stores", {}).json()["id"]
    answer = client.post(f"/v1/vector_stores{path.format(store=store_id)}", body)
    assert error(answer, 400)["param"] == param


def test_a_file_comes_back_as_it_was_sent(client: Client) -> None:
    uploaded = client.upload("a b.bin", bytes(range(256))).json()
    answer = client.get(f"/v1/files/{uploaded['id']}/content")
    assert answer.content == bytes(range(256))
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.bin"


def test_files_are_listed_and_deleted(client: Client) -> None:
    first, second = client.upload("1.txt", b"1").json()["id"], client.upload("2.txt", b"2").json()["id"]
    assert [one["id"] for one in client.get("/v1/files").json()["data"]] == [second, first]
    assert client.delete(f"/v1/files/{first}").json()["deleted"] is True
    assert [one["id"] for one in client.get("/v1/files").json()["data"]] == [second]
    assert error(client.get(f"/v1/files/{first}"), 404)["code"] == "file_not_found"


def test_a_file_that_is_too_large_is_refused(client: Client) -> None:
    assert error(client.upload("big.txt", b"x" * 70_000), 413)["code"] == "body_too_large"


def test_an_empty_file_is_refused(client: Client) -> None:
    assert error(client.upload("empty.txt", b""), 400)["param"] == "file"


def test_a_purpose_we_do_not_serve_is_named(client: Client) -> None:
    assert error(client.upload("a.txt", b"a", purpose="fine-tune"), 400)["param"] == "purpose"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/vector_stores/{store}", None),
        ("POST", "/v1/vector_stores/{store}", {"name": "mine"}),
        ("DELETE", "/v1/vector_stores/{store}", None),
        ("GET", "/v1/vector_stores/{store}/files", None),
        ("POST", "/v1/vector_stores/{store}/files", {"file_id": "{file}"}),
        ("GET", "/v1/vector_stores/{store}/files/{file}", None),
        ("DELETE", "/v1/vector_stores/{store}/files/{file}", None),
        ("POST", "/v1/vector_stores/{store}/search", {"query": "Can I return an item?"}),
        ("GET", "/v1/files/{file}", None),
        ("GET", "/v1/files/{file}/content", None),
        ("DELETE", "/v1/files/{file}", None),
    ],
)
def test_another_tenants_knowledge_is_not_there(
    client: Client, stranger: Client, method: str, path: str, body: dict[str, str] | None
) -> None:
    store_id, file_id = store(client)
    asked = {name: value.format(file=file_id) for name, value in body.items()} if body else None
    error(stranger.send(method, path.format(store=store_id, file=file_id), asked), 404)
    assert best(client, store_id, "Can I return an item?") is not None


def test_who_may_only_ask_may_search_and_not_change(house: Stack, admin: Client, client: Client) -> None:
    store_id, _ = store(client)
    with new_client(house, admin, tenant=client.tenant, scopes=["inference"]) as reader:
        assert best(reader, store_id, "Can I return an item?") is not None
        assert error(reader.delete(f"/v1/vector_stores/{store_id}"), 403)["code"] == "insufficient_scope"
        assert error(reader.upload("a.txt", b"a"), 403)["code"] == "insufficient_scope"
