"""``/docs``: the API by Swagger UI, from files of our own, so it works without a network. ``/`` leads there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent.parent / "static"
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
"""Nothing from elsewhere is loaded. Swagger UI writes its own styles."""

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                name: {"type": "string", "nullable": name in ("param", "code")}
                for name in ("message", "type", "param", "code")
            },
        }
    },
}


def install(app: FastAPI) -> None:
    """Add the page, its files, and a description that says what really happens: one kind of error, a bearer key."""

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "docs.html", headers={"content-security-policy": POLICY})

    async def front(_: Request) -> Response:
        return RedirectResponse("/chat/", 307)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
            app.openapi_schema = as_it_is(described)
        return app.openapi_schema

    app.add_route("/docs", page, include_in_schema=False)
    app.add_route("/", front, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.openapi = openapi


def as_it_is(described: dict[str, Any]) -> dict[str, Any]:
    """The framework's description with our one shape of errors in place of its 422, and the key that routes take."""
    components = described.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = _ERROR
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"key": []}]
    wrong = {
        "description": "Wrong",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in described["paths"].values():
        for operation in operations.values():
            if operation["responses"].pop("422", None):
                operation["responses"]["400"] = wrong
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return described


_DESCRIPTION = (
    "An OpenAI client changes `base_url` and key. A session is a *conversation*, a knowledge collection is a "
    "*vector store*, retrieval is the `file_search` tool. Put your key under *Authorize* to try things here."
)
