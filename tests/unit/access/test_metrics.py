"""Measurements of answers, with time as a parameter."""

from __future__ import annotations

import secrets

from prometheus_client.parser import text_string_to_metric_families

from access.load import ModelLoad
from access.metrics import REGISTRY, StreamWatch, count_request, render
from contracts.ids import WorkerId
from contracts.messages import Delta, Reply, Started
from tests.unit.access.logs_of_requests import ENDS, answer

LOAD = ModelLoad(
    model="m",
    depth={"interactive": 2, "standard": 0, "batch": 5},
    running=3,
    waiting=7,
    waiting_tokens=700,
    outstanding=11,
    slots=16,
    free_slots=13,
    tokens_per_second=42.5,
    workers={"ready": 1, "loading": 1},
    eta_error=0.1,
    estimate_error=0.2,
)


def watched(*arrivals: tuple[float, list[Reply]]) -> str:
    """A fresh model name under which an answer that began at 10 was measured."""
    model = f"model-{secrets.token_hex(4)}"
    watch = StreamWatch(model, began=10.0)
    for now, replies in arrivals:
        watch.saw(replies, now)
    return model


def value(name: str, model: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"model": model, **labels})


def test_the_first_text_is_timed_from_the_arrival() -> None:
    model = watched((10.1, [Started(worker=WorkerId("w"))]), (10.5, [Delta(text="a")]))
    assert value("penstock_first_token_seconds_sum", model) == 0.5


def test_texts_that_arrive_together_are_one_arrival() -> None:
    model = watched((11.0, [Delta(text="a"), Delta(text="b")]), (11.25, [Delta(text="c")]))
    assert value("penstock_token_gap_seconds_count", model) == 1
    assert value("penstock_token_gap_seconds_sum", model) == 0.25


def test_tokens_without_text_are_no_arrival() -> None:
    model = watched((11.0, [Delta(token_ids=(1,))]), (12.0, [Delta(text="a")]))
    assert value("penstock_first_token_seconds_sum", model) == 2.0


def test_every_end_is_counted_by_its_state() -> None:
    model = watched(*((11.0, answer("a", end=end)) for end in ENDS))
    outcomes = ("done", "incomplete", "expired", "failed", "cancelled")
    assert [value("penstock_requests_total", model, outcome=outcome) for outcome in outcomes] == [1] * 5


def test_a_refusal_is_counted() -> None:
    model = watched()
    count_request("refused", model)
    assert value("penstock_requests_total", model, outcome="refused") == 1


def test_prometheus_reads_what_is_rendered() -> None:
    families = text_string_to_metric_families(render([LOAD], open_requests=4).decode())
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value for one in families for sample in one.samples
    }
    assert samples["penstock_queue_depth", ("class", "batch"), ("model", "m")] == 5
    assert samples["penstock_waiting_requests", ("model", "m")] == 7
    assert samples["penstock_workers", ("model", "m"), ("state", "loading")] == 1
    assert samples["penstock_tokens_per_second", ("model", "m")] == 42.5
    assert samples[("penstock_open_requests",)] == 4


def test_nothing_is_labelled_by_who_asked() -> None:
    families = text_string_to_metric_families(render([LOAD], open_requests=0).decode())
    labels = {name for family in families for sample in family.samples for name in sample.labels}
    assert labels <= {"model", "class", "state", "outcome", "le"}
