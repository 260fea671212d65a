"""What the commands show: tables, checks, settings."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from penstock import bench, config, doctor, status
from penstock.answers import Answer, footnotes
from penstock.doctor import Check
from penstock.errors import CommandError


def test_a_queue_is_shown_with_all_an_operator_asks_for() -> None:
    queue = {
        "model": "penstock-faq",
        "waiting": 3,
        "depth": {"interactive": 2, "standard": 0, "batch": 5},
        "running": 4,
        "workers": {"ready": 2, "draining": 1},
        "slots": 32,
        "free_slots": 28,
        "tokens_per_second": 1234.5,
    }
    shown = _rendered(status.queue_table([queue]))
    assert [cell for cell in ("penstock-faq", " 3 ", " 7 ", " 4 ", "28/32", "1234") if cell not in shown] == []


def test_a_worker_is_shown_with_its_state() -> None:
    worker = {
        "id": "worker-1",
        "model": "m",
        "state": "draining",
        "slots": 16,
        "free_slots": 3,
        "tokens_per_second": 9.6,
    }
    shown = _rendered(status.worker_table([worker]))
    assert [cell for cell in ("worker-1", "draining", "3/16", "10") if cell not in shown] == []


def test_citations_follow_the_answer_a_line_each() -> None:
    assert footnotes(Answer("Yes.", ("Returns", "Refunds"), None)) == "\nCited: Returns\nCited: Refunds"


def test_an_answer_without_knowledge_says_why() -> None:
    assert footnotes(Answer("Yes.", (), "timeout")) == "\nNo knowledge was used: timeout"


def test_a_failed_check_fails_the_examination() -> None:
    checks = [Check("port", "ok", "free"), Check("redis", "fail", "gone")]
    assert doctor.has_failed(checks)
    assert not doctor.has_failed([Check("redis", "warn", "old")])
    assert json.loads(doctor.as_json(checks))["ok"] is False


@pytest.mark.parametrize(
    ("found", "floor", "older"), [("8.1.0", "8.1", False), ("8.0.9", "8.1", True), ("2.13.0+cpu", "2.13", False)]
)
def test_versions_compare_by_their_numbers(found: str, floor: str, *, older: bool) -> None:
    assert (doctor.numbers(found) < doctor.numbers(floor)) is older


def test_a_setting_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LIMITER__ROOM", "77")
    shown = config.show(origin=True).splitlines()
    assert "  room: 77  # environment: PENSTOCK_LIMITER__ROOM" in shown
    assert any(line.endswith("# default") for line in shown)


def test_a_setting_of_the_file_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "penstock.yaml"
    file.write_text("limiter:\n  room: 78\n", encoding="utf-8")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(file))
    assert f"  room: 78  # file: {file}" in config.show(origin=True).splitlines()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:canary-1@127.0.0.1:6379/0")
    monkeypatch.setenv("PENSTOCK_ACCESS__PEPPER", "canary-2")
    assert "canary" not in config.show(origin=True)


def test_a_wrong_setting_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LIMITER__ROOOM", "77")
    with pytest.raises(CommandError, match="did you mean PENSTOCK_LIMITER__ROOM"):
        config.show(origin=False)


def test_a_benchmark_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("def main() -> int:\n    return 0\n", encoding="utf-8")
    (tmp_path / "stats.py").write_text("def main_figure() -> int:\n    return 0\n", encoding="utf-8")
    with pytest.raises(CommandError, match=r"no benchmark 'speed'\. There are: engine\."):
        bench.run("speed", [], tmp_path)


def test_a_benchmark_gets_its_own_arguments_and_gives_its_own_status(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "__init__.py").touch()  # else a package of this name elsewhere on the path would be taken
    (folder / "engine.py").write_text(
        "import sys\n\n\ndef main() -> int:\n    return len(sys.argv[1:])\n\n\nsys.exit(main())\n", encoding="utf-8"
    )
    assert bench.run("engine", ["--rounds", "5"], folder) == 2


def _rendered(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()
