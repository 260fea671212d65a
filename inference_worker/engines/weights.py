"""A name for a model's weights, so that a continuation knows whether it goes on with the same ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

_TEXTS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_WHOLE = 64 * 2**20
_SAMPLE = 2**16
_SAMPLES = 64


def revision_of(folder: Path) -> str:
    """A short hash of what decides the model's answers.

    Weights of up to 64 MB are read whole, larger ones at 64 places: reading 100 GB at each start would take minutes.
    """
    digest = hashlib.sha256()
    for path in [folder / name for name in _TEXTS] + sorted(folder.glob("*.safetensors")):
        if path.is_file():
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            _feed(digest, path)
    return digest.hexdigest()[:16]


def tokenizer_file(folder: Path) -> tuple[bytes, str]:
    """The model's ``tokenizer.json`` and its SHA-256; empty when there is none."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return b"", ""
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def _feed(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            digest.update(file.read())
            return
        for sample in range(_SAMPLES):
            file.seek((size - _SAMPLE) * sample // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
