"""How much publishers may push, counted before it is said. ``push_quota.lua`` says what the step does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from contracts import keys
from contracts.functions.library import Library
from contracts.functions.push import KNOWN_FOR
from contracts.ids import SessionId, TenantId


@dataclass(frozen=True)
class Exhausted:
    """Whose bucket has no room, how many pushes it holds, and when it has room again."""

    whose: Literal["publisher", "user"]
    most: int
    retry_after: timedelta


class PushQuota:
    """The step on one Redis: two buckets that refill evenly, up to what they are named by.

    ``per_minute`` is what one publisher may push to one tenant, ``user_per_hour`` what of it to one user.
    """

    def __init__(self, library: Library, per_minute: int, user_per_hour: int):
        self._library = library
        self._most = {"publisher": per_minute, "user": user_per_hour}

    async def charge(
        self, tenant: TenantId, publisher: str, session: SessionId, user: str, ids: Sequence[str]
    ) -> Exhausted | None:
        """Count those pushes that were not counted before: all, or none where one of the buckets has no room.

        ``user`` is whose session it is; nobody's counts as a user of its own. Call again after a lost answer.
        """
        buckets = keys.publisher_bucket(tenant, publisher), keys.target_bucket(tenant, publisher, user or session)
        marks = dict.fromkeys(keys.counted_push(tenant, publisher, session, push_id) for push_id in ids)
        args = *self._most.values(), int(KNOWN_FOR.total_seconds())
        answer = await self._library.call("quota_charge", *buckets, *marks, args=args)
        if answer is None:
            return None
        whose = cast(Literal["publisher", "user"], answer[0].decode().lower())
        return Exhausted(whose, self._most[whose], timedelta(milliseconds=answer[1]))
