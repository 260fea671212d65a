"""Workloads, as written and as made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import traces
from benchmarks.traces import CONVERSATIONS, NoTrace, Row


def test_a_trace_is_read_as_its_publisher_writes_it(tmp_path: Path) -> None:
    lines = ("2023-11-16 18:15:46.6805900,374,44", "2023-11-16 18:15:50.9951690,396,109")
    (tmp_path / CONVERSATIONS).write_text("\r\n".join(("TIMESTAMP,ContextTokens,GeneratedTokens", *lines)))
    first, second = traces.conversations(tmp_path)
    assert first == Row(0.0, 374, 44)
    assert (second.at, second.prompt_tokens, second.answer_tokens) == (pytest.approx(4.314579, abs=1e-5), 396, 109)


def test_a_trace_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(NoTrace, match="PENSTOCK_TRACES"):
        traces.conversations(tmp_path)


def test_the_folder_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TRACES", str(tmp_path))
    assert traces.folder() == tmp_path


def test_pacing_keeps_the_mean_rate_the_same_all_along() -> None:
    slow_then_fast = [Row(float(number), 1, 1) for number in range(500)]
    slow_then_fast += [Row(500 + number / 10, 1, 1) for number in range(500)]
    paced = traces.paced(slow_then_fast, per_second=5.0)
    assert [row.at for row in paced] == sorted(row.at for row in paced)
    assert paced[500].at == pytest.approx(100)
    assert paced[-1].at == pytest.approx(200)


def test_made_up_requests_are_the_same_for_a_seed() -> None:
    assert traces.synthetic(50, 1) == traces.synthetic(50, 1)
    assert traces.synthetic(50, 1) != traces.synthetic(50, 2)
