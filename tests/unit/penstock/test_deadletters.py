"""What ``penstock deadletters list`` shows."""

from __future__ import annotations

from rich.console import Console

from penstock.deadletters import table

LETTER = {
    "id": "s0_" + "4" * 32,
    "at": 0.0,
    "tenant": "acme",
    "model": "m",
    "deaths": 3,
    "why": "engines died while running it",
    "error": "",
}


def test_an_id_is_shown_whole_to_be_copied() -> None:
    console = Console(width=100, record=True)
    console.print(table([LETTER]))
    said = console.export_text()
    assert str(LETTER["id"]) in said
    assert "1970-01-01" in said
