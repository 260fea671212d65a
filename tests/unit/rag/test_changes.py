"""What a load would change."""

from __future__ import annotations

from dataclasses import replace

from rag.changes import Counts, compare
from rag.store import Entry, Stamp

OPEN = Entry("1", "doc", "faq.csv#open", "When?", "At nine.", key="open")
PARK = Entry("2", "doc", "faq.csv#park", "Where?", "Behind.", key="park")


def stamp(entry: Entry, document: str = "doc") -> Stamp:
    return Stamp(document, entry.source, entry.digest, entry.key, entry.size_bytes)


def test_a_file_that_is_loaded_already_changes_nothing() -> None:
    changes = compare("doc", [OPEN, PARK], {"1": stamp(OPEN), "2": stamp(PARK)})
    assert changes.counts == Counts(unchanged=2)
    assert not changes.counts.any


def test_new_changed_and_missing_entries_are_told_apart() -> None:
    edited = replace(OPEN, text="At ten.")
    new = replace(PARK, id="3", key="lift")
    changes = compare("doc", [edited, new], {"1": stamp(OPEN), "2": stamp(PARK)})
    assert (changes.added, changes.changed) == ((new,), (edited,))
    assert [gone.key for gone in changes.deleted.values()] == ["park"]


def test_a_change_of_its_tags_alone_changes_an_entry() -> None:
    tagged = replace(OPEN, tags=("hours",))
    assert compare("doc", [tagged], {"1": stamp(OPEN)}).changed == (tagged,)


def test_what_another_file_had_becomes_this_ones() -> None:
    assert compare("doc", [OPEN], {"1": stamp(OPEN, "other")}).changed == (OPEN,)


def test_what_other_files_have_is_not_deleted() -> None:
    assert compare("doc", [OPEN], {"1": stamp(OPEN), "2": stamp(PARK, "other")}).deleted == {}
