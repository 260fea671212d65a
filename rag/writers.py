"""FAQ entries as files that load again to the same entries. Pure; ``rag.loaders`` reads what is written here."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable

import msgspec

from contracts.errors import CallerError
from rag.loaders import COLUMNS, FaqEntry

_LISTS = {"also": "|", "tags": ","}


def write_faq(suffix: str, entries: Iterable[FaqEntry]) -> str:
    """The text of a file that ends in ``suffix``, its entries in the order of their keys, so that two exports of the
    same knowledge are equal.

    Raises:
        CallerError: nothing of ours is written with that ending, or an entry holds what a CSV cell cannot.
    """
    write = _WRITERS.get(suffix.lower())
    if write is None:
        raise CallerError(f"An FAQ is written as {' or '.join(_WRITERS)}, not as '{suffix}'.", param="file")
    return write(sorted(entries, key=lambda entry: entry.key))


def _jsonl(entries: Iterable[FaqEntry]) -> str:
    return "".join(msgspec.json.encode(_fields(entry)).decode() + "\n" for entry in entries)


def _csv(entries: Iterable[FaqEntry]) -> str:
    text = io.StringIO(newline="")
    rows = csv.DictWriter(text, list[str](COLUMNS), lineterminator="\r\n")
    rows.writeheader()
    rows.writerows(_cells(entry) for entry in entries)
    return text.getvalue()


def _fields(entry: FaqEntry) -> dict[str, str | tuple[str, ...]]:
    fields: dict[str, str | tuple[str, ...]] = {
        "key": entry.key,
        "question": entry.question,
        "answer": entry.answer,
        "also": entry.also,
        "tags": entry.tags,
    }
    return {name: value for name, value in fields.items() if value}


def _cells(entry: FaqEntry) -> dict[str, str]:
    lists = {"also": entry.also, "tags": entry.tags}
    cells = {"key": entry.key, "question": entry.question, "answer": entry.answer}
    return cells | {name: _cell(entry.key, name, parts) for name, parts in lists.items()}


def _cell(key: str, column: str, parts: Iterable[str]) -> str:
    separator = _LISTS[column]
    if any(separator in part for part in parts):
        message = f"Entry '{key}': a text in '{column}' contains '{separator}', which CSV cannot hold. Write .jsonl."
        raise CallerError(message, param="file")
    return separator.join(parts)


_WRITERS: dict[str, Callable[[Iterable[FaqEntry]], str]] = {".jsonl": _jsonl, ".csv": _csv}
