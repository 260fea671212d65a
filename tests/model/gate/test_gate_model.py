"""The gate's protocol, in every order in which its steps and faults can happen within the bounds of the scenarios."""

from __future__ import annotations

import sys

import pytest

from tests.model.gate.model import Model
from tests.model.gate.mutants import MUTANTS, Mutant
from tests.model.gate.scenarios import SCENARIOS, explore
from tests.model.gate.store import Functions


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_order_of_steps_breaks_a_promise(name: str) -> None:
    explored = explore(SCENARIOS[name], Model(Functions()))
    sys.stdout.write(f"{name}: {explored.states} states, {explored.steps} steps\n")
    assert explored.violation is None, str(explored.violation)
    assert explored.states >= SCENARIOS[name].states, "the exploration stopped short"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.wrong.__name__)
def test_a_step_made_wrong_is_found(mutant: Mutant) -> None:
    found = explore(SCENARIOS[mutant.scenario], mutant.model()).violation
    assert found is not None, "nothing noticed"
    assert found.promise == mutant.breaks, str(found)
