"""Streams over HTTP: resuming them, retries that attach, logs that have expired."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import socketserver
import threading
from collections.abc import Generator, Iterator
from typing import Any, cast

import httpx2
import pytest
from openai import OpenAI

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, parse_public
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

TWO_SECONDS = "tokens=40 pause=0.05"
Http = httpx2.Client


@pytest.fixture
def here(pair: Stack) -> Iterator[Http]:
    """A plain HTTP client of the first access process."""
    with raw(pair.access_ports[0]) as opened:
        yield opened


@pytest.fixture
def there(pair: Stack) -> Iterator[Http]:
    """The same of the second."""
    with raw(pair.access_ports[1]) as opened:
        yield opened


def test_a_cursor_resumes_on_another_process(here: Http, there: Http) -> None:
    seen: list[str] = []
    body = {"model": "plain", "input": TWO_SECONDS, "stream": True}
    with here.stream("POST", "/v1/responses", json=body) as stream:
        for line in stream.iter_lines():
            seen.append(line)
            if sum(one.startswith("event: response.output_text.delta") for one in seen) > 5 and not line:
                break
    cursor = [line.removeprefix("id: ") for line in seen if line.startswith("id: ")][-1]
    response = next(line for line in seen if '"resp_' in line).split('"id":"')[1].split('"')[0]

    rest = there.get(f"/v1/responses/{response}?stream=true", headers={"last-event-id": cursor}).text.splitlines()

    whole = there.get(f"/v1/responses/{response}").json()["output"][0]["content"][0]["text"]
    assert deltas(seen) + deltas(rest) == whole


@pytest.mark.parametrize("cursor", ["17", "a-b", "3-", "-3", "3-00000000000000a1x", "0x3-ab", "9" * 400 + "-ab"])
def test_a_malformed_cursor_is_refused(cursor: str, here: Http) -> None:
    response = here.post("/v1/responses", json={"model": "plain", "input": "tokens=2"}).json()["id"]
    answer = here.get(f"/v1/responses/{response}?stream=true", headers={"last-event-id": cursor})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "last-event-id")


def test_a_cursor_of_a_log_that_regrew_is_told_so(here: Http) -> None:
    response = here.post("/v1/responses", json={"model": "plain", "input": "tokens=2"}).json()["id"]
    answer = here.get(f"/v1/responses/{response}?stream=true", headers={"last-event-id": "3-00000000000000a1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "stream_reset")


@pytest.mark.parametrize("number", ["-1", "two", "1.5"])
def test_a_malformed_starting_after_is_refused(number: str, here: Http) -> None:
    response = here.post("/v1/responses", json={"model": "plain", "input": "tokens=2"}).json()["id"]
    answer = here.get(f"/v1/responses/{response}?stream=true&starting_after={number}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "starting_after")


def test_an_expired_log_is_gone_and_an_unknown_response_not_found(store: Any, here: Http) -> None:
    response = here.post("/v1/responses", json={"model": "plain", "input": "tokens=2"}).json()["id"]
    store.delete(keys.replies(request_of(response)))
    for query in ("", "?stream=true"):
        gone = here.get(f"/v1/responses/{response}{query}")
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "log_expired")
    store.delete(keys.request(request_of(response)))
    assert here.get(f"/v1/responses/{response}").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_the_key_of_an_expired_answer_is_gone_too(here: Http, store: Any, stream: bool) -> None:
    headers = {"idempotency-key": f"expired-{stream}"}
    body = {"model": "plain", "input": "tokens=2", "stream": stream}
    assert here.post("/v1/responses", json=body, headers=headers).status_code == 200
    for name in store.scan_iter("*replies:*"):
        store.delete(name)
    again = here.post("/v1/responses", json=body, headers=headers)
    assert (again.status_code, again.json()["error"]["code"]) == (410, "log_expired")


def test_a_retry_of_openais_library_attaches_to_what_runs(pair: Stack) -> None:
    before = submitted(pair)
    with broken_once(pair.access_ports[0]) as port:
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=API_KEY, max_retries=3, timeout=60)
        with client:
            answer = client.responses.create(model="plain", input=TWO_SECONDS)
    assert len(answer.output_text.split()) == 40
    assert len(submitted(pair) - before) == 1


def test_a_retry_of_a_completion_attaches_on_another_process(pair: Stack, here: Http, there: Http) -> None:
    body = {"model": "plain", "messages": [{"role": "user", "content": TWO_SECONDS + " twice"}]}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        before = submitted(pair)
        first = pool.submit(here.post, "/v1/chat/completions", json=body, headers=attempt(0))
        wait_until(lambda: len(submitted(pair) - before) == 1, "the first attempt running", 10)
        second = there.post("/v1/chat/completions", json=body, headers=attempt(1)).json()
        assert second["id"] == first.result().json()["id"]
        assert second["choices"] == first.result().json()["choices"]


def test_two_who_ask_the_same_are_two_requests(here: Http) -> None:
    body = {"model": "plain", "input": "tokens=3 both"}
    answers = [here.post("/v1/responses", json=body, headers=attempt(0)).json()["id"] for _ in range(2)]
    assert answers[0] != answers[1]


def test_a_retry_of_what_was_cancelled_runs_anew(here: Http) -> None:
    body = {"model": "plain", "input": "tokens=2000 pause=0.05 once", "background": True}
    first = here.post("/v1/responses", json=body, headers=attempt(0)).json()["id"]
    here.post(f"/v1/responses/{first}/cancel")
    second = here.post("/v1/responses", json=body, headers=attempt(1)).json()["id"]
    assert first != second
    assert here.post("/v1/responses", json=body, headers=attempt(2)).json()["id"] == second
    here.post(f"/v1/responses/{second}/cancel")


def test_a_retry_with_another_body_or_key_is_a_request_of_its_own(here: Http) -> None:
    body = {"model": "plain", "input": "tokens=3 mine"}
    mine = here.post("/v1/responses", json=body, headers=attempt(0)).json()["id"]
    other = here.post("/v1/responses", json=body | {"input": "tokens=3 yours"}, headers=attempt(1)).json()["id"]
    made = here.post("/admin/keys", json={"name": "k", "tenant": "default", "scopes": ["inference"]}).json()["key"]
    strangers = here.post("/v1/responses", json=body, headers=attempt(1) | {"authorization": f"Bearer {made}"}).json()[
        "id"
    ]
    assert len({mine, other, strangers}) == 3


def test_a_refusal_of_the_limiter_says_what_is_left(pair: Stack, here: Http) -> None:
    here.put("/admin/limits/poor", json={"tokens_per_minute": 600, "wait_seconds": 0})
    made = here.post("/admin/keys", json={"name": "k", "tenant": "poor", "scopes": ["inference"]}).json()["key"]
    headers = {"authorization": f"Bearer {made}", "x-penstock-wait": "0"}
    body = {"model": "plain", "input": "tokens=300", "max_output_tokens": 400}

    answers = [here.post("/v1/responses", json=body, headers=headers) for _ in range(12)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[-1].headers["x-ratelimit-limit-tokens"] == "600"
    assert int(refused[-1].headers["x-ratelimit-remaining-tokens"]) < 600
    assert refused[-1].headers["x-ratelimit-reset-requests"]


def raw(port: int) -> Http:
    base = f"http://127.0.0.1:{port}"
    return httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)


def attempt(number: int) -> dict[str, str]:
    return {"x-stainless-retry-count": str(number)}


def request_of(response_id: str) -> RequestId:
    return RequestId(parse_public(response_id, RESPONSE_PREFIX))


def deltas(lines: list[str]) -> str:
    """The text of an event stream's deltas."""
    data = [line for line in lines if line.startswith('data: {"type":"response.output_text.delta"')]
    return "".join(httpx2.Response(200, text=line.removeprefix("data: ")).json()["delta"] for line in data)


def submitted(pair: Stack) -> set[str]:
    """The requests that the access processes have queued."""
    lines = [line for child in pair.children if child.name.startswith("access") for line in child.lines]
    return {line["request"] for line in lines if line.get("event") == "request.submitted"}


@contextlib.contextmanager
def broken_once(port: int) -> Generator[int]:
    """A proxy that loses its first client right behind the request, without telling the server."""
    server = _Proxy(("127.0.0.1", 0), _Forward)
    server.behind = port
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        for kept in server.kept:
            kept.close()


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.behind = 0
        self.kept: list[socket.socket] = []


class _Forward(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        proxy = cast(_Proxy, self.server)
        upstream = socket.create_connection(("127.0.0.1", proxy.behind))
        first = not proxy.kept
        proxy.kept.append(upstream)
        upstream.sendall(self.request.recv(1 << 16))
        if first:
            upstream.settimeout(1)
            with contextlib.suppress(TimeoutError):
                upstream.recv(1, socket.MSG_PEEK)
            return
        threading.Thread(target=self._upwards, args=(upstream,), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := upstream.recv(1 << 16):
                self.request.sendall(data)

    def _upwards(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := self.request.recv(1 << 16):
                upstream.sendall(data)
