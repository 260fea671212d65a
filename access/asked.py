"""What a client asked for, whichever route it came by: the value that the one sentence of access works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from access.attributes import Filter
from access.auth import Caller
from access.settings import Preset
from contracts.ids import RequestId, SessionId, Shard
from contracts.messages import ChatMessage, GenerationParameters, ServiceClass
from memory import OnBusy


@dataclass(frozen=True)
class Asked:
    """One question, validated and resolved.

    ``history`` is what the client itself sent before the question; a ``session`` adds what the session remembers.
    The vector stores to search are the preset's, by name, and ``collections``, by id, checked to be the tenant's; each
    with the filter that its files must pass.
    ``retention`` counts from the end of the answer. ``remembered_tokens`` is what memory added to the session's last
    prompt, ``said_tokens`` what the client itself sent, ``prompt_tokens`` what the prompt is expected to be with what
    knowledge and memory add; the last two are counted when it begins.
    ``on_busy`` says what becomes of it while its session is busy with another. ``about`` is a session that it shows the
    words of without being said in it, and ``owner`` whose words they are, where that is not who is charged, ``user``.
    ``attempt`` is 0 for the first try of a client that counts its tries, ``None`` for one that does not. The body's
    ``fingerprint`` is there when an attempt or an idempotency key is.
    """

    id: RequestId
    caller: Caller
    user: str
    served_as: str
    preset: Preset
    question: str
    instructions: str
    history: tuple[ChatMessage, ...]
    parameters: GenerationParameters
    service_class: ServiceClass
    shard: Shard
    deadline: timedelta
    patience: timedelta
    retention: timedelta
    session: SessionId | None = None
    about: SessionId | None = None
    owner: str = ""
    on_busy: OnBusy = "queue"
    collections: Mapping[str, Filter | None] = field(default_factory=dict[str, Filter | None])
    passages: int = 3
    stored: bool = False
    background: bool = False
    idempotency_key: str = ""
    fingerprint: str = ""
    attempt: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    remembered_tokens: int = 0
    said_tokens: int = 0
    prompt_tokens: int = 0
    created_at: float = 0.0
    traceparent: str | None = None

    @property
    def wants_knowledge(self) -> bool:
        return bool(self.preset.collections or self.collections)

    @property
    def model(self) -> str:
        """The served model that will answer."""
        return self.preset.model
