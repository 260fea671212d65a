"""Whether there is the memory that a start needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import headroom
from penstock.errors import StartError

ALL_OURS = {"own_redis": True, "own_milvus": True}


def test_too_little_memory_says_how_much_and_what_to_do() -> None:
    with pytest.raises(StartError, match=r"needs 3000 MB .* 2999 MB are free.*--engine openai"):
        headroom.check(3000, 2999)


@pytest.mark.parametrize("available", [3000, None])
def test_enough_memory_or_an_unknown_amount_is_no_reason_to_refuse(available: int | None) -> None:
    assert headroom.check(3000, available) is None


def test_every_worker_and_every_access_process_counts() -> None:
    one = headroom.needed_mb("vllm", workers=1, access=1, **ALL_OURS)
    more = headroom.needed_mb("vllm", workers=3, access=2, **ALL_OURS)
    assert more - one == 2 * headroom.NEEDS_MB["vllm"] + headroom.NEEDS_MB["access"]


def test_servers_that_run_elsewhere_need_nothing_here() -> None:
    ours = headroom.needed_mb("scripted", workers=1, access=1, **ALL_OURS)
    theirs = headroom.needed_mb("scripted", workers=1, access=1, own_redis=False, own_milvus=False)
    assert ours - theirs == headroom.NEEDS_MB["redis"] + headroom.NEEDS_MB["milvus"]


def test_the_machine_says_what_is_available(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(
        "MemTotal:       8000000 kB\nMemFree:        100 kB\nMemAvailable:   4194304 kB\n", encoding="ascii"
    )
    assert headroom.of_machine(meminfo) == 4096


def test_a_container_leaves_less_than_its_machine(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text(str(4096 * 2**20), encoding="ascii")
    (tmp_path / "memory.current").write_text(str(3000 * 2**20), encoding="ascii")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {1000 * 2**20}\n", encoding="ascii")
    assert headroom.of_container(tmp_path) == 2096


def test_a_container_without_a_limit_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("5\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 5\n", encoding="ascii")
    assert headroom.of_container(tmp_path) is None


def test_a_system_that_says_nothing_is_not_asked_again(tmp_path: Path) -> None:
    assert headroom.of_machine(tmp_path / "meminfo") is None
    assert headroom.of_container(tmp_path) is None
