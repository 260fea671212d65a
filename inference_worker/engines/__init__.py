"""Engines behind one small port. Only the engine that was asked for is imported: torch and vLLM take seconds."""

from __future__ import annotations

from pathlib import Path

from inference_worker.engines.port import Engine
from inference_worker.settings import WorkerSettings


def build(settings: WorkerSettings) -> Engine:
    """The engine the settings name, not started yet."""
    match settings.engine:
        case "vllm":
            return _vllm(settings)
        case "openai":
            return _openai(settings)
        case "embedder":
            return _embedder(settings)
        case "scripted":
            return _scripted(settings)


def _vllm(settings: WorkerSettings) -> Engine:
    from inference_worker.engines.vllm import VllmEngine

    return VllmEngine(
        settings.model,
        settings.served_name or Path(settings.model).name,
        slots=settings.slots,
        max_model_len=settings.max_model_len,
        arguments=settings.vllm_arguments,
    )


def _openai(settings: WorkerSettings) -> Engine:
    from inference_worker.engines.openai import OpenAIEngine

    upstream_model = settings.upstream_model or settings.served_name
    return OpenAIEngine(
        settings.upstream_url,
        upstream_model,
        settings.served_name or upstream_model,
        api_key=settings.upstream_api_key.get_secret_value(),
        slots=settings.slots,
        max_model_len=settings.max_model_len,
    )


def _embedder(settings: WorkerSettings) -> Engine:
    from inference_worker.engines.embedder import EmbedderEngine

    return EmbedderEngine(settings.model, settings.served_name, slots=settings.slots)


def _scripted(settings: WorkerSettings) -> Engine:
    from inference_worker.engines.scripted import ScriptedEngine

    return ScriptedEngine(
        settings.served_name or "scripted",
        slots=settings.slots,
        max_model_len=settings.max_model_len,
        step_seconds=settings.scripted_step_seconds,
    )
