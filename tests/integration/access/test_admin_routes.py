"""What an operator does over HTTP: keys, and a look at queues and workers."""

from __future__ import annotations

import time

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from contracts import keys
from contracts.ids import Shard
from tests.integration.access.conftest import Client, error, new_client
from tests.stack import Stack


def test_a_key_is_shown_once(admin: Client) -> None:
    made = admin.post("/admin/keys", {"name": "shop", "tenant": "shop", "scopes": ["inference"]}).json()
    listed = [one for one in admin.get("/admin/keys").json()["data"] if one["id"] == made["id"]]
    assert made["key"].startswith(f"sk-{made['id']}_")
    assert listed == [{name: value for name, value in made.items() if name != "key"}]


def test_redis_holds_no_usable_key(house: Stack, client: Client) -> None:
    secret = client.key.partition("_")[2]
    with redis.Redis.from_url(house.redis_url) as server:
        held = b"".join(server.dump(key) or b"" for key in server.scan_iter(keys.api_key("*")))
    assert held
    assert secret.encode() not in held


def test_a_revoked_key_is_refused(house: Stack, admin: Client) -> None:
    with new_client(house, admin, scopes=["inference"]) as client:
        assert client.get("/v1/models").status_code == 200
        admin.delete(f"/admin/keys/{client.key[3:].partition('_')[0]}")
        assert error(client.get("/v1/models"), 401)["code"] == "invalid_api_key"


def test_an_expired_key_says_that_it_has_expired(house: Stack, admin: Client) -> None:
    with new_client(house, admin, scopes=["inference"], expires_at=time.time() + 0.3) as client:
        time.sleep(0.4)
        assert error(client.get("/v1/models"), 401)["code"] == "expired_api_key"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tenant": "a", "scopes": ["inference"]}, "name"),
        ({"name": "n", "tenant": "a b", "scopes": ["inference"]}, "tenant"),
        ({"name": "n", "tenant": "a", "scopes": ["root"]}, "scopes"),
        ({"name": "n", "tenant": "a", "scopes": []}, "scopes"),
        ({"name": "n", "tenant": "a", "scopes": ["inference"], "expires_at": 1.0}, "expires_at"),
    ],
)
def test_a_wrong_key_request_is_named(admin: Client, body: dict[str, object], param: str) -> None:
    assert error(admin.post("/admin/keys", body), 400)["param"] == param


def test_an_unknown_key_can_not_be_revoked(admin: Client) -> None:
    assert error(admin.delete("/admin/keys/nobody"), 404)["code"] == "key_not_found"


def test_queues_are_shown_by_model_and_class(admin: Client) -> None:
    [queue] = [one for one in admin.get("/admin/queues").json()["data"] if one["id"] == "scripted"]
    assert (queue["slots"], queue["running"]) == (16, 0)
    assert queue["depth"] == {"interactive": 0, "standard": 0, "batch": 0}


def test_workers_are_shown_with_their_slots(admin: Client) -> None:
    workers = {one["model"]: one for one in admin.get("/admin/workers").json()["data"]}
    assert (workers["scripted"]["state"], workers["scripted"]["slots"]) == ("ready", 16)


def test_dead_letters_say_what_was_given_up_and_why(house: Stack, admin: Client) -> None:
    with redis.Redis.from_url(house.redis_url) as server:
        server.xadd(keys.deadletters(Shard(0)), {"id": "s0_dead", "why": "workers died", "deaths": 3})
    newest = admin.get("/admin/deadletters").json()["data"][0]
    assert (newest["id"], newest["why"]) == ("s0_dead", "workers died")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/keys"),
        ("GET", "/admin/keys"),
        ("DELETE", "/admin/keys/x"),
        ("GET", "/admin/limits/x"),
        ("PUT", "/admin/limits/x"),
        ("GET", "/admin/queues"),
        ("GET", "/admin/workers"),
        ("GET", "/admin/deadletters"),
    ],
)
def test_every_admin_route_takes_the_admin_scope(client: Client, method: str, path: str) -> None:
    body = {"name": "n", "tenant": "a", "scopes": ["admin"]} if method == "POST" else {}
    answer = client.send(method, path, body if method in ("POST", "PUT") else None)
    assert error(answer, 403)["code"] == "insufficient_scope"


def test_prometheus_reads_the_metrics(client: Client) -> None:
    answer = client.get("/metrics")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["penstock_slots", "scripted"] == 16
    assert samples["penstock_workers", "ready", "scripted"] == 1


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/healthz", "/version", "/docs", "/openapi.json"])
def test_health_and_docs_take_no_key(client: Client, path: str) -> None:
    client.http.headers.pop("authorization")
    assert client.get(path).status_code == 200


def test_the_front_door_leads_to_the_chat_page(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/chat/")


def test_the_docs_page_finds_its_files(client: Client) -> None:
    for name in ("docs.js", "swagger/swagger-ui.css", "swagger/swagger-ui-bundle.js"):
        assert client.get(f"/static/{name}").status_code == 200


def test_an_unknown_route_and_a_wrong_method_are_said_in_openais_shape(client: Client) -> None:
    assert error(client.get("/v2/nothing"), 404)["code"] == "unknown_url"
    assert error(client.send("PUT", "/v1/models"), 405)["code"] == "method_not_allowed"


def test_malformed_json_is_said_so(client: Client) -> None:
    headers = {"content-type": "application/json"}
    answer = client.http.post("/v1/conversations", content=b'{"title": ', headers=headers)
    assert error(answer, 400)["code"] == "invalid_json"


def test_every_answer_has_a_request_id(client: Client) -> None:
    assert client.get("/v1/models").headers["x-request-id"].startswith("req_")
    assert client.get("/v2/nothing").headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "body",
    [
        rb'{"model": "plain", "messages": [{"role": "user", "content": "a \ud800"}]}',
        rb'{"model": "plain", "messages": [{"role": "user", "content": "a"}], "metadata": {"\ud800": "x"}}',
        rb'{"model": "plain", "messages": [{"role": "user", "content": "a"}], "field_of_next_year": "\ud800"}',
    ],
)
def test_half_a_character_is_the_callers_error(client: Client, body: bytes) -> None:
    answer = client.http.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert error(answer, 400)["code"] == "invalid_json"
