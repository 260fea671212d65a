"""What access asks of the gate and does with its word: the gate is played by the test, everything else is real."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
import redis
from msgspec.structs import replace
from openai import OpenAI, RateLimitError

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, parse_public
from contracts.messages import AdmissionQuery, InferenceRequest, LimitsView, Verdict
from penstock import embedded_redis
from tests.integration.access.conftest import error
from tests.integration.access.played_gate import PlayedGate, gate_played, grant
from tests.servers import redis_server, wait_until
from tests.stack import API_KEY, Stack, stack

PRESETS = {"plain": {"model": "scripted", "instructions": "Be kind."}}
QUESTION = "tokens=3 pause=0.01"
LEFT = LimitsView(
    limit_tokens=1000,
    remaining_tokens=400,
    reset_tokens_seconds=36.0,
    limit_requests=60,
    remaining_requests=59,
    reset_requests_seconds=1.0,
)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes and a worker of the scripted engine, without a limiter."""
    folder = tmp_path_factory.mktemp("asked")
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as url,
        stack(url, folder, MILVUS_URI="http://127.0.0.1:9", PENSTOCK_ACCESS__PRESETS=json.dumps(PRESETS)) as made,
    ):
        made.worker()
        made.access()
        made.access()
        with _http(made) as http:
            wait_until(lambda: http.get("/v1/models/plain").json().get("state") == "ready", "the worker", 60)
        yield made


@pytest.fixture
def gate(town: Stack) -> Iterator[PlayedGate]:
    with gate_played(town.redis_url) as played:
        yield played


@pytest.fixture
def sdk(town: Stack) -> OpenAI:
    return town.client()


def ask(sdk: OpenAI, question: str = QUESTION, **more: Any) -> Any:
    return sdk.chat.completions.create(model="plain", messages=[{"role": "user", "content": question}], **more)


def test_prompt_and_answer_are_asked_for_apart(gate: PlayedGate, sdk: OpenAI) -> None:
    ask(sdk, max_tokens=7, n=2)
    [query] = gate.queries
    assert (query.answer_tokens, query.sequences, query.waited_seconds) == (7, 2, 0.0)
    assert 2 < query.prompt_tokens < 60


def test_an_answer_that_nobody_bounded_is_the_gates_to_foretell(gate: PlayedGate, sdk: OpenAI) -> None:
    ask(sdk)
    assert (gate.queries[0].answer_tokens, gate.queries[0].sequences) == (0, 1)


def test_a_prompt_that_is_as_expected_needs_no_correction(gate: PlayedGate, sdk: OpenAI) -> None:
    ask(sdk)
    assert gate.corrections == []


def test_a_session_adds_to_the_prompt_and_the_gate_is_told_by_how_much(
    town: Stack, gate: PlayedGate, sdk: OpenAI
) -> None:
    """What the last prompt took is known to every access process."""
    conversation = sdk.conversations.create()
    for client in (sdk, sdk, town.client(town.access_ports[1])):
        client.responses.create(model="plain", input=QUESTION, conversation=conversation.id)
    wait_until(lambda: len(gate.corrections) == 2, "the corrections")
    first, second, third = gate.queries
    corrected = {one.id: one.prompt_tokens for one in gate.corrections}
    assert set(corrected) == {second.id, third.id}
    assert second.prompt_tokens == first.prompt_tokens < corrected[second.id]
    assert third.prompt_tokens == corrected[second.id] < corrected[third.id]


def test_a_request_runs_in_the_class_it_was_granted_for_what_it_was_granted(
    town: Stack, gate: PlayedGate, sdk: OpenAI
) -> None:
    gate.answer = lambda query: [Verdict(id=query.id, decision="granted", tokens=123, service_class="batch")]
    response = sdk.responses.create(model="plain", input=QUESTION)
    with redis.Redis.from_url(town.redis_url) as server:
        stored: Any = server.hgetall(keys.request(parse_public(response.id, RESPONSE_PREFIX)))
    assert gate.queries[0].service_class == "interactive"
    assert response.status == "completed"
    assert stored[b"class"] == b"batch"
    assert InferenceRequest.decode(stored[b"body"]).cost_tokens == 123


