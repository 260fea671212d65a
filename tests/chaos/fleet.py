"""The processes under test: limiters, workers, access nodes, each born in a nursery, and again when it has ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.helper import Helper
from tests.chaos.waiting import until
from tests.servers import free_port
from tests.stack import API_KEY

LEASE_SECONDS = 1.0
GRACE_SECONDS = 2.0
MODEL = "scripted"
ROLES = ("limiter", "inference_worker", "access")
READY_EVENT = {"limiter": "", "inference_worker": "worker.started", "access": "access.started"}
RESTART_PAUSE = 0.2
START_SECONDS = 60.0
NO_REDIS = "Is REDIS_URL right"
FIRST_ANSWER_SECONDS = 7.0
"""How long a command may take to fail, tries included."""
_ARGUMENTS = {"inference_worker": ["--engine", "scripted", "--served-name", MODEL]}


@dataclass(frozen=True)
class Death:
    """A process that ended although nobody had told it to. At its ``start``, because it found no Redis."""

    name: str
    code: int
    at_start: bool
    said: str


@dataclass(eq=False)
class Member:
    """One place in the fleet and the process that fills it now. ``busy`` while a fault has it, or until it is ready."""

    role: str
    name: str
    port: int = 0
    pid: int = 0
    handle: int = -1
    log: Path = Path()
    busy: bool = True
    killed: bool = False
    ready_at: float = inf
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    code: int = 0

    def signal(self, number: signal.Signals) -> None:
        """To this very process: a handle, unlike a pid, never comes to name another. It has none while it is born."""
        if self.handle >= 0 and not self.ended.is_set():
            try:
                signal.pidfd_send_signal(self.handle, number)
            except ProcessLookupError:
                pass  # it ended by itself a moment ago

    @property
    def process(self) -> str:
        """What it calls itself in leases and logs."""
        return next((line["process"] for line in self.lines() if "process" in line), "")

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]


class Fleet:
    """Starts, restarts and stops members. ``redis_url`` is what they are told; ``deaths`` those nobody had ordered."""

    def __init__(self, redis_url: str, folder: Path):
        self.members: list[Member] = []
        self.deaths: list[Death] = []
        self.restarts: dict[str, list[float]] = defaultdict(list)
        self._redis_url = redis_url
        self._folder = folder
        self._nurseries: dict[str, Helper] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._births = 0
        self._stopping = False

    async def start(self, *, limiters: int, workers: int, access: int) -> None:
        """Start everybody, and wait until they are ready."""
        made = [Helper.start("tests.chaos.nursery", role, log=self._folder / f"nursery-{role}.log") for role in ROLES]
        self._nurseries = dict(zip(ROLES, await asyncio.gather(*made), strict=True))
        for role, count in zip(ROLES, (limiters, workers, access), strict=True):
            for number in range(count):
                member = Member(role, f"{role}-{number}", free_port() if role == "access" else 0)
                self.members.append(member)
                self._keepers.append(asyncio.create_task(self._keep(member), name=f"keep {member.name}"))
        if not await until(lambda: not any(member.busy for member in self.members), seconds=START_SECONDS):
            raise AssertionError(f"not ready: {[member.name for member in self.members if member.busy]}")

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members if member.role == role]

    @property
    def ports(self) -> list[int]:
        """Where access listens, also while it is being restarted."""
        return [member.port for member in self.of("access")]

    async def victim(self, role: str, random: Random) -> Member:
        """A member that is up and has no fault yet; it is busy from now on."""
        await until(lambda: any(not member.busy for member in self.of(role)))
        chosen = random.choice([member for member in self.of(role) if not member.busy])
        chosen.busy = True
        return chosen

    async def kill(self, member: Member) -> None:
        """SIGKILL; its keeper starts it again."""
        member.killed = True
        member.signal(signal.SIGKILL)
        await member.ended.wait()

    async def stop(self) -> list[str]:
        """End everybody, access first; what did not end as it should."""
        self._stopping = True
        wrong: list[str] = []
        for role in reversed(ROLES):
            for member in self.of(role):
                member.signal(signal.SIGCONT)
                member.signal(signal.SIGTERM)
            wrong += [said for member in self.of(role) if (said := await self._last_words(member))]
        for task in self._keepers:
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for nursery in self._nurseries.values():
            await nursery.stop()
        return wrong + [f"{member.name} is left" for member in self.members if _alive(member)]

    async def _keep(self, member: Member) -> None:
        """What a supervisor does: start it, wait for its end, start it again."""
        times: list[float] = []  # of the first start, which waits for the imports, nobody wants to know
        while not self._stopping:
            began = time.monotonic()
            await self._bear(member)
            ready = asyncio.create_task(self._until_ready(member, began, times), name=f"ready {member.name}")
            times = self.restarts[member.role]
            await member.ended.wait()
            ready.cancel()
            member.code = await self._nurseries[member.role].ask(reap=member.pid)
            os.close(member.handle)
            member.handle = -1
            if not (member.killed or self._stopping):
                self.deaths.append(Death(member.name, member.code, _at_start(member), _last_line(member)))
                await asyncio.sleep(RESTART_PAUSE)

    async def _bear(self, member: Member) -> None:
        self._births += 1
        member.busy, member.killed, member.ready_at = True, False, inf
        member.ended = asyncio.Event()
        member.log = self._folder / f"{member.name}.{self._births}.log"
        environment = self._environment(member)
        arguments = _ARGUMENTS.get(member.role, [])
        order = {"argv": arguments, "environment": environment, "log": str(member.log)}
        member.pid = await self._nurseries[member.role].ask(**order)
        member.handle = os.pidfd_open(member.pid)
        asyncio.get_running_loop().add_reader(member.handle, self._ended, member)
        if self._stopping:
            member.signal(signal.SIGTERM)

    def _ended(self, member: Member) -> None:
        asyncio.get_running_loop().remove_reader(member.handle)
        member.ended.set()

    async def _until_ready(self, member: Member, began: float, times: list[float]) -> None:
        event = READY_EVENT[member.role].encode()
        await until(lambda: member.log.exists() and event in member.log.read_bytes(), every=0.01)
        if member.role == "access":
            await _answering(member.port)
        times.append(time.monotonic() - began)
        member.busy, member.ready_at = False, time.monotonic()

    async def _last_words(self, member: Member) -> str:
        try:
            async with asyncio.timeout(40):
                await member.ended.wait()
        except TimeoutError:
            member.signal(signal.SIGKILL)
            await member.ended.wait()
            return f"{member.name} did not stop on SIGTERM"
        return ""

    def _environment(self, member: Member) -> dict[str, str]:
        return {
            "REDIS_URL": self._redis_url,
            "MILVUS_URI": "http://127.0.0.1:9",  # nobody listens there: no answer here needs knowledge
            "LOG_FORMAT": "json",
            "PENSTOCK_WORKER__LEASE_SECONDS": str(LEASE_SECONDS),
            "PENSTOCK_WORKER__GRACE_SECONDS": str(GRACE_SECONDS),
            "PENSTOCK_LIMITER__TOKENS_PER_MINUTE": "1000000000",
            "PENSTOCK_LIMITER__REQUESTS_PER_MINUTE": "10000000",
            "PENSTOCK_LIMITER__GRANT_SECONDS": "4",
            "PENSTOCK_LIMITER__GRANT_SLACK_SECONDS": "1",
            "PENSTOCK_ACCESS__PRESETS": json.dumps({"plain": {"model": MODEL}}),
            "PENSTOCK_ACCESS__BOOTSTRAP_KEY": API_KEY,
            "PENSTOCK_ACCESS__HEARTBEAT": "2",
            "PENSTOCK_ACCESS__PORT": str(member.port or 8000),
        }


def _alive(member: Member) -> bool:
    return not member.ended.is_set()


def _at_start(member: Member) -> bool:
    """Whether it was still waiting for Redis's first answer: it says so, or was ready too short a time ago. A worker
    says that it has started before it has that answer."""
    return NO_REDIS in _last_line(member) or time.monotonic() - member.ready_at < FIRST_ANSWER_SECONDS


def _last_line(member: Member) -> str:
    """The last thing it had to say that was worth a warning."""
    text = member.log.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and '"level": "info"' not in line]
    return lines[-1] if lines else ""


async def _answering(port: int) -> None:
    """Until something listens on a loopback port."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
