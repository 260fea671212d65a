"""What the bodies of several routes have in common: strict types, bounds, and honesty about what is not honoured.

Unknown fields are accepted and logged once, so that newer clients work; a *known* parameter that we do not honour is
refused by name, because ignoring it would answer another question than the one asked.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal, Self

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from contracts import logs
from contracts.errors import CallerError
from contracts.messages import GenerationParameters, ServiceClass
from memory import OnBusy

log = logs.get()
_seen_unknown: set[str] = set()
_FIELD_NAME = re.compile(r"[a-z][a-z_]{0,39}")
"""What a parameter's name looks like; anything else may be somebody's text, and is not logged."""

Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
    Field(max_length=16),
]
StopString = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Stops = Annotated[list[StopString], BeforeValidator(lambda stop: [stop] if isinstance(stop, str) else stop)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]

CLASS_OF_TIER: dict[str, ServiceClass] = {
    "auto": "interactive",
    "default": "interactive",
    "priority": "interactive",
    "scale": "standard",
    "flex": "batch",
}
PATIENCE_FACTOR: dict[ServiceClass, int] = {"interactive": 1, "standard": 6, "batch": 360}
"""How much longer than an interactive request one of a class waits for admission, unless its caller says."""


class Body(BaseModel):
    """A request body. ``"stream": 0`` is not a boolean here."""

    model_config = ConfigDict(strict=True, extra="allow")

    @model_validator(mode="after")
    def _say_unknown_fields(self) -> Self:
        for name in self.model_extra or {}:
            if name not in _seen_unknown and len(_seen_unknown) < 1000 and _FIELD_NAME.fullmatch(name):
                _seen_unknown.add(name)
                log.info(
                    "http.unknown_field", sentence="A field of a body is not known; it was ignored.", reason=name[:64]
                )
        return self


class TextPart(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["text", "input_text", "output_text"]
    text: str


class ChatBodyMessage(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def text(self) -> str:
        return text_of(self.content)


class Sampling(Body):
    """The sampling parameters that chat completions and responses share."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    service_tier: Literal["auto", "default", "priority", "scale", "flex"] | None = None
    user: Name | None = None
    safety_identifier: Name | None = None
    metadata: Metadata | None = None
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    on_busy: OnBusy | None = None

    @property
    def service_class(self) -> ServiceClass:
        return CLASS_OF_TIER[self.service_tier or "auto"]

    @property
    def end_user(self) -> str:
        return self.safety_identifier or self.user or ""


def text_of(content: str | list[TextPart]) -> str:
    """The text of a content, whose parts are joined by line breaks."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def refuse_unhonoured(body: Body, neutral: dict[str, tuple[Any, ...]]) -> None:
    """Refuse known parameters that are set to something we do not do.

    Args:
        neutral: parameter name to the values that ask for nothing.

    Raises:
        CallerError: naming the first one found.
    """
    for name, values in neutral.items():
        given = (body.model_extra or {}).get(name)
        if given is not None and given not in values:
            raise CallerError(
                f"'{name}' is not supported here yet. Leave it out.", code="unsupported_parameter", param=name
            )


def fingerprint(body: Body) -> str:
    """A digest of what was asked, without the idempotency key: the same question has the same one."""
    whole = body.model_dump(mode="json", exclude={"idempotency_key"}, exclude_none=True)
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()


def response_format(format_: dict[str, Any] | None, param: str) -> dict[str, Any]:
    """JSON mode, as fields of ``GenerationParameters``.

    Raises:
        CallerError: an unknown format, or a schema that is not an object.
    """
    kind = (format_ or {}).get("type", "text")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"json_object": True}
    around = (format_ or {}).get("json_schema") if param == "response_format" else format_
    schema = around.get("schema") if isinstance(around, dict) else None
    if kind != "json_schema" or not isinstance(schema, dict):
        raise CallerError("Use the format 'text', 'json_object', or 'json_schema' with a schema.", param=param)
    try:
        size = len(msgspec.msgpack.encode(schema))
    except OverflowError as error:
        raise CallerError("The schema holds an integer of more than 64 bits.", param=param) from error
    if size > 16_384:
        raise CallerError("The schema is larger than 16 KiB.", param=param)
    return {"json_schema": schema}


def with_preset(
    parameters: GenerationParameters, max_tokens: int | None, temperature: float | None
) -> GenerationParameters:
    """A preset's sampling where the caller did not say."""
    changes = {
        "max_tokens": parameters.max_tokens if parameters.max_tokens is not None else max_tokens,
        "temperature": parameters.temperature if parameters.temperature is not None else temperature,
    }
    return msgspec.structs.replace(parameters, **changes)
