"""What the chat's tests have in common: a small fleet of real processes around the scripted engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.chat.api import Api, opened
from penstock.target import Target
from tests.stack import API_KEY, Stack, scripted_pair

PRESETS = {"plain": {"model": "scripted"}}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes and the scripted engine. A client has two seconds to come back."""
    with scripted_pair(tmp_path_factory.mktemp("pair"), PRESETS, abandon_after="2") as made:
        yield made


@pytest.fixture
def url(pair: Stack) -> str:
    return f"http://127.0.0.1:{pair.access_ports[0]}"


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    """The same Penstock, as the chat asks it."""
    with opened(Target(url, API_KEY)) as made:
        yield made


@pytest.fixture
def admin(pair: Stack) -> Callable[..., Any]:
    """Requests with the key that has every scope: method, path, body."""
    client = pair.client()

    def send(method: str, path: str, body: Any = None) -> Any:
        more = {} if body is None else {"body": body}
        return getattr(client, method)(f"/..{path}", cast_to=object, **more)

    return send


def chat(*arguments: str, said: str | bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """``penstock chat`` in a pipe, with ``said`` on its standard input."""
    return penstock("chat", *arguments, said=said, **environment)


def penstock(*arguments: str, said: str | bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Any command in a pipe."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK", "REDIS", "MILVUS"))}
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments],
        input=said.encode() if isinstance(said, str) else said,
        capture_output=True,
        check=False,
        env=bare | {"PENSTOCK_API_KEY": API_KEY} | environment,
        timeout=100,
    )
