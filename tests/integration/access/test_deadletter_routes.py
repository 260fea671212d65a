"""What an operator does over HTTP with requests that were given up."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from contracts import connection
from contracts.functions import Library, Protocol, Submission
from contracts.ids import RequestId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import CLASSES, ChatMessage, Generate, InferenceRequest
from tests.integration.access.conftest import Client, error
from tests.stack import Stack

SECRET = "between you and me"


async def _given_up(redis_url: str) -> RequestId:
    """A request of a model that nobody serves; a worker that is none reports three dead engines."""
    redis = connection.commands(redis_url)
    protocol, shard, lease = Protocol(Library(redis)), Shard(0), timedelta(seconds=5)
    request_id = new_request_id(shard)
    model = f"nobody-{request_id}"
    request = InferenceRequest(
        id=request_id,
        tenant=TenantId("acme"),
        user="",
        key="",
        model=model,
        service_class="interactive",
        task=Generate(messages=(ChatMessage(role="user", content=SECRET),)),
        created_at=time.time(),
        deadline_seconds=600,
    )
    await protocol.submit(Submission(request, timedelta(hours=1)), queue_bound=100)
    for number in range(4):
        call = f"{request.id} {number}"
        for grant in await protocol.take(shard, model, WorkerId("w"), call, slots=1, lease=lease, classes=CLASSES):
            await protocol.release(shard, [(grant.id, grant.generation)], "the engine died")
    await redis.aclose()
    return request.id


@pytest.fixture
def given_up(house: Stack) -> RequestId:
    return asyncio.run(_given_up(house.redis_url))


def test_the_list_says_why_and_nothing_of_the_prompt(admin: Client, given_up: RequestId) -> None:
    answer = admin.get("/admin/deadletters")
    (letter,) = [row for row in answer.json()["data"] if row["id"] == given_up]
    assert (letter["model"], letter["deaths"], letter["error"]) == (f"nobody-{given_up}", 3, "the engine died")
    assert SECRET not in answer.text


def test_one_letter_shows_its_whole_request(admin: Client, given_up: RequestId) -> None:
    shown = admin.get(f"/admin/deadletters/{given_up}").json()
    assert shown["request"]["task"]["messages"][0]["content"] == SECRET


def test_a_requeued_one_has_a_new_id_and_leaves_the_list(admin: Client, given_up: RequestId) -> None:
    requeued = admin.post(f"/admin/deadletters/{given_up}/requeue").json()
    assert requeued["request"] not in ("", given_up)
    assert given_up not in admin.get("/admin/deadletters").text


def test_a_dropped_one_is_gone(admin: Client, given_up: RequestId) -> None:
    assert admin.delete(f"/admin/deadletters/{given_up}").json()["deleted"] is True
    assert error(admin.get(f"/admin/deadletters/{given_up}"), 404)["code"] == "deadletter_not_found"


@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("POST", "/requeue"), ("DELETE", "")])
def test_each_route_takes_the_admin_scope(client: Client, method: str, rest: str) -> None:
    assert error(client.send(method, f"/admin/deadletters/s0_x{rest}"), 403)["code"] == "insufficient_scope"
