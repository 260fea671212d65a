"""The ``x-ratelimit-*`` headers, from the same numbers the limiter decided with. Pure.

Source: https://platform.openai.com/docs/guides/rate-limits
"""

from __future__ import annotations

from contracts.errors import LimitExceeded
from contracts.messages import LimitsView


class RateLimited(LimitExceeded):
    """The caller's own limit, and what the limiter said of it."""

    def __init__(
        self, message: str, *, code: str = "", retry_after_seconds: float = 0.0, limits: LimitsView | None = None
    ):
        super().__init__(message, code=code, retry_after_seconds=retry_after_seconds)
        self.limits = limits


def headers_of(limits: LimitsView | None) -> dict[str, str]:
    """What is left to the caller, as OpenAI says it; empty when the limiter did not say."""
    if limits is None:
        return {}
    return {
        "x-ratelimit-limit-requests": str(limits.limit_requests),
        "x-ratelimit-remaining-requests": str(max(0, limits.remaining_requests)),
        "x-ratelimit-reset-requests": duration(limits.reset_requests_seconds),
        "x-ratelimit-limit-tokens": str(limits.limit_tokens),
        "x-ratelimit-remaining-tokens": str(max(0, limits.remaining_tokens)),
        "x-ratelimit-reset-tokens": duration(limits.reset_tokens_seconds),
    }


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes a duration: ``6m0s``, ``1.5s``, ``20ms``."""
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{int(rest)}s" if minutes else f"{rest:.1f}".rstrip("0").rstrip(".") + "s"
