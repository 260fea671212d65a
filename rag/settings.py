"""Settings of knowledge: where Milvus is and how long a question may wait for it. Read once, frozen."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.configuration import Duration, Settings


class RagSettings(Settings):
    """Environment: ``MILVUS_URI``, ``MILVUS_TOKEN`` and ``PENSTOCK_RAG__<FIELD>``; durations in seconds or ISO 8601."""

    section: ClassVar[str] = "rag"
    model_config = SettingsConfigDict(env_prefix="PENSTOCK_RAG__", env_ignore_empty=True)

    milvus_uri: str = Field(
        default="http://127.0.0.1:19530",
        pattern=r"^https?://",
        validation_alias=AliasChoices("MILVUS_URI", "PENSTOCK_RAG__MILVUS_URI"),
        description="Address of Milvus or of `milvus-lite server`.",
    )
    milvus_token: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("MILVUS_TOKEN", "PENSTOCK_RAG__MILVUS_TOKEN"),
        description="`user:password` or an API key of Milvus; empty for none.",
    )
    milvus_timeout: Duration = Field(
        default=timedelta(seconds=10), gt=timedelta(0), description="How long one call to Milvus may take when loading."
    )
    deadline: Duration = Field(
        default=timedelta(milliseconds=300),
        gt=timedelta(0),
        description="A question waits this long for passages.",
    )
    candidates: int = Field(default=20, ge=1, le=200, description="Hits that each ranker contributes.")
    passages: int = Field(default=3, ge=1, le=20, description="How many passages a prompt shows at most.")
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Refuse below this probability; unset means the calibrated one.",
    )
    embedding_batch: int = Field(default=32, ge=1, le=512, description="How many texts one embedding request carries.")
    embedding_cache: int = Field(default=4096, ge=0, description="Vectors kept by content hash; 0 keeps none.")
