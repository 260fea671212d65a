"""Stop strings and held-back text, such that every released piece has exactly the text of its tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class _Piece:
    text: str
    token_ids: tuple[int, ...]


class StopWatch:
    """Looks for stop strings in one sequence.

    A piece is held while a stop string might begin in it. What is released is therefore final, and a continuation that
    starts behind released tokens cannot miss a stop string: none spans the seam.
    """

    def __init__(self, stops: Sequence[str]):
        self._stops = [stop for stop in stops if stop]
        self._held: list[_Piece] = []
        self.stopped = False

    def push(self, text: str, token_ids: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
        """Take a step's text and tokens; return what may be shown. Sets ``stopped`` when a stop string is complete."""
        self._held.append(_Piece(text, token_ids))
        whole = "".join(piece.text for piece in self._held)
        found = [at for stop in self._stops if (at := whole.find(stop)) >= 0]
        if found:
            self.stopped = True
            return whole[: min(found)], self._release(len(self._held))[1]
        return self._release(self._safe(whole))

    def flush(self) -> tuple[str, tuple[int, ...]]:
        """What is still held, when the sequence ends without a stop string."""
        return self._release(len(self._held))

    def _safe(self, whole: str) -> int:
        """How many held pieces end before the first place where a stop string may begin.

        Pieces without text wait for the next text: alone, they are half a character.
        """
        begin = _possible_begin(whole, self._stops)
        end = safe = 0
        for count, piece in enumerate(self._held, 1):
            end += len(piece.text)
            if end > begin:
                break
            if piece.text:
                safe = count
        return safe

    def _release(self, count: int) -> tuple[str, tuple[int, ...]]:
        released, self._held = self._held[:count], self._held[count:]
        text = "".join(piece.text for piece in released)
        return text, tuple(token for piece in released for token in piece.token_ids)


def _possible_begin(text: str, stops: Sequence[str]) -> int:
    """Where the longest suffix of ``text`` that is a proper prefix of a stop string begins; its length if none."""
    longest = max((len(stop) for stop in stops), default=0)
    for begin in range(max(0, len(text) - longest + 1), len(text)):
        if any(stop.startswith(text[begin:]) for stop in stops):
            return begin
    return len(text)
