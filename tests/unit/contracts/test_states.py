"""The life of a request."""

from __future__ import annotations

import pytest

from contracts.states import TERMINAL, TRANSITIONS, State, diagram, may


@pytest.mark.parametrize("end", sorted(TERMINAL))
def test_nothing_follows_an_end(end: State) -> None:
    assert not any(may(end, after) for after in TERMINAL | {"waiting", "queued", "running"})


def test_every_state_is_reached_and_leads_to_an_end() -> None:
    reached: set[State | None] = {None}
    for _ in TRANSITIONS:
        reached.update(after for before in list(reached) for after in TRANSITIONS[before])
    assert reached == set(TRANSITIONS)
    assert all(TERMINAL & set(after) for before, after in TRANSITIONS.items() if before and after)


def test_only_a_running_request_can_be_done() -> None:
    assert [before for before in TRANSITIONS if may(before, "done")] == ["running"]


def test_a_request_passes_from_worker_to_worker_and_never_back_into_the_queue() -> None:
    assert may("running", "running")
    assert not may("running", "queued")


def test_the_diagram_shows_every_state() -> None:
    drawn = diagram()
    assert all(state in drawn for state in TRANSITIONS if state)
