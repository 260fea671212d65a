"""Lists as OpenAI pages them: newest first, ``limit`` at a time, the next page ``after`` the last id of this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query

from contracts.errors import CallerError


@dataclass(frozen=True)
class Page:
    """Which part of a list is wanted."""

    limit: int
    order: Literal["asc", "desc"]
    after: str | None

    def of(self, newest_first: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The page as a list object.

        Raises:
            CallerError: ``after`` names nothing in the list.
        """
        rows = list(newest_first if self.order == "desc" else reversed(newest_first))
        if self.after is not None:
            rows = rows[_place(rows, self.after) + 1 :]
        return listing(rows[: self.limit], has_more=len(rows) > self.limit)


def listing(rows: Sequence[dict[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    """A list object of ``rows``, each with its ``id``."""
    return {
        "object": "list",
        "data": list(rows),
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": has_more,
    }


def page_asked(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: Annotated[str | None, Query(max_length=128)] = None,
) -> Page:
    return Page(limit, order, after)


AskedPage = Annotated[Page, Depends(page_asked)]


def _place(rows: Sequence[dict[str, Any]], item_id: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == item_id:
            return place
    raise CallerError(
        f"'after' names '{item_id[:80]}', which is not in the list.", code="invalid_cursor", param="after"
    )
