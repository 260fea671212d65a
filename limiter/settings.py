"""Settings of the limiter."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contracts.configuration import ServiceSettings


class LimiterSettings(ServiceSettings):
    section: ClassVar[str] = "limiter"
    model_config = SettingsConfigDict(env_prefix="PENSTOCK_LIMITER__")

    tokens_per_minute: int = Field(
        default=1_000_000,
        ge=1,
        description="A tenant's tokens a minute, and how many it may use at once, unless set for it.",
    )
    requests_per_minute: int = Field(
        default=6_000, ge=1, description="A tenant's requests a minute, unless set for it."
    )
    concurrency: int = Field(
        default=1_000, ge=1, description="A tenant's granted requests at any moment, unless set for it."
    )
    wait_seconds: float = Field(
        default=60.0, ge=0, description="The longest a tenant's request may wait, unless set for it."
    )
    room: int = Field(default=10_000, ge=1, description="How many requests may wait for one model.")
    room_per_tenant: int = Field(default=1_000, ge=1, description="How many of them may be one tenant's.")
    grants_per_slot: int = Field(
        default=4,
        ge=1,
        description="Granted and unsettled requests for each slot of ready workers: how long streams get.",
    )
    grant_seconds: float = Field(
        default=15.0, gt=0, description="How long a grant holds before it must have been submitted."
    )
    grant_slack_seconds: float = Field(
        default=5.0, gt=0, description="How long after that an unsubmitted grant is refunded."
    )
    heartbeat_stale_seconds: float = Field(default=5.0, gt=0, description="A worker silent for so long is forgotten.")
    lock_seconds: float = Field(
        default=1.5, gt=0.2, description="A standby takes over when the active one is silent for so long."
    )
    health_port: int | None = Field(
        default=None, ge=1, le=65535, description="Loopback port: /livez, /readyz, /metrics."
    )

    @property
    def lock(self) -> timedelta:
        return timedelta(seconds=self.lock_seconds)
