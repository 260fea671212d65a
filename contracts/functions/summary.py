"""Summaries: kept with their session, in place of one that covers less. ``summary.lua`` says what the step does."""

from __future__ import annotations

from typing import Literal, cast

from contracts import keys
from contracts.functions.library import Library
from contracts.ids import SessionId, TenantId, shard_of

Outcome = Literal["ok", "known", "unknown", "unwanted"]


class Summaries:
    """The step on one Redis."""

    def __init__(self, library: Library):
        self._library = library

    async def keep(self, session: SessionId, tenant: TenantId, until: str, summary: bytes, unsaid: int = 0) -> Outcome:
        """Keep what was said up to and with the turn ``until``. Call again after a lost answer.

        ``unsaid``: how many messages had been taken out of the session when it was read.

        ``known``: a summary is there that covers as much. ``unknown``: the tenant has no such session (any more).
        ``unwanted``: the session is not to be summarised (any more), or another message was taken out since.
        """
        prefix = keys.shard_prefix(shard_of(session))
        [outcome] = await self._library.call("summarise", prefix, args=(session, tenant, until, summary, unsaid))
        return cast(Outcome, outcome.decode().lower())
