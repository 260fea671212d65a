"""The table of a run: what was broken, what was asked, what came of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tests.chaos.oracle import Verdict
from tests.chaos.plan import Fault, Plan
from tests.chaos.recovery import percentile

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
SUMMED = [field.name for field in fields(Verdict) if field.name not in ("ends", "problems")]


@dataclass
class Report:
    """The sum of all rounds. ``recovery`` and ``restarts`` are seconds; ``problems`` empty means that it passed."""

    server: str
    seed: int
    seconds: float = 0.0
    questions: int = 0
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    totals: Verdict = field(default_factory=Verdict)
    recovery: list[float] = field(default_factory=list[float])
    restarts: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    false_starts: int = 0
    problems: list[str] = field(default_factory=list[str])

    def add(self, name: str, verdict: Verdict) -> None:
        """One round more."""
        for total in SUMMED:
            setattr(self.totals, total, getattr(self.totals, total) + getattr(verdict, total))
        self.totals.ends.update(verdict.ends)
        self.problems += [f"{name}: {problem}" for problem in verdict.problems]

    def check_enough(self, plan: Plan) -> None:
        """A run that broke too little, or saw too little, has shown nothing."""
        for fault, count in plan.required.items():
            if self.faults[fault] < count:
                self.problems.append(f"only {self.faults[fault]} of {count} × {fault}")
        if self.totals.reply_events < plan.reply_events:
            self.problems.append(f"only {self.totals.reply_events} of {plan.reply_events} reply events")

    def table(self) -> str:
        """In Markdown, for a person and for ``docs/reliability.md``."""
        totals = self.totals
        rows: list[tuple[str, object]] = [(f"**{fault}**", self.faults[fault]) for fault in Fault if self.faults[fault]]
        rows += [
            ("questions asked", self.questions),
            ("requests in Redis", totals.requests),
            ("of them continued by another worker", totals.continued),
            ("given up, because three workers were killed while they ran it", totals.given_up),
            ("reply events in the logs", totals.reply_events),
            ("tokens in the logs", totals.tokens),
            ("events that clients received", totals.client_events),
            ("streams resumed", totals.resumes),
            ("resets and losses that clients were told of", totals.told_resets + totals.told_losses),
            ("ends", ", ".join(f"{count} {state}" for state, count in sorted(totals.ends.items()))),
            ("lost · doubled · reordered", f"{totals.lost} · {totals.doubled} · {totals.reordered}"),
            ("recovery after a worker's kill", _seconds(self.recovery)),
            *((f"restart of {role}", _seconds(times)) for role, times in self.restarts.items()),
            ("problems", len(self.problems)),
            ("server, seed, duration", f"{self.server}, {self.seed}, {self.seconds:.0f} s"),
        ]
        return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._data(), indent=2, default=str) + "\n", encoding="utf-8")

    def _data(self) -> dict[str, Any]:
        return {
            "server": self.server,
            "seed": self.seed,
            "seconds": round(self.seconds),
            "questions": self.questions,
            "faults": dict(self.faults),
            "totals": {total: getattr(self.totals, total) for total in SUMMED},
            "ends": dict(self.totals.ends),
            "recovery_seconds": _shares(self.recovery),
            "restart_seconds": {role: _shares(times) for role, times in self.restarts.items()},
            "false_starts": self.false_starts,
            "problems": self.problems,
        }


def _shares(times: list[float]) -> dict[str, float]:
    return {name: round(percentile(times, at), 3) for name, at in SHARES.items()} | {"count": len(times)}


def _seconds(times: list[float]) -> str:
    parts = [f"{name} {percentile(times, at):.2f} s" for name, at in SHARES.items()]
    return f"{', '.join(parts)} ({len(times)} times)"
