"""Ids: unguessable, and naming the shard their keys live in.

An id is ``s<shard>_<32 hex digits>``, for example ``s0_9f86d081884c7d659a2feaa0c55ad015``. The same token is dressed
for each public use (``resp_…``, ``chatcmpl-…``, ``conv_…``), so one value follows a request through every log.
"""

from __future__ import annotations

import re
import secrets
from typing import NewType

RequestId = NewType("RequestId", str)
SessionId = NewType("SessionId", str)
TenantId = NewType("TenantId", str)
AccessId = NewType("AccessId", str)
WorkerId = NewType("WorkerId", str)
Generation = NewType("Generation", str)
Shard = NewType("Shard", int)

_TOKEN = re.compile(r"s(\d{1,4})_[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")

RESPONSE_PREFIX = "resp_"
COMPLETION_PREFIX = "chatcmpl-"
CONVERSATION_PREFIX = "conv_"


class BadId(ValueError):
    """The text is not an id of the expected kind; callers answer as if the thing did not exist."""


def new_request_id(shard: Shard) -> RequestId:
    """A fresh request id on ``shard``, with 128 random bits."""
    return RequestId(f"s{shard}_{secrets.token_hex(16)}")


def new_session_id(shard: Shard) -> SessionId:
    """A fresh session id on ``shard``, with 128 random bits."""
    return SessionId(f"s{shard}_{secrets.token_hex(16)}")


def new_generation() -> Generation:
    """A fencing token. Random, because an integer epoch rolls back with the data after a failover."""
    return Generation(secrets.token_hex(8))


def new_process_id(role: str) -> str:
    """A name for this process, unique across restarts: ``access-3f9c2a1b``."""
    return f"{role}-{secrets.token_hex(4)}"


def shard_of(token: str) -> Shard:
    """The shard an id names.

    Raises:
        BadId: the token is not ``s<shard>_<32 hex>``.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise BadId("not an id of ours")
    return Shard(int(match[1]))


def parse_public(public: str, prefix: str) -> str:
    """The token inside a public id such as ``resp_s0_…``.

    Raises:
        BadId: another prefix, or no well-formed token behind it.
    """
    if not public.startswith(prefix):
        raise BadId(f"expected an id that starts with {prefix}")
    token = public[len(prefix) :]
    shard_of(token)
    return token


def is_name(text: str) -> bool:
    """Whether ``text`` may name a tenant, a collection, a publisher or a process (and stand inside a Redis key)."""
    return _NAME.fullmatch(text) is not None


def is_model_name(text: str) -> bool:
    """Whether ``text`` may name a model (and stand inside a Redis key)."""
    return _MODEL.fullmatch(text) is not None
