"""Read this first: the life of one request, step by step, as Redis and the logs tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openai import OpenAI

from contracts import keys
from contracts.ids import COMPLETION_PREFIX, CONVERSATION_PREFIX, RequestId, SessionId, Shard, TenantId, parse_public
from contracts.messages import Generate, InferenceRequest, Started, Verdict, decode_reply, is_terminal
from tests.servers import wait_until
from tests.stack import Stack
from tests.story.conftest import QUESTION


def test_the_ten_steps_of_a_request_happen_in_order(  # noqa: PLR0915  (ten steps, told in one go)
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    store = redis_of(penstock)
    conversation = client.conversations.create()

    # 1. access authenticates the key, validates the body and resolves the preset to model + instructions + knowledge
    stream = client.chat.completions.create(
        model="faq-bot",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        extra_body={"conversation": conversation.id},
    )
    chunks = list(stream)
    request_id = RequestId(parse_public(chunks[0].id, COMPLETION_PREFIX))
    session = SessionId(parse_public(conversation.id, CONVERSATION_PREFIX))
    state = store.hgetall(keys.request(request_id))
    request = InferenceRequest.decode(state[b"body"])
    assert (request.served_as, request.model, request.tenant) == ("faq-bot", "penstock-faq", "default")

    # 2. and 3. the limiter granted it: the verdict was stored, then published
    verdict = Verdict.decode(_stored_verdict(store, request_id))
    assert verdict.decision == "granted"
    assert verdict.limits is not None

    # 4. memory and knowledge were asked at the same time
    submitted = _line(penstock, "access", "request.submitted", request_id)
    assert submitted["retrieval_skipped"] is None
    assert submitted["passages"] > 0

    # 5. the prompt: instructions first, the passages beside the question at the end
    assert isinstance(request.task, Generate)
    system, asked = request.task.messages
    assert system.role == "system"
    assert request.passages[0].text in asked.content
    assert asked.content.endswith(f"Question: {QUESTION}")

    # 6. one atomic step stored the state, the stream entry and the user's message in the session
    started, finished = store.xrange(keys.turns(session))
    assert started[1] == {b"type": b"turn.started", b"request": request_id.encode(), b"text": QUESTION.encode()}
    assert started[0].split(b"-")[0] == state[b"entry"].split(b"-")[0]

    # 7. an idle worker pulled it and drew a generation
    log = store.xrange(keys.replies(request_id))
    generation = state[b"generation"]
    replies = [decode_reply(payload) for _, fields in log for payload in fields.values()]
    assert isinstance(replies[0], Started)
    assert replies[0].worker == state[b"owner"].decode()

    # 8. it appended each step's tokens to the durable log: numbered 1, 2, 3, …, all under its generation
    assert [int(entry.split(b"-")[0]) for entry, _ in log] == list(range(1, len(log) + 1))
    assert {name.split(b":")[0] for _, fields in log for name in fields} == {generation}

    # 9. access forwarded what is in the log, in order, exactly once
    told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert told == "".join(getattr(reply, "text", "") for reply in replies)

    # 10. the terminal append wrote the end with its usage, the finished turn, the usage to settle and the ack
    assert [is_terminal(reply) for reply in replies] == [False] * (len(replies) - 1) + [True]
    assert finished[1][b"text"].decode() == told
    assert finished[1][b"status"] == state[b"state"] == b"done"
    assert store.xlen(keys.requests(Shard(0), "penstock-faq", "interactive")) == 0
    assert store.zscore(keys.leases(Shard(0), "penstock-faq"), request_id) is None
    assert store.ttl(keys.replies(request_id)) > 0
    ended = _line(penstock, "inference_worker", "request.ended", request_id)
    assert submitted["timestamp"] < ended["timestamp"]

    # and behind it all, the limiter settled the reservation with the real usage
    wait_until(lambda: not store.hexists(keys.reservations(), request_id), "the reservation being settled")
    assert int(store.hget(keys.ledger(TenantId("default")), "settled:tokens:penstock-faq") or 0) > 0


def _stored_verdict(store: Any, request_id: RequestId) -> bytes:
    stored = store.hget(keys.verdict(request_id), "verdict")
    assert isinstance(stored, bytes)
    return stored


def _line(made: Stack, service: str, event: str, request_id: RequestId) -> dict[str, Any]:
    """The canonical log line of the request in one kind of process."""
    found: list[dict[str, Any]] = []

    def written() -> bool:
        children = [child for child in made.children if child.name.startswith(service)]
        lines = [line for child in children for line in child.lines]
        found[:] = [line for line in lines if line.get("event") == event and line.get("request") == request_id]
        return bool(found)

    wait_until(written, f"{service} logging {event}", 5)
    assert len(found) == 1, "one canonical line per request and process"
    return found[0]
