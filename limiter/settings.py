"""Settings of the limiter."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import SettingsConfigDict

from contracts.configuration import ServiceSettings
from limiter.limits import Caps, Limits
from limiter.tariff import NANOS, PERMILLE, Tariff, Terms

MILLION = 1_000_000


class ModelTerms(BaseModel):
    """What one model's tokens weigh and cost, and whether it needs a worker to be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=1.0, ge=0.001, le=1000, description="What one token counts in limits and quotas.")
    prompt_price: float = Field(default=0.0, ge=0, le=10_000, description="USD for a million prompt tokens.")
    answer_price: float = Field(default=0.0, ge=0, le=10_000, description="USD for a million answer tokens.")
    min_workers: int = Field(default=1, ge=0, description="0: a worker is started when somebody asks.")

    @property
    def terms(self) -> Terms:
        return Terms(
            weight_permille=round(self.weight * PERMILLE),
            prompt_nanos=round(self.prompt_price * NANOS / MILLION),
            answer_nanos=round(self.answer_price * NANOS / MILLION),
            from_zero=self.min_workers == 0,
        )


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
    answer_tokens: int = Field(
        default=512, ge=1, description="Length expected of an answer without max_tokens, before any was seen."
    )
    models: dict[str, ModelTerms] = Field(
        default={}, description="Weight, prices and least number of workers, by model."
    )
    batch_price: float = Field(default=0.5, ge=0, le=1, description="What the batch class costs, as a share.")
    policy: str = Field(default="fair", description="Who may go, by name; see docs/admission.md for how to add one.")
    room: int = Field(default=10_000, ge=1, description="How many requests may wait for one model.")
    room_per_tenant: int = Field(default=1_000, ge=1, description="How many of them may be one tenant's.")
    grants_per_slot: int = Field(
        default=4,
        ge=1,
        description="Granted and unsettled requests for each slot of ready workers, at most: how long streams get.",
    )
    grant_seconds: float = Field(
        default=15.0, gt=0, description="How long a grant holds before it must have been submitted."
    )
    grant_slack_seconds: float = Field(
        default=5.0, gt=0, description="How long after that an unsubmitted grant is refunded."
    )
    heartbeat_stale_seconds: float = Field(default=5.0, gt=0, description="A worker silent for so long is forgotten.")
    lock_seconds: float = Field(
        default=1.2, gt=0.2, description="A standby takes over when the active one is silent for so long."
    )
    health_port: int | None = Field(
        default=None, ge=1, le=65535, description="Loopback port: /livez, /readyz, /metrics."
    )

    @property
    def default_limits(self) -> Limits:
        caps = Caps(self.tokens_per_minute, self.requests_per_minute, self.concurrency)
        return Limits(tenant=caps, wait_seconds=self.wait_seconds)

    @property
    def tariff(self) -> Tariff:
        return Tariff({name: model.terms for name, model in self.models.items()}, round(self.batch_price * PERMILLE))

    @property
    def lock(self) -> timedelta:
        return timedelta(seconds=self.lock_seconds)
