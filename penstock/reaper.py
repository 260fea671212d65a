"""Ends what a killed launcher leaves behind: ``python reaper.py RUN_FILE LAUNCHER``, as a child of that process.

A launcher that ends by itself stops its children; one that is killed -9 cannot. This process notices that its parent
has changed, reads the list of children from ``run.json`` and ends each one's whole process group, because an engine
has processes of its own. It imports nothing but the standard library: it must be small, and up before the others.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

GLANCE_SECONDS = 0.2
GRACE_SECONDS = 1.5


def main() -> int:
    launcher = int(sys.argv[2])  # not getppid(): it may have been killed before this process was up
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # those are for the launcher
    while os.getppid() == launcher:
        time.sleep(GLANCE_SECONDS)
    end_all(Path(sys.argv[1]))
    return 0


def end_all(run_file: Path) -> None:
    """Ask every listed process group to end, insist after a grace, and remove the list."""
    groups = [child["pid"] for child in json.loads(run_file.read_text(encoding="utf-8"))["children"]]
    groups = [group for group in groups if group != os.getpid()]
    alive = [group for group in groups if _signal(group, signal.SIGTERM)]
    end = time.monotonic() + GRACE_SECONDS
    while alive and time.monotonic() < end:
        time.sleep(0.05)
        alive = [group for group in alive if _signal(group, 0)]
    for group in alive:
        _signal(group, signal.SIGKILL)
    run_file.unlink(missing_ok=True)


def _signal(group: int, number: int) -> bool:
    """Whether there was such a group to send the signal to."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
