"""Penstock as real processes, for tests: started on free loopback ports, watched, and stopped by their own handles."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, OpenAI

from penstock import embedded_redis
from tests.servers import free_port, redis_server, wait_until

API_KEY = "sk-story0000_the-key-that-every-test-uses-0001"
ROOT = Path(__file__).parent.parent


@dataclass
class Child:
    """One process of ours. ``log`` is everything it said."""

    name: str
    process: subprocess.Popen[bytes]
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its structured log lines."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    def kill(self) -> None:
        """As a machine dies: SIGKILL, to the engine's own processes too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.log[-3000:]}") from None


@dataclass
class Stack:
    """A small fleet around one Redis. ``environment`` goes to every process."""

    redis_url: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    access_ports: list[int] = field(default_factory=list)
    clients: list[OpenAI] = field(default_factory=list)

    def limiter(self, **settings: str) -> Child:
        return self.start("limiter", [], settings)

    def worker(self, *flags: str, **settings: str) -> Child:
        """A worker; by default one of the scripted engine that serves ``scripted``."""
        chosen = flags or ("--engine", "scripted", "--served-name", "scripted")
        return self.start("inference_worker", chosen, settings)

    def access(self, port: int | None = None, **settings: str) -> int:
        """An access process, on a free port or in the place of one that has ended; returns its port once it answers."""
        port = port or free_port()
        defaults = {
            "PENSTOCK_ACCESS__PORT": str(port),
            "PENSTOCK_ACCESS__BOOTSTRAP_KEY": API_KEY,
            "PENSTOCK_ACCESS__PEPPER": "pepper",
        }
        child = self.start("access", [], defaults | settings)
        wait_until(lambda: self._answers(child, port, "/livez"), f"access on {port} answering\n{child.log[-2000:]}", 30)
        if port not in self.access_ports:
            self.access_ports.append(port)
        return port

    def start(self, module: str, flags: Sequence[str], settings: dict[str, str]) -> Child:
        name = f"{module}-{sum(child.name.startswith(module) for child in self.children)}"
        log_path = self.folder / f"{name}.log"
        environment = {
            **os.environ,
            "REDIS_URL": self.redis_url,
            "LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
            **self.environment,
            **settings,
        }
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *flags],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(name, process, log_path)
        self.children.append(child)
        return child

    def child(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def ready(self, seconds: float = 60, port: int | None = None) -> None:
        """Wait until a question would be answered."""
        port = port or self.access_ports[0]
        said: list[str] = []

        def answered() -> bool:
            status, body = get(port, "/readyz")
            said[:] = [body]
            return status == 200

        try:
            wait_until(answered, "the stack becoming ready", seconds)
        except AssertionError:
            logs = "\n".join(f"--- {child.name}\n{child.log[-1500:]}" for child in self.children)
            raise AssertionError(f"not ready: {said}\n{logs}") from None

    def client(self, port: int | None = None, key: str = API_KEY) -> OpenAI:
        """An OpenAI client of one access node, closed with the stack."""
        made = OpenAI(base_url=self.url(port), api_key=key, max_retries=0, timeout=60)
        self.clients.append(made)
        return made

    def async_client(self, port: int | None = None, key: str = API_KEY) -> AsyncOpenAI:
        """The same for asyncio; close it where it was used."""
        return AsyncOpenAI(base_url=self.url(port), api_key=key, max_retries=0, timeout=60)

    def url(self, port: int | None = None) -> str:
        return f"http://127.0.0.1:{port or self.access_ports[0]}/v1"

    def stop(self) -> None:
        """End every process, the ones that others depend on last."""
        for client in self.clients:
            client.close()
        order = ("access", "inference_worker", "limiter")
        for role in order:
            for child in self.children:
                if child.name.startswith(role):
                    child.stop()

    def _answers(self, child: Child, port: int, path: str) -> bool:
        assert child.process.poll() is None, f"{child.name} ended:\n{child.log[-3000:]}"
        return get(port, path)[0] == 200


@contextmanager
def stack(redis_url: str, folder: Path, **environment: str) -> Generator[Stack]:
    """An empty stack; whatever was started in it is stopped at the end."""
    made = Stack(redis_url, folder, environment)
    try:
        yield made
    finally:
        for child in made.children:
            if child.process.poll() is None and child.name.startswith("access"):
                child.process.terminate()
        made.stop()


@contextmanager
def scripted_pair(folder: Path, presets: Mapping[str, Mapping[str, object]], *, abandon_after: str) -> Generator[Stack]:
    """Two access processes, a limiter and a worker of the scripted engine on a Redis of their own, ready; no Milvus.

    A question says how it is answered: ``tokens=40 pause=0.05`` takes two seconds. A lease is one second, and a client
    has ``abandon_after`` seconds to come back.
    """
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(
            redis_url,
            folder,
            MILVUS_URI="http://127.0.0.1:9",
            PENSTOCK_ACCESS__PRESETS=json.dumps(presets),
            PENSTOCK_ACCESS__ABANDON_AFTER=abandon_after,
            PENSTOCK_WORKER__LEASE_SECONDS="1",
        ) as made,
    ):
        made.limiter()
        made.worker()
        made.access()
        made.access()
        made.ready()
        yield made


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET; status 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError):
        return 0, ""
