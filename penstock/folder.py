"""The data folder of one machine: its secrets, logs and data, and the list of what runs. One launcher at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from penstock.errors import StartError

DEFAULT = Path(".penstock")
_LOCK_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class Running:
    """One child process as ``run.json`` lists it. ``port`` is where it listens, if it does."""

    name: str
    pid: int
    port: int | None


class DataFolder:
    """``.penstock/`` or what ``--data`` names. Only its owner may look inside."""

    def __init__(self, path: Path):
        self.path = path.expanduser().absolute()
        self.run_file = self.path / "run.json"

    def create(self) -> None:
        """Make the folder and its parts.

        Raises:
            StartError: the path cannot be a folder of ours.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in ("logs", "redis", "milvus"):
                (self.path / part).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reason = error.strerror
            raise StartError(f"Cannot keep data in {self.path}: {reason}. Name another folder with --data.") from error

    @contextlib.contextmanager
    def locked(self) -> Generator[int]:
        """Hold the folder; yields the lock's descriptor.

        Children inherit it: as long as one of them lives, also without its launcher, nobody else writes here.

        Raises:
            StartError: another launcher, or what it left running, holds the folder.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def api_key(self) -> str:
        """The key of this machine's owner: ``PENSTOCK_API_KEY``, else one made at the first start and kept."""
        return os.environ.get("PENSTOCK_API_KEY") or self._secret(
            "api_key", lambda: f"sk-{secrets.token_hex(6)}_{secrets.token_urlsafe(32)}"
        )

    def stored_api_key(self) -> str | None:
        """The kept key, if there is one."""
        file = self.path / "api_key"
        return file.read_text(encoding="utf-8").strip() if file.is_file() else None

    def pepper(self) -> str:
        """The secret under which access hashes API keys; machines that share a Redis share it by the setting."""
        return os.environ.get("PENSTOCK_ACCESS__PEPPER") or self._secret("pepper", lambda: secrets.token_urlsafe(32))

    def log(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def list_running(self, children: list[Running]) -> None:
        """Rewrite ``run.json`` in one step."""
        fresh = self.run_file.with_suffix(".new")
        fresh.write_text(json.dumps({"children": [asdict(child) for child in children]}, indent=2) + "\n", "utf-8")
        fresh.replace(self.run_file)

    def running(self) -> list[Running]:
        """What ``run.json`` lists; nothing when nothing runs."""
        try:
            listed = json.loads(self.run_file.read_text(encoding="utf-8"))["children"]
        except (OSError, ValueError, KeyError):
            return []
        return [Running(child["name"], child["pid"], child["port"]) for child in listed]

    def _acquire(self, descriptor: int) -> None:
        # What a killed launcher left is being ended by the reaper: a moment later the folder is free.
        end = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StartError(
                        f"Penstock already runs on {self.path}. Stop it, or start a second one with --data and --port."
                    ) from None
                time.sleep(0.1)
            else:
                return

    def _secret(self, name: str, make: Callable[[], str]) -> str:
        file = self.path / name
        if not file.is_file() or not file.read_text(encoding="utf-8").strip():
            fresh = self.path / f"{name}.new"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(make() + "\n")
            fresh.replace(file)  # whole or not at all, whenever the machine stops
        return file.read_text(encoding="utf-8").strip()
