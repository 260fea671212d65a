"""What happens to a session's turns beside asking and pushing. ``turns.lua`` says what each step does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from contracts import keys
from contracts.functions.library import Library
from contracts.ids import RequestId, SessionId, TenantId, shard_of

TURNS_KEPT = 2000
"""Entries that a session's stream keeps, about, where nobody says otherwise."""

Speaker = Literal["user", "assistant"]


@dataclass(frozen=True)
class Unsaid:
    """``running``: the turn is being answered, by ``request``. ``unknown``: there is no such session, or entry."""

    outcome: Literal["ok", "running", "unknown"]
    request: RequestId | None = None


class Turns:
    """The steps on one Redis. ``kept`` entries of a session's stream stay, about."""

    def __init__(self, library: Library, kept: int = TURNS_KEPT):
        self._library = library
        self._kept = kept

    async def say(
        self,
        session: SessionId,
        tenant: TenantId,
        messages: Sequence[tuple[Speaker, str]],
        *,
        request: RequestId | None = None,
        status: str = "done",
    ) -> str | None:
        """Append what was said elsewhere; names the first message's turn, ``None`` if there is no such session.

        ``request`` and ``status`` are of one that ended before it was queued.
        """
        said = (part for message in messages for part in message)
        args = (session, tenant, self._kept, request or "", status, *said)
        turn: bytes | None = await self._library.call("say", _prefix(session), args=args)
        return None if turn is None else turn.decode()

    async def unsay(self, session: SessionId, tenant: TenantId, turn: str, speaker: Speaker) -> Unsaid:
        """Take out what one of the two said in a turn, which its first entry names. Once more is no error."""
        args = (session, tenant, self._kept, turn, speaker)
        outcome, *request = await self._library.call("unsay", _prefix(session), args=args)
        named = RequestId(request[0].decode()) if request else None
        return Unsaid(cast(Literal["ok", "running", "unknown"], outcome.decode().lower()), named)

    async def adopt(self, session: SessionId, tenant: TenantId, user: str) -> str | None:
        """Make nobody's session a user's; whose it is now, ``None`` if there is no such session."""
        shard = shard_of(session)
        listed = (keys.sessions(shard, tenant, ""), keys.sessions(shard, tenant, user))
        owner: bytes | None = await self._library.call("adopt", _prefix(session), *listed, args=(session, tenant, user))
        return None if owner is None else owner.decode()


def _prefix(session: SessionId) -> str:
    return keys.shard_prefix(shard_of(session))
