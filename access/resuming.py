"""Going on where a client was: ``starting_after`` or the ``Last-Event-ID`` that browsers send by themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence

from access.follower import Logged
from access.response_events import ResponseStream
from contracts.errors import CallerError
from contracts.messages import InferenceRequest

_CURSOR = re.compile(r"(\d{1,15})-([0-9a-f]{1,32})")


def resumed(
    request: InferenceRequest, replies: Sequence[Logged], starting_after: int | None, cursor: str | None
) -> ResponseStream:
    """A renderer that sends only what the client has not seen. ``replies`` is the log as it is now.

    A cursor names who wrote the reply that it points to. If the log was rolled back and has regrown, another one did,
    and going on would join two different answers. A bare ``starting_after`` skips that check.

    Raises:
        CallerError: a malformed cursor, or one of a log that is no more.
    """
    if not cursor:
        return ResponseStream(request, after=-1 if starting_after is None else starting_after)
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise CallerError("Last-Event-ID is not a cursor of ours: '<digits>-<generation>'.", param="last-event-id")
    seq, generation = int(match[1]), match[2]
    if not any((logged.seq, logged.generation) == (seq, generation) for logged in replies):
        message = "The stream was reset: what you saw after this cursor was lost. Start again without it."
        raise CallerError(message, code="stream_reset", param="last-event-id")
    return ResponseStream(request, after_seq=seq)
