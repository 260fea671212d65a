"""``penstock faq``: loading, editing and exporting the entries of a vector store, over the public API.

A load is fit for a scheduler: it asks first what the file would change, and when that is nothing, nothing is sent to be
embedded and nothing is kept. Every load that changed something is a version; its file can be loaded again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from contracts.errors import CallerError
from penstock.errors import CommandError
from penstock.target import Target
from rag import FaqEntry, load_faq
from rag.writers import write_faq

DEFAULT_STORE = "faq"
TYPES = (".csv", ".jsonl", ".md", ".markdown")
MOST_BYTES = 16 << 20
"""What an access process takes unless its settings say otherwise: PENSTOCK_ACCESS__MAX_UPLOAD_BYTES."""

Advance = Callable[[int, int], None]
"""Called with how many entries are embedded, and of how many."""


class TryAgain(CommandError):
    """Nothing is wrong with what was asked: nobody answers, or there is no room. A scheduler runs it again later."""

    status = 75  # EX_TEMPFAIL of sysexits.h


@dataclass(frozen=True)
class Plan:
    """What a load does: the keys of what it adds, changes and deletes."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    unchanged: int = 0

    @property
    def changes_anything(self) -> bool:
        return bool(self.added or self.changed or self.deleted)

    def __str__(self) -> str:
        counts = {"added": self.added, "changed": self.changed, "deleted": self.deleted}
        return ", ".join([*(f"{len(keys)} {word}" for word, keys in counts.items()), f"{self.unchanged} unchanged"])


