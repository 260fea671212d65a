"""The delivery protocol, in every order in which its steps and faults can happen within the bounds of the scenarios."""

from __future__ import annotations

import pytest

from tests.model.check import Check, Mutant
from tests.model.model import Model
from tests.model.mutants import MUTANTS
from tests.model.scenarios import SCENARIOS, explore
from tests.model.store import Functions

CHECK = Check(Model, Functions, SCENARIOS, explore)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_order_of_steps_breaks_a_promise(name: str) -> None:
    CHECK.every_promise_is_kept(name)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.wrong.__name__)
def test_a_step_made_wrong_is_found(mutant: Mutant) -> None:
    CHECK.is_found(mutant)
