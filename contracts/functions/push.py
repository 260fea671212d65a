"""Pushes: another service's message becomes part of a session, once by its id. ``push.lua`` says what the step does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, cast

import msgspec

from contracts import keys
from contracts.functions.library import Library
from contracts.functions.turns import TURNS_KEPT
from contracts.ids import SessionId, TenantId, shard_of

KNOWN_FOR = timedelta(hours=24)
Outcome = Literal["ok", "existing", "conflict", "unknown"]


@dataclass(frozen=True)
class Push:
    """A message for a session. ``id`` is its publisher's own, and means the same message for ``KNOWN_FOR``.

    ``fingerprint`` says what the publisher asked for, where that is not the text itself.
    """

    id: str
    publisher: str
    tenant: TenantId
    session: SessionId
    text: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    fingerprint: str = ""


@dataclass(frozen=True)
class Pushed:
    """``existing`` names the entry that an earlier delivery made; ``conflict`` and ``unknown`` (session) name none."""

    outcome: Outcome
    entry: str = ""


class Pushes:
    """The step on one Redis. ``turns_kept`` entries of a session's stream stay, about."""

    def __init__(self, library: Library, turns_kept: int = TURNS_KEPT):
        self._library = library
        self._turns_kept = turns_kept

    async def push(self, push: Push) -> Pushed:
        """Append it to its session, unless that was done before. Call again after a lost answer."""
        shard = shard_of(push.session)
        record = keys.pushed(shard, push.tenant, push.publisher, push.id)
        metadata = msgspec.json.encode(dict(push.metadata), order="deterministic")
        said = push.fingerprint or keys.hashed(push.session, push.text, metadata.decode())
        what = (push.session, push.tenant, push.publisher, push.id, said, push.text, metadata)
        args = (*what, _SECONDS_KNOWN, self._turns_kept)
        outcome, *entry = await self._library.call("push", keys.shard_prefix(shard), record, args=args)
        return Pushed(cast(Outcome, outcome.decode().lower()), entry[0].decode() if entry else "")


_SECONDS_KNOWN = int(KNOWN_FOR.total_seconds())
