"""The page's files: built from the sources as they are, small, and sent so that a browser keeps what stays the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.stack import ROOT, Stack

WEB = ROOT / "web"
PAGE = ROOT / "access" / "page"
FILES = ("index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts")
FOLDERS = ("plugins", "public", "src")
LARGEST_BYTES = 600_000


def test_the_committed_page_is_the_build_of_the_sources() -> None:
    """Else: ``npm ci && npm run build`` in web/. The same hash as in web/plugins/built_from.ts."""
    paths = [*FILES, *(path.relative_to(WEB).as_posix() for name in FOLDERS for path in _files(WEB / name))]
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path}\0".encode() + (WEB / path).read_bytes() + b"\0")
    assert (PAGE / "BUILT_FROM").read_text().strip() == digest.hexdigest()


def test_the_page_is_small_and_holds_no_source_maps() -> None:
    assert sum(path.stat().st_size for path in _files(PAGE)) < LARGEST_BYTES
    assert [path.name for path in _files(PAGE) if path.suffix == ".map"] == []


def test_no_lock_file_names_where_packages_come_from() -> None:
    assert "resolved" not in (WEB / "package-lock.json").read_text(encoding="utf-8")


@pytest.fixture
def http(fleet: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{fleet.access_ports[1]}") as made:
        yield made


def test_the_page_may_load_and_send_nothing_but_to_its_own_server(http: httpx2.Client) -> None:
    policy = http.get("/chat/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_hashed_files_are_kept_for_ever_and_the_page_itself_is_asked_for_again(http: httpx2.Client) -> None:
    page = http.get("/chat/")
    assert page.headers["cache-control"] == "no-cache"
    again = http.get("/chat/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    script = re.search(r"assets/index-[\w-]+\.js", page.text)
    assert script is not None
    kept = http.get(f"/chat/{script[0]}")
    assert "immutable" in kept.headers["cache-control"]
    assert kept.headers["content-encoding"] == "gzip"
    assert kept.content == (PAGE / script[0]).read_bytes()


@pytest.mark.parametrize("path", ["nothing.js", "../routes/page.py", "%2e%2e/routes/page.py", "assets", "BUILT_FROM"])
def test_nothing_else_is_served(http: httpx2.Client, path: str) -> None:
    assert http.get(f"/chat/{path}").status_code == 404


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
