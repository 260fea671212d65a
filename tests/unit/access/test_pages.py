"""Pages of a list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.routes.pages import Page
from contracts.errors import CallerError

ROWS: list[dict[str, Any]] = [{"id": f"id-{at}"} for at in range(5, 0, -1)]


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page["data"]]


def test_the_newest_come_first() -> None:
    assert ids(Page(2, "desc", None).of(ROWS)) == ["id-5", "id-4"]


def test_the_order_can_be_turned() -> None:
    assert ids(Page(2, "asc", None).of(ROWS)) == ["id-1", "id-2"]


def test_an_empty_list_has_no_ends() -> None:
    page = Page(2, "desc", None).of([])
    assert (page["first_id"], page["last_id"], page["has_more"]) == (None, None, False)


def test_a_cursor_that_is_not_there_is_refused() -> None:
    with pytest.raises(CallerError) as raised:
        Page(2, "desc", "id-9").of(ROWS)
    assert raised.value.param == "after"


@given(st.integers(min_value=0, max_value=30), st.integers(min_value=1, max_value=7), st.sampled_from(["asc", "desc"]))
def test_turning_the_pages_shows_everything_once(count: int, limit: int, order: Any) -> None:
    rows = [{"id": str(at)} for at in range(count)]
    seen: list[str] = []
    page = Page(limit, order, None).of(rows)
    seen += ids(page)
    while page["has_more"]:
        page = Page(limit, order, page["last_id"]).of(rows)
        seen += ids(page)
    assert seen == [row["id"] for row in (rows if order == "desc" else reversed(rows))]
