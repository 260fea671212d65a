"""How long answers are: learned per tenant and model, for callers who do not bound theirs. Pure.

The mean and the mean deviation move by an eighth and a quarter of each error, as TCP learns its round-trip time
(RFC 6298). What is expected is one deviation above the mean: most answers stay below it.
"""

from __future__ import annotations

from dataclasses import dataclass

MEAN_SHARE = 1 / 8
DEVIATION_SHARE = 1 / 4
ERROR_SHARE = 1 / 16


@dataclass(frozen=True)
class Estimate:
    """Tokens of one sequence. ``error`` is the mean of |expected - used| / used over recent answers."""

    mean: float
    deviation: float
    error: float = 0.0

    @classmethod
    def before_any(cls, tokens: int) -> Estimate:
        """Nothing is known but that answers are about so long."""
        return cls(mean=tokens, deviation=0.0)

    @classmethod
    def read(cls, text: str) -> Estimate:
        """What ``text`` wrote. Raises ``ValueError`` for anything else."""
        mean, deviation, error = map(float, text.split(":"))
        return cls(mean, deviation, error)

    @property
    def text(self) -> str:
        return f"{self.mean:.3f}:{self.deviation:.3f}:{self.error:.4f}"

    @property
    def expected(self) -> int:
        return max(1, round(self.mean + self.deviation))

    def learned(self, used: int) -> Estimate:
        """After an answer of ``used`` tokens."""
        off = used - self.mean
        error = abs(self.expected - used) / max(1, used)
        return Estimate(
            mean=self.mean + MEAN_SHARE * off,
            deviation=self.deviation + DEVIATION_SHARE * (abs(off) - self.deviation),
            error=self.error + ERROR_SHARE * (error - self.error),
        )
