"""``penstock bench NAME``: run one of the benchmarks of the checkout."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import CommandError

_STATUS = re.compile(r"^def main\(.*\) -> int:$", re.MULTILINE)
FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def run(name: str, arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Run a benchmark with its own arguments; returns its exit status.

    Raises:
        CommandError: there is no such benchmark.
    """
    # Its parts lie beside a benchmark; what has an exit status is one.
    files = (file for file in folder.glob("[a-z]*.py") if _STATUS.search(file.read_text(encoding="utf-8")))
    names = sorted(file.stem for file in files)
    if name not in names:
        listed = f"There are: {', '.join(names)}." if names else "They come with a checkout, not with the package."
        raise CommandError(f"There is no benchmark '{name}'. {listed}")
    return subprocess.run(
        [sys.executable, "-m", f"{folder.name}.{name}", *arguments], cwd=folder.parent, check=False
    ).returncode
