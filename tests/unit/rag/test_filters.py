"""Nothing that a caller writes becomes syntax of a filter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import NotFound
from rag.filters import bind


def test_values_stand_quoted_in_the_template() -> None:
    assert bind("tenant == {tenant} and id in {ids}", tenant="acme", ids=["a", "b.c"]) == (
        'tenant == "acme" and id in ["a", "b.c"]'
    )


@pytest.mark.parametrize("value", ['a" or "" == "', "a b", "", "{tenant}", "a\\", "é", "-a", "a\n", "x" * 129])
def test_a_value_that_is_no_id_exists_nowhere(value: str) -> None:
    with pytest.raises(NotFound):
        bind("id == {id}", id=value)


@given(st.text())
def test_a_bound_value_never_leaves_its_quotes(value: str) -> None:
    try:
        bound = bind("id == {id}", id=value)
    except NotFound:
        return
    assert bound == f'id == "{value}"'
    assert bound.count('"') == 2
