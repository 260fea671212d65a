"""What access measures, for Prometheus.

Labels are models of the fleet and outcomes; never a tenant, a user or a session, whose number nobody bounds.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from access.follower import Logged
from access.load import ModelLoad
from contracts.messages import Cancelled, Delta, Failed, Finished, Reply

REGISTRY = CollectorRegistry()

_FIRST_TOKEN = Histogram(
    "penstock_first_token_seconds",
    "From a request's arrival to its first text.",
    ["model"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
_GAP = Histogram(
    "penstock_token_gap_seconds",
    "Between two arrivals of text of one answer.",
    ["model"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
_REQUESTS = Counter("penstock_requests", "Answers followed to their end.", ["model", "outcome"], registry=REGISTRY)


def count_request(outcome: str, model: str) -> None:
    """``outcome`` is a terminal state, or ``refused``."""
    _REQUESTS.labels(model, outcome).inc()


async def watched(batches: AsyncGenerator[list[Logged]], model: str, began: float) -> AsyncGenerator[list[Logged]]:
    """The same batches, measured on their way. ``began`` is the request's arrival, by ``time.monotonic``."""
    watch = StreamWatch(model, began)
    async with aclosing(batches):
        async for batch in batches:
            watch.saw([logged.reply for logged in batch], time.monotonic())
            yield batch


class StreamWatch:
    """Measures one answer that is followed from its start. Times are monotonic seconds."""

    def __init__(self, model: str, began: float):
        self._model = model
        self._began = began
        self._last_text: float | None = None
        self._first_token, self._gap = _times(model)

    def saw(self, replies: Sequence[Reply], now: float) -> None:
        """Replies that arrived together; their text counts as one arrival."""
        text = False
        for reply in replies:
            if isinstance(reply, Delta):
                text = text or reply.text != ""
            elif outcome := outcome_of(reply):
                count_request(outcome, self._model)
        if text and self._last_text is None:
            self._first_token.observe(now - self._began)
        elif text and self._last_text is not None:
            self._gap.observe(now - self._last_text)
        if text:
            self._last_text = now


@functools.cache
def _times(model: str) -> tuple[Histogram, Histogram]:
    """A model's two histograms: to look them up by label takes longer than to count."""
    return _FIRST_TOKEN.labels(model), _GAP.labels(model)


def outcome_of(reply: Reply) -> str:
    """The terminal state a reply stands for; empty if it is no end."""
    match reply:
        case Finished(status=status):
            return status
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"
        case _:
            return ""


def render(loads: Sequence[ModelLoad], open_requests: int) -> bytes:
    """The text for Prometheus: what this process counted, and what the fleet looks like at this moment."""
    moment = CollectorRegistry()
    moment.register(_Moment(loads, open_requests))
    return generate_latest(REGISTRY) + generate_latest(moment)


class _Moment(Collector):
    def __init__(self, loads: Sequence[ModelLoad], open_requests: int):
        self._loads = loads
        self._open_requests = open_requests

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("penstock_open_requests", "Requests this process follows.", self._open_requests)
        depth = GaugeMetricFamily("penstock_queue_depth", "Queued, not yet taken.", labels=["model", "class"])
        for load in self._loads:
            for service_class, count in load.depth.items():
                depth.add_metric([load.model, service_class], count)
        yield depth
        workers = GaugeMetricFamily("penstock_workers", "Workers by state.", labels=["model", "state"])
        for load in self._loads:
            for state, count in load.workers.items():
                workers.add_metric([load.model, state], count)
        yield workers
        yield self._gauge("penstock_running_requests", "Taken by a worker.", [load.running for load in self._loads])
        yield self._gauge("penstock_waiting_requests", "Waiting at the gate.", [load.waiting for load in self._loads])
        yield self._gauge("penstock_slots", "Engine slots of ready workers.", [load.slots for load in self._loads])
        yield self._gauge("penstock_free_slots", "Those without a request.", [load.free_slots for load in self._loads])
        speeds = [load.tokens_per_second for load in self._loads]
        yield self._gauge("penstock_tokens_per_second", "Tokens all workers produce.", speeds)

    def _gauge(self, name: str, documentation: str, values: Sequence[float]) -> Metric:
        family = GaugeMetricFamily(name, documentation, labels=["model"])
        for load, value in zip(self._loads, values, strict=True):
            family.add_metric([load.model], value)
        return family
