"""Plots of a run, as SVG and PNG beside its results. Without matplotlib (the extra ``bench``) there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.stats import percentile

_SHARES = [number / 500 for number in range(501)]


@dataclass(frozen=True)
class Plot:
    """Lines over one pair of axes. ``lines`` are points by the name in the legend; ``name`` ends the file's name."""

    name: str
    title: str
    x: str
    y: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    log_x: bool = False


def distribution(name: str, title: str, x: str, samples: Mapping[str, Sequence[float]]) -> Plot:
    """The cumulative distribution of each side's samples: the share of them that is no larger."""
    lines = {
        side: [(percentile(values, share), share) for share in _SHARES] for side, values in samples.items() if values
    }
    return Plot(name, title, x, "share", lines, log_x=True)


def draw(plots: Iterable[Plot], base: Path) -> list[Path]:
    """Write each plot as ``<base>-<name>.svg`` and ``.png``; returns the files."""
    wanted = list(plots)
    if not wanted:
        return []
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("No plots: matplotlib is not installed (pip install 'penstock[bench]').")
        return []
    return [file for plot in wanted for file in _drawn(Figure(figsize=(8, 4.5)), plot, base)]


def _drawn(figure: Any, plot: Plot, base: Path) -> list[Path]:
    axes = figure.subplots()
    for name, points in plot.lines.items():
        axes.plot([x for x, _ in points], [y for _, y in points], label=name, marker="o" if len(points) < 20 else None)
    axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
    if plot.log_x:
        axes.set_xscale("log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    files = [base.with_name(f"{base.name}-{plot.name}.{kind}") for kind in ("svg", "png")]
    for file in files:
        figure.savefig(file, dpi=120, bbox_inches="tight")
    return files
