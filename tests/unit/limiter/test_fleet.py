"""What heartbeats add up to."""

from __future__ import annotations

from typing import Literal

from contracts.ids import WorkerId
from contracts.messages import Heartbeat, ModelFacts
from limiter.fleet import supplies
from limiter.policy import Supply


def beat(model: str, state: Literal["loading", "ready", "draining", "unhealthy"], slots: int = 4) -> Heartbeat:
    return Heartbeat(
        worker=WorkerId("w"),
        model=ModelFacts(name=model, revision="1", kind="generate", max_model_len=1024),
        state=state,
        slots=slots,
        free_slots=slots,
        cache_room=1.0,
        tokens_per_second=10.0,
        shards=(0,),
        at=0.0,
    )


def test_ready_workers_of_a_model_add_up() -> None:
    assert supplies([beat("a", "ready"), beat("a", "ready"), beat("b", "ready", 1)]) == {
        "a": Supply(8, 20.0),
        "b": Supply(1, 10.0),
    }


def test_a_worker_that_drains_offers_nothing() -> None:
    assert supplies([beat("a", "draining"), beat("a", "unhealthy")]) == {"a": Supply()}


def test_a_loading_worker_is_known_to_be_coming() -> None:
    assert supplies([beat("a", "loading")]) == {"a": Supply(loading=True)}
