"""Whether this machine has the memory that a start needs, by figures measured on a running system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from penstock.errors import StartError

NEEDS_MB: Mapping[str, int] = {
    "launcher": 80,
    "redis": 20,
    "milvus": 180,
    "limiter": 55,
    "access": 200,
    "embedder": 700,
    "vllm": 2700,
    "openai": 120,
    "scripted": 60,
}
"""Megabytes that one part of each kind takes, all its processes together, pages that they share counted once.

A vLLM worker is three processes of 500 MB and a cache of 1,024, with the bundled model.
"""

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def needed_mb(engine: str, *, workers: int, access: int, own_redis: bool, own_milvus: bool) -> int:
    """Megabytes that a system of this shape takes."""
    fixed = NEEDS_MB["launcher"] + NEEDS_MB["limiter"] + NEEDS_MB["embedder"]
    servers = NEEDS_MB["redis"] * own_redis + NEEDS_MB["milvus"] * own_milvus
    return fixed + servers + workers * NEEDS_MB[engine] + access * NEEDS_MB["access"]


def available_mb() -> int | None:
    """Megabytes that programs can still get, in this container if it is one; ``None`` where nobody says."""
    known = [megabytes for megabytes in (of_machine(), of_container()) if megabytes is not None]
    return min(known) if known else None


def check(needed: int, available: int | None) -> None:
    """Refuse a start that would end in the kernel's killing one of the parts.

    Raises:
        StartError: less memory is available than needed.
    """
    if available is not None and available < needed:
        raise StartError(
            f"This needs {needed} MB of free memory and {available} MB are free. Stop other programs, use fewer "
            "--workers, or let another machine run the model: --engine openai --upstream-url …"
        )


def of_machine(meminfo: Path = _MEMINFO) -> int | None:
    """What the kernel would still give, in megabytes, caches given back."""
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return None


def of_container(cgroup: Path = _CGROUP) -> int | None:
    """What a memory limit leaves. The cache of files counts as used there but is given back when needed."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        numbers = dict(line.split() for line in (cgroup / "memory.stat").read_text(encoding="ascii").splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    return max(0, int(limit) - used + int(numbers.get("inactive_file", 0))) // 2**20
