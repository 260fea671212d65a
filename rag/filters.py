"""Filters for Milvus: a constant template and checked values, never text that a caller wrote.

Milvus binds values into a template on its side, but Milvus Lite ignores them, and a control that holds on one server
only is none. So values are bound here, on every server alike, and may contain nothing that a filter could read as
syntax: ids of ours, tenants, digests. What users write (FAQ keys, file names) reaches a filter only as a hash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.errors import NotFound

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_PLACE = re.compile(r"\{(\w+)\}")


def bind(template: str, **values: str | Sequence[str]) -> str:
    """``bind('id in {ids}', ids=['a'])`` is ``id in ["a"]``.

    Raises:
        NotFound: a value is no id that we could have given out, so nothing can be stored under it.
    """
    return _PLACE.sub(lambda place: _literal(values[place[1]]), template)


def _literal(value: str | Sequence[str]) -> str:
    if isinstance(value, str):
        return _quoted(value)
    return "[" + ", ".join(_quoted(one) for one in value) + "]"


def _quoted(value: str) -> str:
    if not _SAFE.fullmatch(value):
        raise NotFound("no such id")
    return f'"{value}"'
