"""Workloads: the conversations of Azure's LLM inference trace of 2023, and a made-up one of a like shape.

Source: github.com/Azure/AzurePublicDataset, ``AzureLLMInferenceTrace_conv.csv`` (CC-BY 4.0): 19,366 requests of an
hour, each with its moment, its prompt's and its answer's tokens.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from benchmarks.processes import ROOT

CONVERSATIONS = "azure_2023_conv.csv"
_CHUNK = 500


class NoTrace(OSError):
    """The trace is not on this machine. The message says where it was looked for."""


@dataclass(frozen=True)
class Row:
    """One request: seconds since the first, tokens of its prompt and of its answer."""

    at: float
    prompt_tokens: int
    answer_tokens: int


def folder() -> Path:
    """Where traces lie: ``PENSTOCK_TRACES``, else ``shared/data/traces`` beside the checkout."""
    return Path(os.environ.get("PENSTOCK_TRACES") or ROOT.parent / "shared" / "data" / "traces")


def conversations(lying_in: Path) -> list[Row]:
    """The trace, in order.

    Raises:
        NoTrace: it is not there.
    """
    path = lying_in / CONVERSATIONS
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise NoTrace(
            f"The trace {path} is not there. PENSTOCK_TRACES names the folder with {CONVERSATIONS} in it, which is "
            "AzureLLMInferenceTrace_conv.csv of github.com/Azure/AzurePublicDataset; --synthetic does without."
        ) from error
    first = _moment(lines[0])
    return [
        Row(_moment(line) - first, max(1, int(line["ContextTokens"])), max(1, int(line["GeneratedTokens"])))
        for line in lines
    ]


def synthetic(count: int, seed: int) -> list[Row]:
    """``count`` requests of Poisson arrivals, one a second: sizes log-normal, about those of the trace."""
    draw, at, rows = random.Random(seed), 0.0, list[Row]()
    for _ in range(count):
        prompt, answer = draw.lognormvariate(6.5, 1.1), draw.lognormvariate(4.9, 0.9)
        rows.append(Row(at, 1 + min(8000, int(prompt)), 1 + min(1000, int(answer))))
        at += draw.expovariate(1.0)
    return rows


def paced(rows: Sequence[Row], per_second: float) -> list[Row]:
    """The same requests at a steady mean rate: every 500 of them take equally long, and keep their bursts.

    What goes is the slow drift of the traced hour, in which a tenant with a small share of the mean has a large one of
    the quiet minutes' capacity.
    """
    scaled: list[Row] = []
    for first in range(0, len(rows), _CHUNK):
        chunk = rows[first : first + _CHUNK]
        following = rows[first + len(chunk)].at if first + len(chunk) < len(rows) else chunk[-1].at
        stretch = (len(chunk) / per_second) / max(1e-9, following - chunk[0].at)
        began = first / per_second
        scaled += [replace(row, at=began + (row.at - chunk[0].at) * stretch) for row in chunk]
    return scaled


def _moment(line: dict[str, str]) -> float:
    # The trace writes ten millionths of a second; datetime reads millionths.
    return datetime.fromisoformat(f"{line['TIMESTAMP'][:26]}+00:00").timestamp()
