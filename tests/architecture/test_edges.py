"""The edges between the parts hold, and the checks that say so can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.rules import RULES, violations

ROOT = Path(__file__).parents[2]

BREAKS = {
    "vllm": ("inference_worker/worker.py", "def load():\n    from vllm.v1.engine import async_llm\n"),
    "pymilvus": ("access/app.py", "import pymilvus.client as milvus\n"),
    "fastapi": ("limiter/health.py", "from fastapi import FastAPI\n"),
    "torch": ("access/tokens.py", "import torch\n"),
    "keys": ("access/tail.py", "def key(name): return f'penstock:{name}'\n"),
    "clients": ("limiter/ledger.py", "from redis import asyncio\nclient = asyncio.Redis.from_url('redis://x')\n"),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_holds(name: str) -> None:
    assert violations(ROOT, RULES[name]) == [], RULES[name].sentence


@pytest.mark.parametrize("name", RULES)
def test_every_rule_catches_who_breaks_it(name: str, tmp_path: Path) -> None:
    file, source = BREAKS[name]
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source, encoding="utf-8")
    assert len(violations(tmp_path, RULES[name])) == 1


def test_a_rule_lets_its_own_file_be(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts/keys.py").write_text("PREFIX = 'penstock:'\n", encoding="utf-8")
    assert violations(tmp_path, RULES["keys"]) == []


def test_the_import_contracts_catch_a_service_that_imports_another(tmp_path: Path) -> None:
    for package in ("access", "contracts", "inference_worker", "limiter", "memory", "penstock", "rag"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    assert _lint_imports(tmp_path).returncode == 0
    (tmp_path / "access" / "gate.py").write_text("import limiter\n", encoding="utf-8")
    told = _lint_imports(tmp_path)
    assert told.returncode == 1
    assert "access.gate -> limiter" in told.stdout


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = str(Path(sys.executable).with_name("lint-imports"))
    return subprocess.run([tool, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)
