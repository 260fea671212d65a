"""``penstock config show``: every setting of every service, and where its value comes from."""

from __future__ import annotations

import os
import re
from typing import Any

from access.settings import AccessSettings
from contracts.configuration import BadSettings, ServiceSettings, load
from inference_worker.settings import WorkerSettings
from limiter.settings import LimiterSettings
from penstock.errors import CommandError

SERVICES: tuple[type[ServiceSettings], ...] = (AccessSettings, LimiterSettings, WorkerSettings)

_PASSWORD = re.compile(r"(://[^:/@]*:)[^@]+(@)")


def show(*, origin: bool) -> str:
    """A section per service, a line per setting.

    Raises:
        CommandError: a setting is wrong; names it.
    """
    try:
        sections = [_section(service, origin) for service in SERVICES]
    except BadSettings as error:
        raise CommandError(f"{error}.") from error
    return "\n\n".join(sections)


def _section(service: type[ServiceSettings], origin: bool) -> str:
    settings = load(service)
    lines = [f"{service.section}:"]
    for name in service.model_fields:
        value = _PASSWORD.sub(r"\1***\2", str(getattr(settings, name)))
        lines.append(f"  {name}: {value}{f'  # {_origin(settings, name)}' if origin else ''}")
    return "\n".join(lines)


def _origin(settings: ServiceSettings, name: str) -> str:
    """A value that was given came from the environment if a variable of its name is set, else from the file."""
    if name not in settings.model_fields_set:
        return "default"
    given = {variable.upper() for variable in os.environ}
    for variable in _variables(settings, name):
        if any(other == variable or other.startswith(f"{variable}__") for other in given):
            return f"environment: {variable}"
    return f"file: {os.environ.get('PENSTOCK_CONFIG', '')}"


def _variables(settings: ServiceSettings, name: str) -> list[str]:
    alias: Any = type(settings).model_fields[name].validation_alias
    names = [str(choice) for choice in alias.choices] if alias is not None else []
    return [f"{settings.model_config.get('env_prefix', '')}{name}".upper(), *(other.upper() for other in names)]
