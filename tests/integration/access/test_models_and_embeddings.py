"""What can be asked for, and texts as vectors."""

from __future__ import annotations

import math

import pytest
from openai import NotFoundError, OpenAI

from tests.integration.access.conftest import EMBEDDER, Client, error
from tests.servers import wait_until


def test_served_models_and_presets_are_listed(sdk: OpenAI) -> None:
    assert {model.id for model in sdk.models.list()} >= {"scripted", "plain", EMBEDDER}


def test_a_model_says_its_state_kind_and_context(client: Client) -> None:
    model = client.get("/v1/models/scripted").json()
    assert (model["state"], model["kind"], model["max_model_len"]) == ("ready", "generate", 8192)


def test_a_preset_says_what_stands_behind_it(client: Client) -> None:
    assert client.get("/v1/models/plain").json()["preset"] == {"model": "scripted", "vector_stores": []}


def test_an_unknown_model_is_not_found(sdk: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        sdk.models.retrieve("gpt-9")


def test_models_take_a_key(client: Client) -> None:
    client.http.headers.pop("authorization")
    assert error(client.get("/v1/models"), 401)["code"] == "missing_api_key"


def test_the_library_gets_a_unit_vector_for_each_text(sdk: OpenAI) -> None:
    made = sdk.embeddings.create(model=EMBEDDER, input=["water", "a turbine"])
    assert [len(one.embedding) for one in made.data] == [384, 384]
    assert math.isclose(sum(x * x for x in made.data[0].embedding), 1.0, rel_tol=1e-3)
    assert made.usage.prompt_tokens > 0


def test_both_encodings_are_the_same_numbers(sdk: OpenAI, client: Client) -> None:
    decoded = sdk.embeddings.create(model=EMBEDDER, input="water").data[0].embedding
    plain = client.post("/v1/embeddings", {"model": EMBEDDER, "input": "water"}).json()["data"][0]["embedding"]
    assert decoded == pytest.approx(plain, abs=1e-6)


def test_an_embedding_is_counted_against_the_limits(client: Client) -> None:
    answer = client.post("/v1/embeddings", {"model": EMBEDDER, "input": "water"})
    assert int(answer.headers["x-ratelimit-remaining-requests"]) < int(answer.headers["x-ratelimit-limit-requests"])


def test_an_embedding_settles_what_it_reserved(client: Client, admin: Client) -> None:
    client.post("/v1/embeddings", {"model": EMBEDDER, "input": "water"})

    def settled() -> bool:
        sums = admin.get(f"/admin/limits/{client.tenant}").json()["ledger"]["models"][EMBEDDER]
        return sums["reserved"]["tokens"] == 0 and sums["settled"]["tokens"] > 0

    wait_until(settled, "the reservation being settled", 10)


def test_an_embedding_reserves_nothing_for_an_answer(client: Client, admin: Client) -> None:
    client.post("/v1/embeddings", {"model": EMBEDDER, "input": "water"})
    granted = admin.get(f"/admin/limits/{client.tenant}").json()["ledger"]["models"][EMBEDDER]["granted"]
    assert 0 < granted["tokens"] < 10


def test_an_unknown_embedding_model_is_not_found(client: Client) -> None:
    assert error(client.post("/v1/embeddings", {"model": "scripted", "input": "a"}), 404)["code"] == "model_not_found"


def test_dimensions_the_model_does_not_have_are_refused(client: Client) -> None:
    answer = client.post("/v1/embeddings", {"model": EMBEDDER, "input": "a", "dimensions": 8})
    assert error(answer, 400)["param"] == "dimensions"


def test_token_ids_are_refused(client: Client) -> None:
    answer = client.post("/v1/embeddings", {"model": EMBEDDER, "input": [1, 2]})
    assert str(error(answer, 400)["param"]).startswith("input")
