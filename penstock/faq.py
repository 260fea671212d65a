"""Loading FAQ files into a vector store, through the public API like any other client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openai import OpenAI, OpenAIError

from penstock.answers import translated
from penstock.errors import CommandError

DEFAULT_STORE = "faq"
TYPES = (".csv", ".jsonl", ".md")


@dataclass(frozen=True)
class Loaded:
    """One file in one store."""

    store: str
    store_id: str
    file_id: str
    passages: int


def load(client: OpenAI, file: Path, store: str = DEFAULT_STORE) -> Loaded:
    """Put every entry of ``file`` into the vector store named ``store``, which is made if there is none.

    Raises:
        CommandError: the file cannot be read or a row of it is wrong (each is named), or the server refused.
    """
    if not file.is_file():
        raise CommandError(f"There is no file {file}. Give one of {', '.join(TYPES)}.")
    try:
        store_id = _store(client, store)
        uploaded = client.files.create(file=(file.name, file.read_bytes()), purpose="assistants")
        added = client.vector_stores.files.create(vector_store_id=store_id, file_id=uploaded.id)
    except OpenAIError as error:
        raise translated(error) from error
    if added.status == "failed":
        why = added.last_error.message if added.last_error else "the server did not say why"
        raise CommandError(f"{file.name} was not loaded: {why}")
    return Loaded(store, store_id, uploaded.id, getattr(added, "passages", 0))


def _store(client: OpenAI, name: str) -> str:
    for store in client.vector_stores.list(limit=100):
        if store.name == name:
            return store.id
    return client.vector_stores.create(name=name).id
