"""What an operator sees of the limiter, in Prometheus's text form."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from contracts.messages import ModelStatus

_DECISION_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0)


class Metrics:
    """One process's figures, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.active = Gauge("penstock_limiter_active", "1 while this limiter decides.", registry=self._registry)
        self.decision_seconds = Histogram(
            "penstock_limiter_turn_seconds",
            "From hearing the oldest ask of a turn to its commit.",
            buckets=_DECISION_BUCKETS,
            registry=self._registry,
        )
        self._decisions = Counter(
            "penstock_limiter_decisions", "Decisions by outcome.", ["outcome"], registry=self._registry
        )
        self._models = {
            field: Gauge(f"penstock_gate_{field}", f"{field} of one model", ["model"], registry=self._registry)
            for field in ModelStatus.__struct_fields__
        }

    def decided(self, outcomes: Mapping[str, int]) -> None:
        """Count what one turn decided."""
        for outcome, count in outcomes.items():
            self._decisions.labels(outcome).inc(count)

    def load(self, status: Mapping[str, ModelStatus]) -> None:
        """Show how loaded each model is now."""
        for field, gauge in self._models.items():
            gauge.clear()
            for model, one in status.items():
                gauge.labels(model).set(getattr(one, field))

    def text(self) -> bytes:
        return generate_latest(self._registry)
