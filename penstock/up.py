"""The one-machine launcher: check, start, wait, prove, watch, drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence

from contracts.configuration import BadSettings
from contracts.errors import DependencyDown
from penstock import first_question, headroom, plan, ports, probes
from penstock.children import Program, Supervisor
from penstock.errors import StartError
from penstock.folder import DataFolder
from penstock.progress import Progress


def up(options: plan.Options, progress: Progress) -> None:
    """Run everything on this machine until SIGINT or SIGTERM, then drain it.

    Raises:
        StartError: this machine lacks something; nothing is left running.
    """
    folder = DataFolder(options.data)
    folder.create()
    with folder.locked() as lock:
        try:
            what, at = plan.served(options), plan.addresses(options)
        except BadSettings as error:
            raise StartError(f"{error}.") from error
        _check_memory(what, at)
        asyncio.run(Launch(folder, lock, what, at, progress).run())


class Launch:
    """One run of one machine, from the first child to the last."""

    def __init__(self, folder: DataFolder, lock: int, what: plan.Served, at: plan.Addresses, progress: Progress):
        self._folder = folder
        self._what = what
        self._at = at
        self._progress = progress
        self._children = Supervisor(folder, progress.say, inherited=[lock])
        self._url = f"http://{ports.LOOPBACK}:{at.access[0]}"
        self._key = folder.api_key()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Start and stay up until told to stop; drain then, and also when the start fails or is interrupted."""
        self._hear_signals()
        start = asyncio.create_task(self._start(), name="start")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await start
            await stop
        finally:
            await self._drain()

    async def _start(self) -> None:
        await self._run_programs(plan.server_programs(self._folder.path, self._at))
        await self._check_redis()
        secrets = {"api_key": self._key, "pepper": self._folder.pepper()}
        await self._run_programs(plan.service_programs(self._what, self._at, **secrets))
        await self._load_sample()
        await self._prove()

    async def _run_programs(self, programs: Sequence[Program]) -> None:
        for program in programs:
            self._children.start(program)
        try:
            async with asyncio.TaskGroup() as waiting:
                for program in programs:
                    waiting.create_task(self._until_ready(program), name=f"wait for {program.name}")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _until_ready(self, program: Program) -> None:
        with self._progress.step(program.title):
            await self._children.ready(program.name)

    async def _check_redis(self) -> None:
        try:
            await probes.check_redis(self._at.redis_url)
        except DependencyDown as error:
            raise StartError(error.message) from error

    async def _load_sample(self) -> None:
        """On the first start only: who has removed the sample does not want it back."""
        mark = self._folder.path / "sample_loaded"
        if mark.exists():
            return
        with self._progress.step("sample FAQ"):
            status, said = await self._command("faq", "load", str(first_question.sample_faq()), quiet=True)
        if status != 0:
            raise StartError(f"The sample FAQ could not be loaded. {said.removeprefix('penstock: ')}")
        mark.touch()

    async def _prove(self) -> None:
        """One question, asked as anybody would ask it. An upstream that fails it is told, and can be mended."""
        question = first_question.pick()
        self._progress.say(f"\nQuestion: {question}\nAnswer:")
        await self._command("ask", question)
        self._progress.say(first_question.snippets(self._url, self._key, question))

    async def _command(self, *arguments: str, quiet: bool = False) -> tuple[int, str]:
        """Run a command of ours against this machine; its status and, if ``quiet``, what it complained of.

        A process of its own: the OpenAI SDK takes 100 MB that the launcher would keep as long as it lives.
        """
        command = [sys.executable, "-P", "-m", "penstock", *arguments, "--url", self._url]
        environment = {**os.environ, "PENSTOCK_API_KEY": self._key}
        out, err = (DEVNULL, PIPE) if quiet else (None, None)
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=DEVNULL, stdout=out, stderr=err)
        try:
            _, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        return process.returncode or 0, (complaint or b"").decode(errors="replace").strip()

    async def _drain(self) -> None:
        with self._progress.step("draining"):
            await self._children.stop(*plan.STOP_ORDER)
        self._folder.run_file.unlink(missing_ok=True)

    def _hear_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        """The first one asks for a drain; who asks again does not want to wait for it."""
        if self._stop.is_set():
            self._children.hurry()
        self._stop.set()


def _check_memory(what: plan.Served, at: plan.Addresses) -> None:
    needed = headroom.needed_mb(
        what.engine,
        workers=len(at.workers),
        access=len(at.access),
        own_redis=at.redis_port is not None,
        own_milvus=at.milvus_port is not None,
    )
    headroom.check(needed, headroom.available_mb())
