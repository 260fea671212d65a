"""Where a start is, told to a person or to a pipe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from penstock.progress import Lines, Spinners, suited_to


def test_a_pipe_gets_a_line_when_a_step_begins_and_one_with_its_seconds_when_it_is_done() -> None:
    out = io.StringIO()
    with suited_to(out).step("redis"):
        pass
    assert re.fullmatch(r"redis …\nredis: done in \d+\.\d s\n", out.getvalue())


def test_a_step_that_fails_is_never_called_done() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match="broken"), Lines(out).step("redis"):
        raise ValueError("broken")
    assert "done" not in out.getvalue()


def test_a_terminal_gets_a_line_per_step_also_when_steps_overlap() -> None:
    out = io.StringIO()
    spinners = Spinners(Console(file=out, force_terminal=True, width=80))
    with spinners.step("redis"), spinners.step("milvus"):
        pass
    assert "redis" in out.getvalue()
    assert "milvus" in out.getvalue()


def test_what_is_said_between_steps_stands_as_it_is() -> None:
    out = io.StringIO()
    spinners = Spinners(Console(file=out, force_terminal=True, no_color=True, highlight=False, width=20))
    spinners.say("API key: sk-[bold]0123456789012345678901234567890123456789")
    assert "sk-[bold]0123456789012345678901234567890123456789" in out.getvalue()
