"""From files to entries."""

from __future__ import annotations

from rag.ingest import PIECE_TOKENS, entries_of_faq, entries_of_text, entry_id
from rag.loaders import FaqEntry

LONG = "This sentence is one of very many in a long chapter about nothing. " * 200


def test_a_faq_row_is_one_entry_however_long() -> None:
    entries = entries_of_faq("vs_0", "file-1", "faq.csv", [FaqEntry("k", "Why?", LONG, 2)])
    assert [(one.title, one.text, one.source) for one in entries] == [("Why?", LONG, "faq.csv#k")]


def test_a_long_text_is_split_into_pieces_that_keep_their_heading() -> None:
    entries = entries_of_text("vs_0", "file-1", "book.md", f"intro\n# One\n{LONG}\n# Two\nshort")
    assert entries[0].title == ""
    assert [one.title for one in entries[1:]] == ["One"] * (len(entries) - 2) + ["Two"]
    assert len(entries) > 10
    assert all(len(one.text.split()) <= PIECE_TOKENS for one in entries)


def test_a_text_without_blanks_is_split_too() -> None:
    entries = entries_of_text("vs_0", "file-1", "book.txt", "水" * 1000)
    assert "".join(one.text for one in entries) == "水" * 1000
    assert len(entries) >= 5


def test_ids_are_stable_and_differ_by_collection() -> None:
    assert entry_id("vs_0", "k") == entry_id("vs_0", "k") != entry_id("vs_1", "k")


def test_the_digest_changes_with_the_text_alone() -> None:
    [first] = entries_of_faq("vs_0", "file-1", "faq.csv", [FaqEntry("k", "Why?", "So.", 2)])
    [moved] = entries_of_faq("vs_0", "file-1", "faq.csv", [FaqEntry("k", "Why?", "So.", 9)])
    [edited] = entries_of_faq("vs_0", "file-1", "faq.csv", [FaqEntry("k", "Why?", "Thus.", 2)])
    assert first.digest == moved.digest != edited.digest
