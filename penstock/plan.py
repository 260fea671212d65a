"""What one machine runs, as values: options and addresses in, programs out. Nothing here starts anything."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from access.settings import AccessSettings
from contracts.configuration import load
from inference_worker import bundled
from inference_worker.settings import EngineName, WorkerSettings
from limiter.settings import LimiterSettings
from penstock import embedded_redis, models, ports, probes, reaper
from penstock.children import Program
from penstock.errors import StartError
from penstock.folder import DEFAULT

ENGINE_SECONDS = 900.0
"""A large model takes minutes to be fetched and loaded; an engine that dies is noticed long before."""

PASSAGES = 3
"""What a model other than the bundled one is shown."""

STOP_ORDER = ("access", "worker", "embedder", "limiter", "milvus", "redis", "reaper")
"""Who needs others ends before them: streams finish while workers live, and the data's keepers end last."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line of ``penstock up``. What is ``None`` or empty is decided by settings, then by defaults."""

    engine: EngineName | None = None
    model: str | None = None
    upstream_url: str | None = None
    upstream_model: str | None = None
    workers: int = 1
    access: int = 1
    port: int = 8000
    data: Path = DEFAULT


@dataclass(frozen=True)
class Served:
    """What the workers serve: an engine, the weights or the upstream behind it, and the name requests ask for."""

    engine: EngineName
    model: str
    name: str
    upstream_url: str = ""
    upstream_model: str = ""


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, on loopback. ``redis_port`` and ``milvus_port`` are ``None`` for servers not ours."""

    redis_url: str
    milvus_uri: str
    redis_port: int | None
    milvus_port: int | None
    limiter: int
    embedder: int
    workers: tuple[int, ...]
    access: tuple[int, ...]


def served(options: Options) -> Served:
    """Decide what to serve from the command line and the settings.

    Raises:
        StartError: the model is not there, or an upstream is not named.
        BadSettings: a setting of the workers is wrong.
    """
    given = {
        "engine": options.engine,
        "model": options.model,
        "upstream_url": options.upstream_url,
        "upstream_model": options.upstream_model,
    }
    chosen = load(WorkerSettings, **{name: value for name, value in given.items() if value})
    match chosen.engine:
        case "vllm":
            model = models.resolve(chosen.model)
            return Served("vllm", model, chosen.served_name or models.served_name(model))
        case "openai":
            if not chosen.upstream_url or not chosen.upstream_model:
                raise StartError(
                    "The engine 'openai' asks another server: name it with --upstream-url and --upstream-model."
                )
            name = chosen.served_name or models.served_name(chosen.upstream_model)
            return Served("openai", "", name, chosen.upstream_url, chosen.upstream_model)
        case "scripted":
            return Served("scripted", "", chosen.served_name or "scripted")
        case "embedder":
            raise StartError("An embedder always runs; --engine says what answers: vllm, openai or scripted.")


def addresses(options: Options) -> Addresses:
    """Ports for what is ours; ``REDIS_URL`` (or the settings file) and ``MILVUS_URI`` name what is not.

    Raises:
        StartError: a port that was asked for is taken.
        BadSettings: a setting is wrong.
    """
    access = ports.claim(options.port, options.access)
    redis, milvus, limiter, embedder, *workers = ports.free(4 + options.workers, avoiding=access)
    given_redis = redis_url()
    milvus_uri = os.environ.get("MILVUS_URI") or os.environ.get("PENSTOCK_RAG__MILVUS_URI")
    return Addresses(
        redis_url=given_redis or f"redis://{ports.LOOPBACK}:{redis}/0",
        milvus_uri=milvus_uri or f"http://{ports.LOOPBACK}:{milvus}",
        redis_port=None if given_redis else redis,
        milvus_port=None if milvus_uri else milvus,
        limiter=limiter,
        embedder=embedder,
        workers=tuple(workers),
        access=tuple(access),
    )


def redis_url() -> str | None:
    """The Redis that the settings name; ``None`` when we are to run one.

    Raises:
        BadSettings: a setting is wrong.
    """
    settings = load(LimiterSettings)
    return settings.redis_url if "redis_url" in settings.model_fields_set else None


def server_programs(folder: Path, at: Addresses) -> list[Program]:
    """Redis and Milvus, as far as they are ours, and the reaper, which must be there before the others; it watches over
    the process that calls this."""
    command = [sys.executable, "-I", reaper.__file__, str(folder / "run.json"), str(os.getpid())]
    programs = [Program("reaper", "reaper", command, probes.always)]
    if at.redis_port is not None:
        programs.append(_redis(folder / "redis", at.redis_url, at.redis_port))
    if at.milvus_port is not None:
        programs.append(_milvus(folder / "milvus", at.milvus_port))
    return programs


def service_programs(what: Served, at: Addresses, *, api_key: str, pepper: str) -> list[Program]:
    """Our own processes: limiter, workers, embedder, access."""
    settings = load(AccessSettings)
    common = {
        "REDIS_URL": at.redis_url,
        "MILVUS_URI": at.milvus_uri,
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "json"),
        "PYTHONUNBUFFERED": "1",
    }
    for_access = common | {
        "PENSTOCK_ACCESS__BOOTSTRAP_KEY": api_key,
        "PENSTOCK_ACCESS__PEPPER": pepper,
        "PENSTOCK_ACCESS__PRESETS": presets(settings, what.name),
    }
    embeds = Served("embedder", "", settings.embedding_model)
    return [
        _service("limiter-0", "limiter", at.limiter, common | {"PENSTOCK_LIMITER__HEALTH_PORT": str(at.limiter)}),
        *(_worker(f"worker-{number}", what, port, common) for number, port in enumerate(at.workers)),
        _worker("embedder-0", embeds, at.embedder, common),
        *(
            _service(f"access-{number}", "access", port, for_access | {"PENSTOCK_ACCESS__PORT": str(port)})
            for number, port in enumerate(at.access)
        ),
    ]


def presets(settings: AccessSettings, model: str) -> str:
    """The presets as a setting, those on the bundled model moved to the one that is served instead.

    A larger model chooses among several passages and answers in its own words, where the bundled one is shown the best
    alone and repeats it.
    """
    changes: dict[str, Any] = {"model": model}
    if model != bundled.ANSWERING:
        changes |= {"passages": PASSAGES, "word_for_word": False}
    moved = {
        name: preset.model_copy(update=changes) if preset.model == bundled.ANSWERING else preset
        for name, preset in settings.presets.items()
    }
    return json.dumps({name: preset.model_dump() for name, preset in moved.items()})


def _redis(folder: Path, url: str, port: int) -> Program:
    server = embedded_redis.binary()
    return Program(
        "redis",
        Path(server).name,
        embedded_redis.command(server, folder, port),
        lambda: probes.redis_answers(url),
        port,
        prepare=lambda: embedded_redis.repair(server, folder),
    )


def _milvus(folder: Path, port: int) -> Program:
    flags = ("server", "--host", ports.LOOPBACK, "--port", str(port), "--data-dir", str(folder))
    return Program(
        "milvus",
        "milvus-lite",
        _module("milvus_lite", *flags),
        lambda: probes.listens(port),
        port,
        stop_seconds=20,
        stop_signal=signal.SIGINT,  # on any other it does not save what it holds
    )


def _service(name: str, module: str, port: int, environment: dict[str, str]) -> Program:
    return Program(
        name,
        name,
        _module(module),
        lambda: probes.says_ok(port),
        port,
        environment,
        start_seconds=ENGINE_SECONDS + 60,  # access is ready when the engines are
        stop_seconds=30,
    )


def _worker(name: str, what: Served, port: int, environment: dict[str, str]) -> Program:
    flags = {
        "--engine": what.engine,
        "--model": what.model,
        "--served-name": what.name,
        "--upstream-url": what.upstream_url,
        "--upstream-model": what.upstream_model,
        "--port": str(port),
    }
    command = _module("inference_worker", *(part for flag in flags.items() for part in flag))
    title = f"{name} ({what.engine}: {what.name})"
    return Program(
        name,
        title,
        command,
        lambda: probes.says_ok(port),
        port,
        environment,
        start_seconds=ENGINE_SECONDS,
        stop_seconds=30,
    )


def _module(name: str, *arguments: str) -> list[str]:
    # -P: a folder named "access" where the person happens to stand is not ours.
    return [sys.executable, "-P", "-m", name, *arguments]
