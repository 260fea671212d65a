"""The contenders of a comparison around the scripted engine: our whole path and its rivals, started and ready.

``direct`` is the engine behind bare ASGI, the floor. ``naive`` is the same idea in its smallest form. ``litellm`` and
``vllm-router`` are what people put before engines today, each before the same ``direct`` server, whose CPU is not
counted as theirs.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from benchmarks.chat import MODEL
from benchmarks.environments import CannotInstall, Package
from benchmarks.processes import Process, Processes, ProcessFailed
from benchmarks.servers import Fleet, Server, module, redis
from penstock import ports

# Releases 1.82.7 and 1.82.8 carried stolen-credential code; never unpin.
LITELLM = Package("litellm[proxy]==1.106.0", "litellm")
VLLM_ROUTER = Package("vllm-router==0.1.17", "vllm-router")
READY_SECONDS = 120.0
NAMES = ("direct", "naive", "litellm", "vllm-router")


@dataclass(frozen=True)
class Shape:
    """How every contender's engine is set up: requests at once, and seconds between two tokens."""

    slots: int
    step_seconds: float = 0.0
    workers: int = 1

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--slots", str(self.slots), "--step", str(self.step_seconds))


@dataclass
class Contenders:
    """Who takes part; ours first. ``left_out`` says why a rival does not."""

    fleet: Fleet
    ours: Server
    rivals: dict[str, Server] = field(default_factory=dict[str, Server])
    left_out: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def all(self) -> tuple[Server, ...]:
        return (self.ours, *self.rivals.values())


def contenders(processes: Processes, folder: Path, names: Iterable[str], shape: Shape, **access: str) -> Contenders:
    """Start our path and the rivals in ``names``; one that cannot be installed here is left out."""
    (folder / "redis").mkdir()
    fleet = Fleet(processes, folder / "redis", MODEL, **access)
    for _ in range(shape.workers):
        fleet.scripted_worker(shape.slots, shape.step_seconds)
    made = Contenders(fleet, fleet.ready())
    wanted = [name for name in NAMES if name in names]
    if "naive" in wanted:
        made.rivals["naive"] = naive(processes, folder, shape)
    if set(wanted) - {"naive"}:
        _start_around(direct(processes, shape), processes, folder, wanted, made)
    return made


def _start_around(engine: Server, processes: Processes, folder: Path, wanted: Iterable[str], made: Contenders) -> None:
    """The direct call, and what stands before it."""
    starts: dict[str, Callable[[], Server]] = {
        "direct": lambda: engine,
        "litellm": lambda: litellm(processes, folder, engine),
        "vllm-router": lambda: vllm_router(processes, engine),
    }
    for name in wanted:
        try:
            if name in starts:
                made.rivals[name] = starts[name]()
        except CannotInstall as error:
            made.left_out[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)


def direct(processes: Processes, shape: Shape) -> Server:
    """The scripted engine behind bare ASGI."""
    (port,) = ports.free(1)
    server = processes.start("direct", module("benchmarks.direct", "--port", str(port), *shape.flags))
    processes.until_ok(_url(port, "/health"), READY_SECONDS)
    return Server("direct", port, MODEL, "", (server,))


def naive(processes: Processes, folder: Path, shape: Shape) -> Server:
    """One XADD a token, one blocking XREAD a client; its Redis is set up as ours."""
    redis_port, port = ports.free(2)
    (folder / "naive").mkdir()
    environment = {"REDIS_URL": f"redis://127.0.0.1:{redis_port}/0"}
    parts = [redis(processes, "naive redis", folder / "naive", redis_port)]
    parts.append(processes.start("naive access", naive_access(port), environment))
    processes.until_ok(_url(port, "/readyz"), READY_SECONDS)
    for number in range(shape.workers):
        command = module("benchmarks.naive.worker", *shape.flags)
        parts.append(processes.start(f"naive worker {number + 1}", command, environment))
    _until_reading(environment["REDIS_URL"], shape.workers)
    return Server("naive", port, MODEL, "", tuple(parts))


def _until_reading(url: str, workers: int) -> None:
    """Wait until so many workers of the naive build read the queue.

    Raises:
        ProcessFailed: they do not.
    """
    end = time.monotonic() + READY_SECONDS
    with Redis.from_url(url) as client:
        while time.monotonic() < end:
            try:
                if len(client.xinfo_consumers("naive:requests", "workers")) >= workers:
                    return
            except RedisError:
                pass  # nobody has made the group yet
            time.sleep(0.1)
    raise ProcessFailed("The naive build's workers do not read their queue.")


def naive_access(port: int) -> list[str]:
    """The command of the naive build's HTTP side."""
    flags = ("--port", str(port), "--log-level", "warning", "--no-access-log")
    return module("uvicorn", "benchmarks.naive.access:app", "--loop", "uvloop", *flags)


@dataclass(frozen=True)
class LiteLlm:
    """LiteLLM's proxy, one process, with one key as ours has, and without database or logs."""

    command: tuple[str, ...]
    port: int
    key: str

    @classmethod
    def configured(cls, folder: Path, upstream_port: int) -> LiteLlm:
        """Before an OpenAI server on a loopback port.

        Raises:
            CannotInstall: pip cannot install it here.
        """
        program, (port,) = LITELLM.installed(), ports.free(1)
        upstream = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "none"}
        config = folder / "litellm.yaml"
        config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": upstream}]}), "utf-8")
        flags = ("--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1")
        return cls((str(program), *flags), port, f"sk-{secrets.token_hex(32)}")

    def start(self, processes: Processes) -> Process:
        quiet = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        return processes.start("litellm", self.command, quiet | {"LITELLM_MASTER_KEY": self.key})


def litellm(processes: Processes, folder: Path, engine: Server) -> Server:
    """LiteLLM's proxy before ``engine``.

    Raises:
        CannotInstall: pip cannot install it here.
    """
    proxy = LiteLlm.configured(folder, engine.port)
    server = proxy.start(processes)
    processes.until_ok(_url(proxy.port, "/health/liveliness"), READY_SECONDS)
    return Server("litellm", proxy.port, MODEL, proxy.key, (server,))


def vllm_router(processes: Processes, engine: Server) -> Server:
    """vLLM's router, compiled, as a reverse proxy before one engine.

    Raises:
        CannotInstall: pip cannot install it here.
    """
    program, (port, metrics) = VLLM_ROUTER.installed(), ports.free(2)
    flags = ("--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(metrics), "--log-level", "error")
    upstream = ("--worker-urls", f"http://127.0.0.1:{engine.port}", "--policy", "round_robin")
    server = processes.start("vllm-router", [str(program), *flags, *upstream])
    processes.until_ok(_url(port, "/health"), READY_SECONDS)
    return Server("vllm-router", port, MODEL, "", (server,))


def _url(port: int, path: str) -> str:
    return f"http://127.0.0.1:{port}{path}"
