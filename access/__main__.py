"""``python -m access``: one access process."""

from __future__ import annotations

import sys

import uvicorn

from access.app import create_app
from access.settings import AccessSettings
from access.wire import Wire
from contracts import logs
from contracts.configuration import BadSettings, load
from rag.settings import RagSettings


def main() -> None:
    try:
        settings = load(AccessSettings)
        rag_settings = load(RagSettings)
    except BadSettings as error:
        sys.exit(f"penstock access: {error}")
    logs.configure("access", f"access:{settings.port}")
    uvicorn.run(
        create_app(settings, rag_settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=20,
        server_header=False,
        proxy_headers=False,  # whose word counts is ours to say: see addresses.py
        http=Wire,
    )


if __name__ == "__main__":
    main()
