"""``/chat/``: the chat page. Its files are built from ``web/`` and stand in ``access/page``; see docs/chat-page.md.

All of it is read once, at the start, and named by its content: a browser loads again what changed, and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

FOLDER = Path(__file__).parent.parent / "page"
INDEX = "index.html"
HASHED = "assets/"
"""Files in here have their content's hash in their name, and never change."""
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""An answer is data: even if one got into the page as markup, it could run nothing, load nothing and send nothing."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "vary": "accept-encoding",
}


@dataclass(frozen=True)
class File:
    """A file as it is sent. ``packed`` is its gzip form, where that is shorter to send."""

    body: bytes
    packed: bytes | None
    media_type: str
    etag: str
    cache_control: str


def install(app: FastAPI) -> None:
    """Add the page."""
    files = {
        path.relative_to(FOLDER).as_posix(): _read(path) for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES
    }

    async def file(request: Request) -> Response:
        found = files.get(request.path_params["name"] or INDEX)
        if found is None:
            raise HTTPException(404)
        return _answer(found, request)

    app.mount("/chat", Router([Route("/{name:path}", file)]))


def _read(path: Path) -> File:
    body = path.read_bytes()
    hashed = path.parent.name == HASHED.rstrip("/")
    return File(
        body=body,
        packed=None if path.suffix == ".woff2" else gzip.compress(body, mtime=0),
        media_type=MEDIA_TYPES[path.suffix],
        etag=f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        cache_control="public, max-age=31536000, immutable" if hashed else "no-cache",
    )


def _answer(file: File, request: Request) -> Response:
    headers = {**HEADERS, "etag": file.etag, "cache-control": file.cache_control}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, 200, {**headers, "content-encoding": "gzip"}, file.media_type)
    return Response(file.body, 200, headers, file.media_type)
