"""Requests for engines, as a worker gets them."""

from __future__ import annotations

from contracts.ids import RequestId, Shard, TenantId, new_request_id
from contracts.messages import Generate, InferenceRequest


def request(task: Generate) -> InferenceRequest:
    return InferenceRequest(
        id=RequestId(new_request_id(Shard(0))),
        tenant=TenantId("bench"),
        user="",
        key="",
        model="scripted",
        service_class="interactive",
        task=task,
        created_at=0.0,
        deadline_seconds=60,
    )
