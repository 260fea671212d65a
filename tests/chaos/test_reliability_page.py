"""The page of promises names tests; they are there."""

from __future__ import annotations

import re

from tests.stack import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"\[(test_\w+(?:, test_\w+)*)\]\(\.\./(tests/\S+\.py)\)")


def test_every_test_that_the_page_names_exists() -> None:
    named = [(name, path) for names, path in _NAMED.findall(PAGE) for name in names.split(", ")]
    missing = [name for name, path in named if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")]
    assert len(named) > 30
    assert missing == []
