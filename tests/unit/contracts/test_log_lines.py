"""Logs: only fields that were named, so nothing secret gets in by accident."""

from __future__ import annotations

import json
import subprocess
import sys

from contracts import logs

CANARY = "canary-7c1f"


def logged(statement: str) -> str:
    """What a process writes that configures its logs and runs ``statement``."""
    program = f"from contracts import logs\nlogs.configure('test', 'test-1')\nlog = logs.get()\n{statement}\n"
    environment = {"LOG_FORMAT": "json", "PYTHONPATH": ":".join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    return ran.stderr


def test_a_line_is_a_sentence_with_a_stable_event() -> None:
    line = json.loads(logged("log.info('request.ended', sentence='It ended.', request='s0_1')"))
    assert (line["event"], line["sentence"], line["service"], line["process"]) == (
        "request.ended",
        "It ended.",
        "test",
        "test-1",
    )


def test_a_field_that_nobody_listed_is_dropped() -> None:
    assert CANARY not in logged(
        f"log.info('x', prompt='{CANARY}', api_key='{CANARY}', text='{CANARY}', body='{CANARY}')"
    )


def test_the_text_of_an_exception_is_not_repeated() -> None:
    written = logged(f"try:\n    raise ValueError('{CANARY}')\nexcept ValueError:\n    log.error('x', exc_info=True)")
    assert CANARY not in written
    assert json.loads(written)["exception"] == "ValueError at __main__:5"


def test_no_listed_field_carries_what_was_said() -> None:
    assert not logs.FIELDS & {
        "prompt",
        "question",
        "answer",
        "text",
        "messages",
        "key",
        "authorization",
        "body",
        "content",
    }


def test_the_level_can_be_chosen() -> None:
    assert logged("log.debug('quiet')") == ""
