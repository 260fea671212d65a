"""Rivals that are Python packages, each in a virtual environment of its own, made when it is first needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT

FOLDER = ROOT / "benchmarks" / "results" / "environments"


class CannotInstall(Exception):
    """The rival cannot be had here. The message holds pip's last words."""


@dataclass(frozen=True)
class Package:
    """What pip installs, pinned, and the program to run."""

    requirement: str
    program: str

    @property
    def version(self) -> str:
        return self.requirement.rpartition("==")[2]

    def installed(self) -> Path:
        """The program; installs it first where it is not there yet, which takes a minute or two.

        Raises:
            CannotInstall: pip failed.
        """
        environment = FOLDER / f"{self.program}-{self.version}"
        program, stamp = environment / "bin" / self.program, environment / ".installed"
        if not stamp.is_file():
            print(f"Installing {self.requirement} for the comparison, in an environment of its own", flush=True)
            _run([sys.executable, "-m", "venv", "--clear", str(environment)])
            _run([str(environment / "bin" / "python"), "-m", "pip", "install", "-q", self.requirement])
            stamp.touch()
        return program


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise CannotInstall("pip failed: " + " ".join(errors)[-300:])
