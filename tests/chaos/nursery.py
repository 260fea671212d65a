"""``python -m tests.chaos.nursery MODULE``: forks a process of ours whenever it is told to.

Each child is an operating-system process of its own that runs ``MODULE.__main__.main()``; only the imports were done
before it was born. That turns a restart from seconds of CPU into a few hundredths, and thousands of kills into a
matter of minutes.

Orders: ``{"argv", "environment", "log"}`` answers the pid; ``{"reap": pid}`` answers the exit code of one that ended.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1


def serve(main: Callable[[], int | None]) -> None:
    """Take orders until there are none."""
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page that the children share
    while line := sys.stdin.readline():
        order = json.loads(line)
        answer = _reaped(order["reap"]) if "reap" in order else _born(main, order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _born(main: Callable[[], int | None], order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _settle_down(order)
        code = main() or 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 2
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(code)


def _settle_down(order: dict[str, Any]) -> None:
    """A session, a log, arguments and an environment of its own. It does not outlive the nursery."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, target)
    os.environ.update(order["environment"])
    sys.argv[1:] = order["argv"]


def _reaped(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    serve(importlib.import_module(f"{sys.argv[1]}.__main__").main)
