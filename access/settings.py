"""Settings of access: where it listens, what it allows, which presets it offers."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from access.attributes import Filter
from access.prompt import FAQ_INSTRUCTIONS
from contracts.configuration import Duration, ServiceSettings
from contracts.functions import TURNS_KEPT
from contracts.ids import is_name

_ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:\d{1,5})?|https?://\[[0-9a-f:.]+\](:\d{1,5})?")


class Preset(BaseModel):
    """A model name that stands for a model plus instructions plus knowledge: any OpenAI client gets retrieval by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="The served model behind the preset.")
    instructions: str = Field(default="", description="System text put before the caller's.")
    collections: tuple[str, ...] = Field(default=(), description="Vector stores searched for every question, by name.")
    filters: Filter | None = Field(
        default=None, description="What the attributes of a file must be like, for it to be searched."
    )
    passages: int = Field(default=3, ge=1, le=10, description="Passages shown to the model.")
    word_for_word: bool = Field(
        default=False, description="Whether an answer from passages must be one of them as it stands, or the refusal."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Length of an answer when the caller does not say.")
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling when the caller does not say.")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a name has letters, digits, '.', '_' and '-', at most 64")
    return text


FactName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Named = Annotated[str, AfterValidator(_name)]
Kept = Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=3650))]


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("an origin is as a browser sends it: http:// or https://, the host, a port, and nothing after")
    return text


Origin = Annotated[str, AfterValidator(_origin)]


class Publisher(BaseModel):
    """A service that pushes through a stream of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenants: tuple[Named, ...] = Field(description="Tenants whose users it may speak to.")


class AccessSettings(ServiceSettings):
    section: ClassVar[str] = "access"
    model_config = SettingsConfigDict(env_prefix="PENSTOCK_ACCESS__")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    bootstrap_key: SecretStr | None = Field(default=None, description="An API key with every scope, created at start.")
    pepper: SecretStr = Field(
        default=SecretStr("penstock"), description="Server-side secret under which API keys are hashed."
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Networks whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`."
    )
    origins: tuple[Origin, ...] = Field(
        default=(),
        description="Origins of other web pages that may call from a browser (CORS), such as `https://shop.example`.",
    )
    default_tenant: str = Field(default="default", description="Tenant of the bootstrap key.")
    presets: dict[str, Preset] = Field(
        default={
            # One passage: the bundled model copies well and chooses badly. Give a larger model three.
            "faq-bot": Preset(
                model="penstock-faq",
                instructions=FAQ_INSTRUCTIONS,
                collections=("faq",),
                passages=1,
                word_for_word=True,
                max_tokens=256,
            )
        },
        description="Model names that stand for model + instructions + knowledge.",
    )
    publishers: dict[Named, Publisher] = Field(
        default={}, description='Services that push, by name, such as `{"hotels": {"tenants": ["acme"]}}`.'
    )
    publisher_pushes_per_minute: int = Field(
        default=6000, ge=1, le=1_000_000, description="Pushes of one publisher to one tenant, by stream and HTTP."
    )
    user_pushes_per_hour: int = Field(
        default=60, ge=1, le=1_000_000, description="Pushes of one publisher to one user."
    )
    watched_tenants: tuple[Named, ...] = Field(
        default=(), description="Tenants whose finished turns, with what users said, are written out for services."
    )
    learned_facts: tuple[FactName, ...] = Field(
        default=("name", "language", "city", "occupation", "interests", "preferences"),
        max_length=16,
        description="What may be learned of users from their conversations, where their profile is switched on for it.",
    )
    embedding_model: str = Field(default="penstock-embed", description="Model that embeds questions and passages.")
    max_body_bytes: int = Field(
        default=1 << 20, ge=1024, description="Largest body; uploads to /v1/files have their own bound."
    )
    max_upload_bytes: int = Field(default=16 << 20, ge=1024, description="Largest uploaded file.")
    queue_bound: int = Field(
        default=10_000, ge=1, description="Waiting requests per model and class before submits are refused."
    )
    replicas: int = Field(
        default=0, ge=0, description="Redis replicas that must have a request before it counts as accepted."
    )
    conversation_retention: Kept = Field(
        default=timedelta(days=30), description="A conversation that nobody uses any more is kept so long."
    )
    conversation_length: int = Field(
        default=TURNS_KEPT,
        ge=20,
        le=100_000,
        description="Entries of a conversation that are kept, about: two a turn. The oldest go.",
    )
    response_retention: Kept = Field(
        default=timedelta(days=30), description="A stored response's log is kept so long after its end."
    )
    log_retention: Kept = Field(
        default=timedelta(hours=1), description="The log of an answer that is not stored is kept so long after its end."
    )
    deadline: Duration = Field(default=timedelta(minutes=10), description="Time from submission to the end.")
    patience: Duration = Field(default=timedelta(seconds=10), description="How long an interactive request waits.")
    default_answer_tokens: int = Field(
        default=512, ge=1, description="Room kept for an answer in the context window, without max_tokens."
    )
    heartbeat: Duration = Field(default=timedelta(seconds=10), description="A silent stream gets a comment.")
    write_deadline: Duration = Field(
        default=timedelta(seconds=30), description="A client that does not read for so long is cut off."
    )
    hold_at_most: Duration = Field(
        default=timedelta(milliseconds=40),
        description="Under load, later tokens wait up to this for one another; 0 sends each at once.",
    )
    abandon_after: Duration = Field(default=timedelta(seconds=15), description="Nobody follows: cancelled after this.")
    metrics_public: bool = Field(default=True, description="Whether /metrics answers without a key.")