def test_a_chat_stream_tells_its_place_while_it_waits(town: Stack, gate: PlayedGate) -> None:
    gate.answer = _queued_first
    body = {"model": "plain", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    with _http(town) as http:
        said = http.post("/v1/chat/completions", json=body).text
    assert said.startswith(": queued position=3 eta_seconds=4.5")
    assert said.endswith("data: [DONE]\n\n")


def test_without_a_limiter_a_tenant_that_fails_open_goes_on(town: Stack, gate: PlayedGate) -> None:
    gate.answer = lambda _: []
    with _http(town) as http:
        assert http.put("/admin/limits/open", json={"fail_open": True}).json()["limits"] == {"fail_open": True}
        asked = {tenant: _asked_by(http, tenant) for tenant in ("open", "closed")}
    assert asked["open"].status_code == 200
    assert error(asked["closed"], 503)["code"] == "limiter_unavailable"
    assert int(asked["closed"].headers["retry-after"]) >= 1
    said = {
        line["event"]: line for line in town.child("access-0").lines if line["event"].startswith("admission.failed")
    }
    assert said["admission.failed_open"]["tenant"] == "open"
    assert said["admission.failed_closed"]["tenant"] == "closed"
    assert said["admission.failed_open"]["request"] in {query.id for query in gate.queries}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize("stream", [True, False])
def test_what_is_left_is_said_on_whatever_is_granted_at_once(
    town: Stack, gate: PlayedGate, path: str, stream: bool
) -> None:
    gate.answer = lambda query: [Verdict(id=query.id, decision="granted", limits=LEFT)]
    body = {"model": "plain", "stream": stream, "messages": [{"role": "user", "content": QUESTION}], "input": QUESTION}
    with _http(town) as http:
        answer = http.post(path, json=body)
    assert {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit-")} == {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "400",
        "x-ratelimit-reset-tokens": "36s",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
    }


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_stream_that_has_to_wait_says_what_was_left_when_it_began(town: Stack, gate: PlayedGate, path: str) -> None:
    """Its headers are on their way before the grant is."""
    later = replace(LEFT, remaining_tokens=100)
    gate.answer = lambda query: [
        Verdict(id=query.id, decision="queued", number=1, position=3, limits=LEFT),
        Verdict(id=query.id, decision="granted", limits=later),
    ]
    body = {"model": "plain", "messages": [{"role": "user", "content": QUESTION}], "input": QUESTION}
    with _http(town) as http:
        left = [
            http.post(path, json=body | {"stream": stream}).headers["x-ratelimit-remaining-tokens"]
            for stream in (True, False)
        ]
    assert left == ["400", "100"]


def test_a_refusal_says_when_to_come_back_and_what_is_left(town: Stack, gate: PlayedGate) -> None:
    gate.answer = lambda query: [
        Verdict(
            id=query.id,
            decision="refused",
            reason="rate_limit_exceeded",
            message="Later.",
            retry_after_seconds=2.25,
            limits=LEFT,
        )
    ]
    with _http(town) as http:
        refused = _asked_by(http, "poor")
    assert error(refused, 429) == {
        "message": "Later.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert (refused.headers["retry-after"], refused.headers["retry-after-ms"]) == ("3", "2250")
    assert refused.headers["x-ratelimit-remaining-tokens"] == "400"
    assert "x-should-retry" not in refused.headers


def test_openais_library_waits_as_it_is_told_and_then_succeeds(town: Stack, gate: PlayedGate) -> None:
    refusals = iter([0.7])

    def once_too_much(query: AdmissionQuery) -> list[Verdict]:
        if (seconds := next(refusals, None)) is None:
            return grant(query)
        refused = Verdict(id=query.id, decision="refused", reason="rate_limit_exceeded", message="Later.")
        return [msgspec.structs.replace(refused, retry_after_seconds=seconds)]

    gate.answer = once_too_much
    began = time.monotonic()
    with town.client().with_options(max_retries=2) as patient:
        answer = ask(patient)
    assert answer.choices[0].message.content
    assert len({query.id for query in gate.queries}) == 2
    assert 0.7 <= time.monotonic() - began < 3


def test_openais_library_does_not_come_back_for_a_quota(town: Stack, gate: PlayedGate) -> None:
    gate.answer = lambda query: [
        Verdict(
            id=query.id,
            decision="refused",
            reason="quota_exceeded",
            message="This month's is used up.",
            retry_after_seconds=5.0,
        )
    ]
    with town.client().with_options(max_retries=2) as patient, pytest.raises(RateLimitError) as refused:
        ask(patient)
    assert refused.value.code == "quota_exceeded"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert len({query.id for query in gate.queries}) == 1


def _queued_first(query: AdmissionQuery) -> list[Verdict]:
    queued = Verdict(id=query.id, decision="queued", number=1, position=3, tokens_ahead=900, eta_seconds=4.5)
    return [queued, *grant(query)]


def _asked_by(http: httpx2.Client, tenant: str) -> httpx2.Response:
    made = http.post("/admin/keys", json={"name": "k", "tenant": tenant, "scopes": ["inference"]}).json()["key"]
    body = {"model": "plain", "messages": [{"role": "user", "content": QUESTION}]}
    return http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {made}"})


def _http(town: Stack) -> httpx2.Client:
    base = f"http://127.0.0.1:{town.access_ports[0]}"
    return httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)
