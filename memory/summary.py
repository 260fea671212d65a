"""The summary of what a session's window has dropped, as the session keeps it."""

from __future__ import annotations

import msgspec

MAX_CHARACTERS = 4000


class Summary(msgspec.Struct, frozen=True):
    """What was said up to and with the turn ``until`` (its id), in few words; written at ``at``, Unix seconds.

    ``delimiter`` is the line between which prompts show it. It was drawn when the text was there already, so nothing in
    the text can have foreseen it, and it stays, so that prompts begin alike from turn to turn.
    """

    text: str
    until: str
    at: float
    delimiter: str

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def summary_from(stored: bytes | None) -> Summary | None:
    """A summary as a session's hash has it; ``None`` for none, or for one of a form that is not ours."""
    try:
        return msgspec.json.decode(stored, type=Summary) if stored else None
    except msgspec.MsgspecError:
        return None
