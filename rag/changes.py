"""What loading a file would do to a collection. Pure: a load carries it out, a dry run shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.store import Entry, Stamp


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries a load added, changed, deleted, and left as they were."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is different now."""
        return bool(self.added or self.changed or self.deleted)


@dataclass(frozen=True, slots=True)
class Changes:
    """The way from what a collection holds to what a document is to be. ``deleted`` is what the document had and has
    no more, by id; ``unchanged`` is not written again."""

    added: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    deleted: Mapping[str, Stamp]
    unchanged: int

    @property
    def counts(self) -> Counts:
        return Counts(len(self.added), len(self.changed), len(self.deleted), self.unchanged)


def compare(document: str, entries: Sequence[Entry], known: Mapping[str, Stamp]) -> Changes:
    """What it takes to make ``entries`` the content of ``document`` in a collection that holds ``known``.

    An entry that another document had before becomes this one's.
    """
    wanted = {entry.id: entry for entry in entries}
    added = tuple(entry for id, entry in wanted.items() if id not in known)
    changed = tuple(entry for id, entry in wanted.items() if id in known and not _is_same(entry, known[id]))
    deleted = {id: stamp for id, stamp in known.items() if stamp.document == document and id not in wanted}
    return Changes(added, changed, deleted, len(wanted) - len(added) - len(changed))


def _is_same(entry: Entry, stamp: Stamp) -> bool:
    return (stamp.document, stamp.digest) == (entry.document, entry.digest)
