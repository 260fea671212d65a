"""How much of a prompt a session's memory took, when this process last composed one. Pure.

Admission is asked before the history is read, and is told the real size once the prompt is composed. This keeps the
first word near the second; a process that has not seen the session begins at nothing.
"""

from __future__ import annotations

from contracts.ids import SessionId

SESSIONS_KEPT = 10_000


class Windows:
    """Tokens by session; those seen least recently are forgotten."""

    def __init__(self, most: int = SESSIONS_KEPT):
        self._most = most
        self._tokens: dict[SessionId, int] = {}

    def of(self, session: SessionId | None) -> int:
        """0 for a session not seen here, or for none."""
        return self._tokens.get(session, 0) if session is not None else 0

    def saw(self, session: SessionId | None, tokens: int) -> None:
        if session is None:
            return
        self._tokens.pop(session, None)
        self._tokens[session] = tokens
        if len(self._tokens) > self._most:
            del self._tokens[next(iter(self._tokens))]
