"""Which model a worker is to serve, checked before anything is started."""

from __future__ import annotations

import re
from pathlib import Path

from inference_worker import bundled
from penstock.errors import StartError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def resolve(model: str | None) -> str:
    """What to give the engine for ``--model``: a folder's absolute path, or a hub's name as it is.

    Raises:
        StartError: a folder that is not there or holds no model, or a name that is neither.
    """
    if not model:
        return _folder(bundled.folder(bundled.ANSWERING))
    path = Path(model).expanduser()
    if path.exists() or model.startswith(("/", "./", "../", "~")):
        return _folder(path.absolute())
    if _HUB_NAME.fullmatch(model):
        return model
    raise StartError(
        f"There is no model folder '{model}' here, and a hub knows models as organisation/name. "
        "Give --model a folder with a config.json, or such a name."
    )


def served_name(model: str) -> str:
    """The name requests ask for: the last part of a folder's path, a hub's or an upstream's name without odd signs."""
    name = Path(model).name if model.startswith("/") else model
    return re.sub(r"[^A-Za-z0-9._/-]", "-", name).lstrip("._/-")[:128] or "model"


def _folder(path: Path) -> str:
    if not path.is_dir():
        raise StartError(
            f"There is no model folder {path}. Give --model a folder that exists, or a hub's name for one."
        )
    if not (path / "config.json").is_file():
        raise StartError(f"{path} holds no model: it has no config.json. Give --model the folder with the weights.")
    return str(path)
