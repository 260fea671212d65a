"""Which pause a kill caused."""

from __future__ import annotations

import pytest

from benchmarks.crash import Crash, longest_pause
from benchmarks.load import Leg


def test_the_longest_pause_about_the_kill_is_the_one() -> None:
    pause = longest_pause([0.8, 0.9, 1.0, 3.5, 3.6], killed=1.05)
    assert pause is not None
    assert (pause.seconds, pause.ended) == (pytest.approx(2.5), pytest.approx(2.45))


def test_a_token_that_was_on_its_way_does_not_hide_the_pause() -> None:
    pause = longest_pause([0.9, 1.1, 3.5], killed=1.0)
    assert pause is not None
    assert pause.ended == pytest.approx(2.5)


def test_an_earlier_pause_is_not_the_kills() -> None:
    pause = longest_pause([0.0, 5.0, 5.1, 5.2, 5.3], killed=5.15)
    assert pause is not None
    assert pause.seconds == pytest.approx(0.1)


def test_a_stream_without_another_token_has_no_pause() -> None:
    assert longest_pause([0.8, 0.9], killed=1.0) is None


def test_a_stream_that_kept_its_pace_was_not_struck() -> None:
    pauses = [longest_pause(moments, 1.0) for moments in ([0.9, 1.1, 1.3], [0.9, 4.0, 4.1])]
    crash = Crash(Leg("ours", 5.0, (), {}), tuple(pause for pause in pauses if pause is not None))
    assert crash.struck(pace=0.1) == [pytest.approx(3.0)]
