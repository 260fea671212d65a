"""What is compared: our whole path, and vLLM's own server. Each is started, ready, and known by how to ask it.

The smaller rivals, which answer with the scripted engine, stand in ``rivals``.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Process, Processes
from penstock import embedded_redis, ports

PRESET = "bench"
READY_SECONDS = 300.0
_UNBOUNDED = "1000000000"
_LIMITS = ("TOKENS_PER_MINUTE", "REQUESTS_PER_MINUTE", "CONCURRENCY", "ROOM", "ROOM_PER_TENANT")


@dataclass(frozen=True)
class Model:
    """The weights and the engine settings that both sides share. ``slots`` is vLLM's ``max_num_seqs``."""

    folder: Path
    slots: int
    cache_gb: int = 1

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def environment(self) -> dict[str, str]:
        return {
            "VLLM_CPU_KVCACHE_SPACE": str(self.cache_gb),
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "HF_HUB_OFFLINE": "1",
        }


@dataclass(frozen=True)
class Server:
    """One side: where it listens, the name and key it is asked with, and the processes that are its cost."""

    name: str
    port: int
    model: str
    key: str
    processes: tuple[Process, ...]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds so far, by process."""
        return {name: used for process in self.processes for name, used in process.cpu_seconds().items()}


class Fleet:
    """Our services around one Redis with its append-only file in ``folder``; a benchmark adds the workers it wants.

    The limiter decides about every request as always; only its bounds are lifted, since a benchmark is one tenant.
    """

    def __init__(self, processes: Processes, folder: Path, model: str, **access_settings: str):
        self.redis_port, self._limiter_port, self._access_port = ports.free(3)
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}/0"
        self.key = f"sk-bench0000_{secrets.token_urlsafe(32)}"
        self.common = {"REDIS_URL": self.redis_url, "MILVUS_URI": "http://127.0.0.1:9", "LOG_FORMAT": "json"}
        self.workers: list[Process] = []
        self._started = 0
        self._processes = processes
        self._preset = {PRESET: {"model": model, "instructions": ""}}
        self.redis = redis(processes, "redis", folder, self.redis_port)
        self.limiter = self.start_limiter()
        self.access = self.start_access(**access_settings)

    def start_limiter(self) -> Process:
        limits = {f"PENSTOCK_LIMITER__{name}": _UNBOUNDED for name in _LIMITS}
        health = {"PENSTOCK_LIMITER__HEALTH_PORT": str(self._limiter_port)}
        return self._processes.start("limiter", module("limiter"), self.common | limits | health)

    def start_access(self, **settings: str) -> Process:
        own = {
            "PENSTOCK_ACCESS__PORT": str(self._access_port),
            "PENSTOCK_ACCESS__BOOTSTRAP_KEY": self.key,
            "PENSTOCK_ACCESS__PRESETS": json.dumps(self._preset),
            "PENSTOCK_ACCESS__QUEUE_BOUND": "100000",
        }
        return self._processes.start("access", module("access"), self.common | own | settings)

    def start_worker(
        self, *flags: str, program: str = "inference_worker", environment: Mapping[str, str] | None = None
    ) -> Process:
        """One more worker; the first is ``worker``, further ones are numbered."""
        self._started += 1
        name = f"worker {self._started}" if self._started > 1 else "worker"
        worker = self._processes.start(name, module(program, *flags), self.common | dict(environment or {}))
        self.workers.append(worker)
        return worker

    def scripted_worker(self, slots: int, step_seconds: float = 0.0, *flags: str) -> Process:
        """A worker of the scripted engine; a token each step, as fast as it can be with 0."""
        shape = ("--slots", str(slots), "--scripted-step-seconds", str(step_seconds))
        return self.start_worker("--engine", "scripted", "--served-name", "scripted", *shape, *flags)

    def ready(self) -> Server:
        """Wait until a question would be answered; then the fleet is one side of a comparison."""
        self._processes.until_ok(self.url("/readyz"), READY_SECONDS)
        parts = (self.access, self.limiter, self.redis, *self.workers)
        return Server("penstock", self._access_port, PRESET, self.key, parts)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._access_port}{path}"

    @property
    def limiter_url(self) -> str:
        return f"http://127.0.0.1:{self._limiter_port}/readyz"


def penstock(processes: Processes, folder: Path, model: Model) -> Server:
    """Our whole path: Redis, limiter, one worker on vLLM, access."""
    fleet = Fleet(processes, folder, model.name)
    flags = ("--engine", "vllm", "--model", str(model.folder), "--served-name", model.name, "--slots", str(model.slots))
    fleet.start_worker(*flags, environment=model.environment)
    return fleet.ready()


def vllm(processes: Processes, model: Model) -> Server:
    """vLLM's own OpenAI server with the engine arguments of our worker, and without logs that we do not write."""
    (port,) = ports.free(1)
    flags = {
        "--model": str(model.folder),
        "--served-model-name": model.name,
        "--host": "127.0.0.1",
        "--port": str(port),
        "--max-num-seqs": str(model.slots),
        "--uvicorn-log-level": "warning",
    }
    switches = ("--enable-prefix-caching", "--enforce-eager", "--disable-log-stats", "--disable-uvicorn-access-log")
    command = module(
        "vllm.entrypoints.openai.api_server", *(part for flag in flags.items() for part in flag), *switches
    )
    server = processes.start("vllm", command, model.environment)
    processes.until_ok(f"http://127.0.0.1:{port}/health", READY_SECONDS)
    return Server("vllm", port, model.name, "", (server,))


def redis(processes: Processes, name: str, folder: Path, port: int) -> Process:
    """A server of the kind that ``penstock up`` launches, with the settings it gives."""
    return processes.start(name, embedded_redis.command(embedded_redis.bundled_binary(), folder, port))


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module with this Python."""
    return [sys.executable, "-m", name, *arguments]
