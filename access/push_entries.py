"""One entry of a publisher's stream: what it asks for, or why it is refused. Pure.

Another service wrote it, with whatever client: nothing in it is believed before it was checked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from access.guard import too_deep
from contracts import keys
from contracts.errors import CallerError
from contracts.ids import CONVERSATION_PREFIX, BadId, SessionId, TenantId, parse_public

MAX_PAYLOAD_BYTES = 131_072
LONGEST_TEXT = 32_000

_Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
_Name = Annotated[str, Meta(min_length=1, max_length=128)]
_Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class Said(msgspec.Struct, frozen=True):
    """The payload of a ``message``: its text, as it is shown."""

    text: _Text
    metadata: _Metadata = {}


class Prompted(msgspec.Struct, frozen=True):
    """The payload of a ``prompt``: what a model is asked, and which. Its answer is shown, the prompt is not."""

    model: _Name
    prompt: _Text
    instructions: Annotated[str, Meta(max_length=LONGEST_TEXT)] = ""
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    metadata: _Metadata = {}


PAYLOADS: dict[str, type[Said | Prompted]] = {"message": Said, "prompt": Prompted}


@dataclass(frozen=True)
class Order:
    """What a publisher asks for. The target is a ``session``, or else the newest one of ``user``."""

    id: str
    publisher: str
    tenant: TenantId
    session: SessionId | None
    user: str
    payload: Said | Prompted

    @property
    def fingerprint(self) -> str:
        """A digest of everything but its id: the same push has the same one."""
        payload = msgspec.json.encode(self.payload, order="deterministic").decode()
        return keys.hashed(self.tenant, self.session or "", self.user, type(self.payload).__name__, payload)


def read_order(publisher: str, tenants: Collection[str], fields: Mapping[bytes, bytes]) -> Order:
    """Read one entry. ``tenants`` are those that the publisher may speak to.

    Raises:
        CallerError: why it is refused, by ``code``.
    """
    tenant = _field(fields, "tenant")
    if tenant not in tenants:
        raise CallerError(f"'{publisher}' may not speak to this tenant.", code="tenant_not_allowed", param="tenant")
    conversation, user = _field(fields, "conversation"), _field(fields, "user")
    if bool(conversation) == bool(user):
        raise CallerError("Give 'conversation' or 'user', and not both.", code="invalid_target", param="conversation")
    return Order(
        id=_required(fields, "id"),
        publisher=publisher,
        tenant=TenantId(tenant),
        session=_session(conversation) if conversation else None,
        user=user,
        payload=_payload(_required(fields, "type"), fields.get(b"payload", b"")),
    )


def shown_id(fields: Mapping[bytes, bytes]) -> str:
    """The id of an entry that may be wrong in every way, to tell its publisher which one was refused."""
    return fields.get(b"id", b"")[:512].decode("utf-8", "replace")[:128]


def _field(fields: Mapping[bytes, bytes], name: str) -> str:
    try:
        value = fields.get(name.encode(), b"").decode()
    except UnicodeDecodeError:
        raise CallerError(f"'{name}' is not UTF-8.", code="invalid_field", param=name) from None
    if len(value) > 128:
        raise CallerError(f"'{name}' holds at most 128 characters.", code="invalid_field", param=name)
    return value


def _required(fields: Mapping[bytes, bytes], name: str) -> str:
    if value := _field(fields, name):
        return value
    raise CallerError(f"'{name}' is missing.", code="invalid_field", param=name)


def _session(conversation: str) -> SessionId:
    try:
        return SessionId(parse_public(conversation, CONVERSATION_PREFIX))
    except BadId:
        raise CallerError(
            "There is no such conversation.", code="conversation_not_found", param="conversation"
        ) from None


def _payload(kind: str, wire: bytes) -> Said | Prompted:
    expected = PAYLOADS.get(kind)
    if expected is None:
        raise CallerError("'type' is 'message' or 'prompt'.", code="invalid_field", param="type")
    if len(wire) > MAX_PAYLOAD_BYTES:
        raise CallerError(f"A payload holds at most {MAX_PAYLOAD_BYTES} bytes.", code="too_large", param="payload")
    if too_deep(wire):
        raise CallerError("The payload is nested too deeply.", code="invalid_payload", param="payload")
    try:
        return msgspec.json.decode(wire, type=expected)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CallerError(
            f"The payload is not as it should be: {error}.", code="invalid_payload", param="payload"
        ) from None
