"""How long a broken line is tried again."""

from __future__ import annotations

from penstock.chat.asking import LONGEST_PAUSE_SECONDS, Line


class Clock:
    """Time that passes only when one waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pauses(line: Line, clock: Clock, most: int = 100) -> list[float]:
    """The pauses until it is given up, each of them waited for."""
    waited: list[float] = []
    while len(waited) < most and (pause := line.pause()) is not None:
        clock.now += pause
        waited.append(pause)
    return waited


def test_pauses_double_up_to_a_bound_and_end_when_it_was_broken_too_long() -> None:
    clock = Clock()
    waited = pauses(Line(30, clock, lambda: 1.0), clock)
    assert waited[:5] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert max(waited) == LONGEST_PAUSE_SECONDS
    assert 30 <= sum(waited) < 30 + LONGEST_PAUSE_SECONDS


def test_a_word_in_between_begins_the_count_anew() -> None:
    clock = Clock()
    line = Line(30, clock, lambda: 1.0)
    assert pauses(line, clock)
    assert line.is_broken
    line.works()
    assert not line.is_broken
    assert line.pause() == 0.25


def test_a_line_without_a_bound_is_tried_for_ever() -> None:
    clock = Clock()
    assert len(pauses(Line(float("inf"), clock, lambda: 0.0), clock, most=5000)) == 5000
