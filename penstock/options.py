"""Options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DATA = Path(".penstock")
Data = Annotated[Path, typer.Option(help="Folder of 'penstock up': its data, secrets and logs.")]
Url = Annotated[
    str | None, typer.Option(help="An access process, such as http://127.0.0.1:8000. Default: the one that runs here.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
