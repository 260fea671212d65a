"""The pages that are read off the code say what the code says."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import keys
from contracts.ids import RequestId

DOCS = Path(__file__).parents[3] / "docs"
PAGES: dict[str, Callable[[], str]] = runpy.run_path(str(DOCS / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python docs/generate.py"


def test_the_key_page_spells_keys_as_the_code_does() -> None:
    request_id = RequestId(f"s0_{1:032}")
    pattern = keys.replies(request_id).replace(request_id, "⟨request id⟩")
    assert f"| `replies` | `{pattern}` | stream |" in PAGES["keys.md"]()


def test_the_key_page_has_a_row_for_every_key() -> None:
    functions = [thing for thing in vars(keys).values() if getattr(thing, "__module__", "") == keys.__name__]
    documented = [one.__name__ for one in functions if ";" in one.__doc__ and "not a key" not in one.__doc__]
    assert len(documented) > 20
    assert [name for name in documented if f"| `{name}` |" not in PAGES["keys.md"]()] == []
