"""What is compared: our whole path, and vLLM's own server. Each is started, ready, and known by how to ask it."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Process, Processes
from penstock import embedded_redis, ports

PRESET = "bench"
READY_SECONDS = 300.0
_UNBOUNDED = "1000000000"


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


def penstock(processes: Processes, folder: Path, model: Model) -> Server:
    """Our whole path: Redis with its append-only file in ``folder``, limiter, one worker on vLLM, access.

    The limiter decides about every request as always; only its bounds are lifted, since a benchmark is one tenant.
    """
    redis_port, limiter_port, access_port = ports.free(3)
    key = f"sk-bench0000_{secrets.token_urlsafe(32)}"
    common = {
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "MILVUS_URI": "http://127.0.0.1:9",
        "LOG_FORMAT": "json",
    }
    limits = {f"PENSTOCK_LIMITER__{name}": _UNBOUNDED for name in ("TOKENS_PER_MINUTE", "REQUESTS_PER_MINUTE")}
    preset = {PRESET: {"model": model.name, "instructions": ""}}
    redis = processes.start("redis", embedded_redis.command(embedded_redis.bundled_binary(), folder, redis_port))
    limiter = processes.start(
        "limiter", _module("limiter"), common | limits | {"PENSTOCK_LIMITER__HEALTH_PORT": str(limiter_port)}
    )
    flags = ("--engine", "vllm", "--model", str(model.folder), "--served-name", model.name, "--slots", str(model.slots))
    worker = processes.start("worker", _module("inference_worker", *flags), common | model.environment)
    access = processes.start(
        "access",
        _module("access"),
        common
        | {
            "PENSTOCK_ACCESS__PORT": str(access_port),
            "PENSTOCK_ACCESS__BOOTSTRAP_KEY": key,
            "PENSTOCK_ACCESS__PRESETS": json.dumps(preset),
        },
    )
    processes.until_ok(f"http://127.0.0.1:{access_port}/readyz", READY_SECONDS)
    return Server("penstock", access_port, PRESET, key, (access, limiter, redis, worker))


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
    command = _module(
        "vllm.entrypoints.openai.api_server", *(part for flag in flags.items() for part in flag), *switches
    )
    server = processes.start("vllm", command, model.environment)
    processes.until_ok(f"http://127.0.0.1:{port}/health", READY_SECONDS)
    return Server("vllm", port, model.name, "", (server,))


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]
