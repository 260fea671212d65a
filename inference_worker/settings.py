"""What an inference worker can be told. Read once, frozen; the command line wins over the environment."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from contracts.configuration import ServiceSettings
from contracts.ids import is_model_name

EngineName = Literal["vllm", "openai", "embedder", "scripted"]


class WorkerSettings(ServiceSettings):
    """Settings of one worker process; variables are ``PENSTOCK_WORKER__<FIELD>``."""

    section: ClassVar[str] = "worker"
    model_config = SettingsConfigDict(env_prefix="PENSTOCK_WORKER__")

    engine: EngineName = Field("vllm", description="What generates: vllm, openai (an upstream), embedder or scripted.")
    model: str = Field("", description="Folder or hub name of the weights; empty: what the engine brings along.")
    served_name: str = Field("", description="The name requests ask for; empty: the last part of the model's name.")
    slots: int = Field(16, ge=1, le=4096, description="Requests that run at once.")
    max_model_len: int = Field(0, ge=0, description="Tokens of prompt and answer; 0: what the model allows.")
    lease_seconds: float = Field(5.0, ge=0.2, le=600, description="Silence after which a request is another worker's.")
    grace_seconds: float = Field(20.0, ge=0, description="On SIGTERM: time to finish before the rest is handed over.")
    stuck_after_seconds: float = Field(
        120.0, gt=0, description="Without a token for this long while requests run, the engine is started anew."
    )
    host: str = Field("127.0.0.1", description="Where health and metrics listen.")
    port: int = Field(0, ge=0, le=65535, description="Port of health and metrics; 0: none.")
    upstream_url: str = Field("", description="Base URL of the upstream, such as http://127.0.0.1:11434/v1.")
    upstream_model: str = Field("", description="What the upstream calls the model; empty: the served name.")
    upstream_api_key: SecretStr = Field(SecretStr(""), description="The upstream's key.")
    vllm_arguments: dict[str, object] = Field({}, description="Further engine arguments, given to vLLM as they are.")
    scripted_step_seconds: float = Field(0.0, ge=0, description="Time between two tokens of the scripted engine.")

    @field_validator("served_name")
    @classmethod
    def _can_stand_in_a_key(cls, name: str) -> str:
        if name and not is_model_name(name):
            raise ValueError("a model name has letters, digits and . _ / - and starts with a letter or digit")
        return name

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.grace_seconds)
