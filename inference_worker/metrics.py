"""What a worker counts, for Prometheus and for its own heartbeat."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_REQUEST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counters of one worker process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tokens = Counter("penstock_worker_tokens_total", "Tokens generated.", registry=self.registry)
        self._requests = Counter(
            "penstock_worker_requests_total", "Requests by outcome.", ["outcome"], registry=self.registry
        )
        self._first = Histogram(
            "penstock_worker_first_token_seconds",
            "From take to first token.",
            buckets=_FIRST_TOKEN_BUCKETS,
            registry=self.registry,
        )
        self._seconds = Histogram(
            "penstock_worker_request_seconds", "From take to end.", buckets=_REQUEST_BUCKETS, registry=self.registry
        )
        self._free = Gauge("penstock_worker_free_slots", "Slots without a request.", registry=self.registry)
        self.tokens = 0
        self.moved_at = time.monotonic()

    def generated(self, tokens: int) -> None:
        self.tokens += tokens
        self.moved_at = time.monotonic()
        self._tokens.inc(tokens)

    def free_slots(self, count: int) -> None:
        self._free.set(count)

    def ended(self, outcome: str, seconds: float, first_token_seconds: float | None) -> None:
        self._requests.labels(outcome).inc()
        self._seconds.observe(seconds)
        if first_token_seconds is not None:
            self._first.observe(first_token_seconds)
