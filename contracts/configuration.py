"""Settings: small, frozen, one class per service, read once at start.

Precedence: command line, environment, the file named by ``PENSTOCK_CONFIG``, default. A service's variables are
``PENSTOCK_<SERVICE>__<FIELD>`` and its part of the file is the section ``<service>:``. Names that other tools know
(``REDIS_URL``, ``MILVUS_URI``) are honoured as they are. ``<NAME>_FILE`` reads a secret from a file.
"""

from __future__ import annotations

import difflib
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import yaml
from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import InitSettingsSource

S = TypeVar("S", bound="Settings")


def _seconds(value: Any) -> Any:
    """A plain number, also as text from the environment, is seconds; pydantic itself reads ISO 8601 (``PT1M``)."""
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError):
        return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""A setting that is a time span: seconds (``0.3``) or ISO 8601 (``PT0.3S``)."""


class BadSettings(Exception):
    """A setting is wrong. The message names it, where it stands and what is allowed."""


class Settings(BaseSettings):
    """A part of the settings. Subclasses set ``section`` and ``env_prefix`` and add their own fields."""

    section: ClassVar[str] = ""
    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_nested_delimiter="__", populate_by_name=True, validate_default=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (not used: settings come from where they are said)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  (likewise)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, InitSettingsSource(settings_cls, _file_section(cls))


class ServiceSettings(Settings):
    """What every service needs to know."""

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        validation_alias=AliasChoices("redis_url", "REDIS_URL"),
        description="Where all services meet.",
    )
    shards: int = Field(
        1,
        ge=1,
        le=1000,
        validation_alias=AliasChoices("shards", "PENSTOCK_SHARDS"),
        description="Shards of the key space.",
    )


def load(settings: type[S], **overrides: Any) -> S:
    """Read one service's settings; ``overrides`` come from the command line.

    Raises:
        BadSettings: a value is wrong or unknown, said in a sentence that names it.
    """
    _adopt_secret_files()
    _refuse_unknown_variables(settings)
    try:
        return settings(**overrides)
    except ValidationError as error:
        raise BadSettings("; ".join(_sentence(settings, problem) for problem in error.errors())) from error


def _file_section(settings: type[Settings]) -> dict[str, Any]:
    """The settings' own section, and what all services share where they have it too."""
    path = os.environ.get("PENSTOCK_CONFIG")
    if not path:
        return {}
    try:
        whole = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise BadSettings(f"PENSTOCK_CONFIG names {path}, which cannot be read: {error}") from error
    if not isinstance(whole, dict):
        raise BadSettings(f"{path} must be a mapping of sections, such as 'access:' and 'limiter:'")
    shared = {name: whole[name] for name in ("redis_url", "shards") if name in whole and name in settings.model_fields}
    return shared | (whole.get(settings.section) or {})


def _adopt_secret_files() -> None:
    """``PENSTOCK_X_FILE=path`` stands for ``PENSTOCK_X=<the file's content>``."""
    for name, path in list(os.environ.items()):
        if name.startswith(("PENSTOCK_", "REDIS_", "MILVUS_")) and name.endswith("_FILE"):
            try:
                os.environ.setdefault(name.removesuffix("_FILE"), Path(path).read_text(encoding="utf-8").strip())
            except OSError as error:
                raise BadSettings(f"{name} names {path}, which cannot be read: {error}") from error


def _refuse_unknown_variables(settings: type[Settings]) -> None:
    prefix = settings.model_config.get("env_prefix", "")
    known = [name.upper() for name in settings.model_fields]
    for variable in os.environ:
        if not prefix or not variable.startswith(prefix):
            continue
        field = variable.removeprefix(prefix).removesuffix("_FILE").split("__")[0]
        if field not in known:
            raise BadSettings(f"unknown setting {variable}{_nearest(field, known, prefix)}")


def _nearest(field: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(field, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _sentence(settings: type[Settings], problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    section = settings.section
    where = f"{settings.model_config.get('env_prefix', '')}{field.upper().replace('.', '__')}"
    if problem["type"] == "extra_forbidden":
        known = [name.upper() for name in settings.model_fields]
        return f"unknown setting '{field}' in section '{section}'{_nearest(field.upper(), known, '')}"
    return f"setting {where} (or '{field}' in section '{section}') is wrong: {problem['msg']}"
