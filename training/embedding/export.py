"""The model as sentence-transformers loads it; its weights are kept in half precision and computed in full."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

MODEL = Path(__file__).parents[2] / "models" / "penstock-embed"
_KEPT = ("README.md",)


def write(model: SentenceTransformer, folder: Path) -> None:
    """Write the model beside ``folder``, then move it into its place. The card that stands there stays."""
    fresh = folder.with_name(folder.name + ".new")
    model.half().save(str(fresh), create_model_card=False)
    for name in _KEPT:
        if (folder / name).exists():
            shutil.copy(folder / name, fresh / name)
    # In service it computes in the precision that its processor is good at, not in the one that it is kept in.
    config = fresh / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")
    for path in fresh.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    model.to(torch.float32)
