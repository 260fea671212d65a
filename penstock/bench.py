"""``penstock bench NAME``: run one of the benchmarks of the checkout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from penstock.errors import CommandError

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def run(name: str, arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Run a benchmark with its own arguments; returns its exit status.

    Raises:
        CommandError: there is no such benchmark.
    """
    names = sorted(file.stem for file in folder.glob("[a-z]*.py"))
    if name not in names:
        listed = f"There are: {', '.join(names)}." if names else "They come with a checkout, not with the package."
        raise CommandError(f"There is no benchmark '{name}'. {listed}")
    return subprocess.run(
        [sys.executable, "-m", f"{folder.name}.{name}", *arguments], cwd=folder.parent, check=False
    ).returncode