@dataclass(frozen=True)
class Outcome:
    """One file in one store, loaded or removed. ``written``: the plan was carried out, and not only made."""

    store: str
    file: str
    written: bool
    plan: Plan

    @property
    def data(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class Store:
    """A tenant's vector store, known by its name; it is made by the first thing that is put into it."""

    def __init__(self, http: httpx2.Client, name: str):
        self._http = http
        self.name = name

    def load(self, file: Path, advance: Advance, *, dry_run: bool = False) -> Outcome:
        """Make the entries of ``file`` the content of the FAQ of its name, or with ``dry_run`` say what that would do.

        Raises:
            CommandError: the file cannot be read, or rows of it are wrong (each is named), or the server refused.
        """
        content = _read(file)
        if dry_run and self._find() is None:
            entries = _parsed(file.name, content)
            return Outcome(self.name, file.name, written=False, plan=Plan(added=[entry.key for entry in entries]))
        with self._uploaded(file.name, content) as upload:
            return self._attach(upload, file.name, advance, dry_run=dry_run)

    def remove(self, name: str, *, dry_run: bool = False) -> Outcome:
        """Take out the FAQ or text of this name with all its entries, or with ``dry_run`` say which those are.

        Raises:
            CommandError: no such file was loaded.
        """
        files = self._files()
        if name not in files:
            known = ", ".join(sorted(files)) or "nothing"
            raise CommandError(f"No file {name} is in the vector store '{self.name}'. There is: {known}.")
        path = f"{self._path()}/files/{files[name]}"
        plan = _plan_in(self._ask("DELETE", f"{path}?dry_run=true"))
        if not dry_run:
            self._ask("DELETE", path)
        return Outcome(self.name, name, written=not dry_run, plan=plan)

    def rollback(self, version: str, advance: Advance, *, dry_run: bool = False) -> Outcome:
        """Load the file of an earlier version again.

        Raises:
            CommandError: there is no such version, or it is a text.
        """
        known = {one["file_id"]: one for one in self.history()}
        if version not in known:
            raise CommandError(f"'{self.name}' has no version {version}. 'penstock faq history' lists them.")
        name = known[version]["filename"]
        if known[version]["kind"] != "faq":
            again = f'POST {self._path()}/files {{"file_id": "{version}", "kind": "text"}}'
            raise CommandError(f"{name} is a text and no FAQ. Load it again with {again}.")
        return self._attach(_Upload(version, is_kept=True), name, advance, dry_run=dry_run)

    def history(self) -> list[dict[str, Any]]:
        """The loads that changed something, newest first, as ``GET /v1/vector_stores/{id}/versions`` gives them."""
        return self._ask("GET", f"{self._path()}/versions")["data"]

    def put(self, entry: dict[str, Any]) -> bool:
        """Add an entry or change the one with its key; whether it is new. The next question sees it."""
        return bool(self._ask("POST", f"{self._path(make=True)}/entries", json=entry)["created"])

    def delete(self, key: str) -> None:
        """Take out the entry with this key; the next question does not see it."""
        self._ask("DELETE", f"{self._path()}/entries?key={quote(key, safe='')}")

    def entries(self) -> list[FaqEntry]:
        """Every entry."""
        with _translated():
            answer = self._http.get(f"{self._path()}/entries")
        return load_faq("entries.jsonl", _checked(answer).content) if answer.content else []

    def export(self, file: Path) -> int:
        """Write every entry to ``file``, CSV or JSON Lines by its ending; returns how many. It loads again as it is."""
        entries = self.entries()
        try:
            text = write_faq(file.suffix, entries)
        except CallerError as error:
            raise CommandError(error.message) from error
        partial = file.with_name(f".{file.name}.partial")
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(file)
        return len(entries)

    def reindex(self, advance: Advance) -> int:
        """Embed and index every entry again; returns how many."""
        return int(self._follow(f"{self._path()}/reindex", {}, advance)["entries"])

    def search(self, question: str, history: Sequence[str] = ()) -> dict[str, Any]:
        """What a question finds after those of ``history``, as ``POST /v1/vector_stores/{id}/search`` gives it."""
        asked = {"query": question, "history": list(history), "max_num_results": 50}
        return self._ask("POST", f"{self._path()}/search", json=asked)

    def _attach(self, upload: _Upload, name: str, advance: Advance, *, dry_run: bool) -> Outcome:
        path = f"{self._path(make=True)}/files"
        asked = {"file_id": upload.id, "kind": "faq"}
        plan = _plan_in(self._ask("POST", path, json={**asked, "dry_run": True}))
        if dry_run or not plan.changes_anything:
            return Outcome(self.name, name, written=False, plan=plan)
        upload.is_kept = True
        self._follow(path, {**asked, "stream": True}, advance)
        return Outcome(self.name, name, written=True, plan=plan)

    @contextlib.contextmanager
    def _uploaded(self, name: str, content: bytes) -> Generator[_Upload]:
        """An upload that is gone afterwards unless it became a version."""
        files, form = {"file": (name, content)}, {"purpose": "assistants"}
        upload = _Upload(self._ask("POST", "/v1/files", files=files, data=form)["id"])
        try:
            yield upload
        finally:
            if not upload.is_kept:
                self._ask("DELETE", f"/v1/files/{upload.id}")

    def _path(self, *, make: bool = False) -> str:
        store_id = self._find()
        if store_id is None and not make:
            raise CommandError(f"There is no vector store '{self.name}'. 'penstock faq load' makes it.")
        if store_id is None:
            store_id = self._ask("POST", "/v1/vector_stores", json={"name": self.name})["id"]
        return f"/v1/vector_stores/{store_id}"

    def _find(self) -> str | None:
        """The oldest of its name, which is the one that presets mean."""
        return {one["name"]: one["id"] for one in self._listed("/v1/vector_stores")}.get(self.name)

    def _files(self) -> dict[str, str]:
        """The ids of the files in the store, by their names."""
        return {one["filename"]: one["id"] for one in self._listed(f"{self._path()}/files")}

    def _listed(self, path: str) -> Iterator[dict[str, Any]]:
        """All rows of a list, newest first."""
        after = ""
        while True:
            page = self._ask("GET", f"{path}?limit=100{after}")
            yield from page["data"]
            if not page["has_more"]:
                return
            after = f"&after={page['last_id']}"

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        with _translated():
            answer = self._http.request(method, path, **body)
        return _checked(answer).json()

    def _follow(self, path: str, body: dict[str, Any], advance: Advance) -> dict[str, Any]:
        """What the last of a stream's events says."""
        last: dict[str, Any] = {}
        with _translated(), self._http.stream("POST", path, json=body) as answer:
            if answer.is_error:
                answer.read()
            for last in _events(_checked(answer)):
                if last.get("object") == "vector_store.progress":
                    advance(last["done"], last["of"])
        if "error" in last:
            raise TryAgain(last["error"]["message"])
        if last.get("object") in (None, "vector_store.progress"):
            raise TryAgain("The load broke off. What is written stays; run it again for the rest.")
        return last


@dataclass
class _Upload:
    id: str
    is_kept: bool = False


@contextlib.contextmanager
def opened(at: Target, name: str = DEFAULT_STORE) -> Generator[Store]:
    """The store of this name at a running Penstock."""
    headers = {"Authorization": f"Bearer {at.key}"}
    timeout = httpx2.Timeout(30, read=120)
    with httpx2.Client(base_url=at.url, headers=headers, timeout=timeout) as http:
        yield Store(http, name)


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise CommandError(f"There is no file {file}. Give one of {', '.join(TYPES)}.")
    if file.suffix.lower() not in TYPES:
        raise CommandError(f"{file.name} is no FAQ file by its name. Give one of {', '.join(TYPES)}.")
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise CommandError(
            f"{file.name} has {size} bytes, and at most {MOST_BYTES} are taken. Split it into files of other names: "
            "each is loaded by itself into the same store."
        )
    return file.read_bytes()


def _plan_in(answer: dict[str, Any]) -> Plan:
    return Plan(**{name: answer[name] for name in ("added", "changed", "deleted", "unchanged")})


def _parsed(name: str, content: bytes) -> list[FaqEntry]:
    try:
        return load_faq(name, content)
    except CallerError as error:
        raise CommandError(error.message) from error


def _events(answer: httpx2.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _checked(answer: httpx2.Response) -> httpx2.Response:
    if not answer.is_error:
        return answer
    try:
        message = str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"The server answered with status {answer.status_code}."
    raise TryAgain(message) if answer.status_code == 429 or answer.is_server_error else CommandError(message)


@contextlib.contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        message = "Nothing answers there. Start Penstock with 'penstock up', or say where it is with --url."
        raise TryAgain(message) from error
