"""From files to entries. Pure.

A FAQ row is one passage, never split. A text is split at its headings, then at paragraphs and sentences until a piece
fits the embedding model's window; each piece keeps the heading above it as its title.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import cast

from semchunk.semchunk import chunkerify

from rag.loaders import FaqEntry
from rag.markdown import sections
from rag.store import Entry

PIECE_TOKENS = 200
"""Length of a piece of text at most, in rough tokens: small embedding models read 256."""

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]{1,6}|[^\w\s]")


def entries_of_faq(collection: str, document: str, filename: str, rows: Sequence[FaqEntry]) -> list[Entry]:
    """One entry for each row; its source is ``<filename>#<key>``."""
    return [
        Entry(
            id=entry_id(collection, row.key),
            document=document,
            source=f"{filename}#{row.key}",
            title=row.question,
            text=row.answer,
            also=row.also,
            key=row.key,
            tags=row.tags,
        )
        for row in rows
    ]


def faq_of_entry(entry: Entry) -> FaqEntry:
    """The row that ``entry`` was made of."""
    return FaqEntry(entry.key, entry.title, entry.text, 0, entry.tags, entry.also)


def entries_of_text(collection: str, document: str, filename: str, text: str) -> list[Entry]:
    """The pieces of a plain or Markdown text, in its order; the source is ``<filename>#<number of the piece>``."""
    entries: list[Entry] = []
    for section in sections(text):
        for piece in _split(section.body):
            source = f"{filename}#{len(entries) + 1}"
            entries.append(Entry(_digest(collection, document, source), document, source, section.title, piece))
    return entries


def entry_id(collection: str, key: str) -> str:
    """The id of the FAQ entry ``key``: a hash, so that a key may contain anything."""
    return _digest(collection, key)


def _split(body: str) -> list[str]:
    return cast("list[str]", _chunker(body))


def _tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


_chunker = chunkerify(_tokens, chunk_size=PIECE_TOKENS, cache_maxsize=1024)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
