"""What is exported loads again as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import CallerError
from rag.loaders import FaqEntry, load_faq
from rag.writers import write_faq

LINES = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXT = st.text(LINES, min_size=1, max_size=40).map(str.strip).filter(bool)
PART = TEXT.filter(lambda text: not set(text) & set("|,"))
ENTRY = st.builds(
    FaqEntry,
    key=TEXT,
    question=TEXT,
    answer=TEXT,
    line=st.just(0),
    tags=st.lists(PART, max_size=3).map(tuple),
    also=st.lists(PART, max_size=3).map(tuple),
)


@given(st.sampled_from([".csv", ".jsonl"]), st.lists(ENTRY, min_size=1, max_size=4, unique_by=lambda entry: entry.key))
def test_an_export_loads_to_the_same_entries(suffix: str, entries: list[FaqEntry]) -> None:
    again = load_faq(f"faq{suffix}", write_faq(suffix, entries).encode())
    assert [replace(entry, line=0) for entry in again] == sorted(entries, key=lambda entry: entry.key)


def test_the_order_of_the_entries_does_not_change_an_export() -> None:
    first, second = FaqEntry("a", "q", "a", 1), FaqEntry("b", "q", "a", 2)
    assert write_faq(".csv", [second, first]) == write_faq(".csv", [first, second])


@pytest.mark.parametrize(("column", "separator"), [("also", "|"), ("tags", ",")])
def test_what_a_csv_cell_cannot_hold_is_named_with_its_entry(column: str, separator: str) -> None:
    entry = replace(FaqEntry("open", "q", "a", 1), **{column: (f"this{separator}that",)})
    with pytest.raises(CallerError, match=rf"Entry 'open': a text in '{column}' contains"):
        write_faq(".csv", [entry])


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(CallerError, match=r"\.jsonl or \.csv"):
        write_faq(".xlsx", [])
