"""Writes the pages that are read off the code: ``python docs/generate.py``.

Keys, settings, states and the command line each live in one place of the code. These pages are made from there, and a
test (``tests/unit/docs``) fails when one of them is not what this program would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from access.settings import AccessSettings, Preset, Publisher
from contracts import keys, states
from contracts.ids import Shard
from inference_worker.settings import WorkerSettings
from limiter.settings import LimiterSettings, ModelTerms
from penstock.cli import app
from rag.settings import RagSettings

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- Written by docs/generate.py: change {source} and run it again. -->"
SETTINGS: dict[str, type[BaseSettings]] = {
    "access: section `access`": AccessSettings,
    "limiter: section `limiter`": LimiterSettings,
    "worker: section `worker`": WorkerSettings,
    "rag: read by access": RagSettings,
}
ENTRIES: dict[str, tuple[str, type[BaseModel]]] = {
    "A preset": ("PENSTOCK_ACCESS__PRESETS", Preset),
    "A publisher": ("PENSTOCK_ACCESS__PUBLISHERS", Publisher),
    "A model's terms": ("PENSTOCK_LIMITER__MODELS", ModelTerms),
}
ID = f"s0_{0:032}"
"""An id of shard 0, recognised again in the key that is made from it."""


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


def keys_page() -> str:
    """One row per key function, in the order of the file."""
    rows = [_key_row(function) for function in vars(keys).values() if _is_key(function)]
    table = _table(("function", "key", "type", "holds", "written by", "ends"), rows)
    intro = (
        "Every Redis key, by the function that spells it. `{s0}` is the hash tag of shard 0: all keys of one request "
        "and its session share it. R is the retention of a log: 1 h, or 30 d for a stored response."
    )
    return _page("Keys", "contracts/keys.py", intro, table)


def settings_page() -> str:
    """A section per service, a row per setting."""
    intro = (
        "Precedence: command line, environment, the YAML file that `PENSTOCK_CONFIG` names, default. A service's part "
        "of the file is the section of its name; rag has none. `<VARIABLE>_FILE=path` reads a value from a file. "
        "Durations are seconds (`0.3`) or ISO 8601 (`PT0.3S`). An unknown or wrong setting stops the start with a "
        "sentence that names it. `penstock config show --origin` prints what is in force."
    )
    sections = [f"## {title}\n\n{_settings_table(settings)}" for title, settings in SETTINGS.items()]
    entries = [
        f"## {title}\n\nFields of one entry of `{variable}`.\n\n{_fields_table(model)}"
        for title, (variable, model) in ENTRIES.items()
    ]
    return _page("Settings", "the settings.py of the service", intro, *sections, *entries)


def states_page() -> str:
    """The state table as a diagram."""
    intro = (
        "The life of one request. `waiting` is admission, `queued` is a stream, `running` is a worker, or between two: "
        "a request that has lost its worker stays `running` until the next take. A terminal state is written once, "
        "together with the one terminal reply of the log; nothing follows it. So a dead letter that is requeued runs "
        "under a new id."
    )
    return _page("States", "contracts/states.py", intro, f"```mermaid\n{states.diagram()}\n```")


def cli_page() -> str:
    """A section per command, a row per argument or option."""
    root: Any = typer.main.get_command(app)
    return _page("Command line", "penstock/cli.py", root.help, *_commands(root, "penstock"))


PAGES: dict[str, Callable[[], str]] = {
    "keys.md": keys_page,
    "settings.md": settings_page,
    "states.md": states_page,
    "cli.md": cli_page,
}


def _page(title: str, source: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", NOTE.format(source=source), *parts)) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _is_key(thing: Any) -> bool:
    """A key function's docstring has the four parts; ``shard_prefix`` and its like spell no key."""
    own = inspect.isfunction(thing) and thing.__module__ == keys.__name__
    return own and (thing.__doc__ or "").count(";") >= 2 and not (thing.__doc__ or "").startswith("not a key")


def _key_row(function: Any) -> list[str]:
    what = [part.strip().replace("``", "`") for part in (function.__doc__ or "").split(";")]
    kind, holds, *rest = what
    written_by, ends = rest if len(rest) == 2 else (rest[0], "–")
    return [f"`{function.__name__}`", f"`{_pattern(function)}`", kind, holds, written_by, ends]


def _pattern(function: Callable[..., str]) -> str:
    """The key as the function spells it, its parameters as ⟨name⟩."""
    names = list(inspect.signature(function).parameters)
    spelled = function(**{name: _stand_in(name) for name in names})
    told = ", ".join(name.replace("_", " ") for name in names if name != "shard")
    return re.sub(r"\b[0-9a-f]{32}\b", f"⟨hash of {told}⟩", spelled.replace(ID, f"⟨{told}⟩"))


def _stand_in(name: str) -> Any:
    if name == "shard":
        return Shard(0)
    return ID if name in ("request_id", "session_id") else f"⟨{name.replace('_', ' ')}⟩"


def _settings_table(settings: type[BaseSettings]) -> str:
    prefix = str(settings.model_config.get("env_prefix", ""))
    rows = [
        [f"`{_variable(prefix, name, field)}`", *_described(field)] for name, field in settings.model_fields.items()
    ]
    return _table(("variable", "type", "default", "what"), rows)


def _fields_table(model: type[BaseModel]) -> str:
    return _table(
        ("field", "type", "default", "what"),
        [[f"`{name}`", *_described(field)] for name, field in model.model_fields.items()],
    )


def _variable(prefix: str, name: str, field: FieldInfo) -> str:
    alias: Any = field.validation_alias
    named = [str(choice) for choice in alias.choices if str(choice).isupper()] if alias is not None else []
    return named[0] if named else f"{prefix}{name.upper()}"


def _described(field: FieldInfo) -> list[str]:
    return [_kind(field), _default(field), field.description or ""]


def _kind(field: FieldInfo) -> str:
    if field.annotation is timedelta:
        return "duration"
    text = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", str(field.annotation))
    text = re.sub(r"Annotated\[(\w+), .*?\)\]", r"\1", text)
    text = re.sub(r"Optional\[(\w+)\]", r"\1 | None", text)
    text = re.sub(r"<class '(\w+)'>", r"\1", text).replace("SecretStr", "secret")
    return f"`{text}`"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, SecretStr):
        return "`penstock`: set your own" if value.get_secret_value() else "none"
    if isinstance(value, dict) and value:
        return ", ".join(f"`{name}`" for name in value)
    if value in (None, "", (), {}):
        return "none"
    return f"`{value}`"


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> str:
    context = typer.Context(command, info_name=path)
    usage = " ".join((path, *command.collect_usage_pieces(context)))
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [[f"`{names}`", what] for names, what in filter(None, records)]
    table = f"\n\n{_table(('argument or option', 'what'), rows)}" if rows else ""
    return f"## {path}\n\n{command.help}\n\n```\n{usage}\n```{table}"


if __name__ == "__main__":
    main()
