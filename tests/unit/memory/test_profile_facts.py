"""Facts: few, short, on one line, with plain names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import CallerError
from memory.profile import MAX_CHARACTERS, MAX_FACTS, check


def test_facts_are_sorted_so_that_prompts_are_stable() -> None:
    assert list(check({"plan": "pro", "language": "de"})) == ["language", "plan"]


@pytest.mark.parametrize("name", ["", "Name", "1st", "a b", "a\nb", "a" * 33, "naïve", "a:b", "__class__"])
def test_a_name_that_is_not_plain_is_refused(name: str) -> None:
    with pytest.raises(CallerError, match="cannot name a fact"):
        check({name: "x"})


@pytest.mark.parametrize("value", ["x" * (MAX_CHARACTERS + 1), "one\ntwo"])
def test_a_value_is_one_short_line(value: str) -> None:
    with pytest.raises(CallerError) as raised:
        check({"name": value})
    assert raised.value.param == "facts.name"


def test_there_is_a_most_of_facts() -> None:
    with pytest.raises(CallerError, match=str(MAX_FACTS)):
        check({f"f{at}": "x" for at in range(MAX_FACTS + 1)})


@given(
    st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True), st.text(max_size=20), max_size=MAX_FACTS)
)
def test_what_passes_is_kept_as_it_is(facts: dict[str, str]) -> None:
    plain = {name: " ".join(value.splitlines()) for name, value in facts.items()}
    assert check(plain) == plain


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=20))
def test_no_value_can_begin_a_new_line_of_the_prompt(value: str) -> None:
    """A fact is rendered as ``name: value``; a line break in it could pretend to be another fact."""
    try:
        [kept] = check({"name": value}).values()
    except CallerError:
        return
    assert len(f"name: {kept}".splitlines()) == 1
