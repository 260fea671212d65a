"""Any OpenAI-compatible upstream as an engine: SGLang, TGI, Ollama, a hosted provider.

A provider is a worker that pulls with a budget of slots. When it answers 429 or 503, the request goes back for later
and the worker stops taking for a while; no caller sees it. Its token ids are unknown, so another worker starts again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any

from contracts.errors import CallerError, DependencyDown, EngineError, Overload
from contracts.messages import FinishReason, Generate, InferenceRequest, ModelFacts
from inference_worker.engines.port import Description, EngineDelta, generate_task

if TYPE_CHECKING:
    from openai import APIStatusError
    from openai.types.chat import ChatCompletionChunk

MAX_MODEL_LEN = 131_072
"""Assumed where nothing else is configured: the upstream is the authority, and says so when a prompt is too long."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 120.0
_BACK_OFF = (408, 409, 425, 429, 502, 503, 504, 529)


class OpenAIEngine:
    """Streams chat completions from an upstream. Penstock's own back-off replaces the SDK's retries."""

    def __init__(
        self, url: str, model: str, served_name: str, *, api_key: str = "", slots: int = 16, max_model_len: int = 0
    ):
        self._url = url
        self._model = model
        self._name = served_name
        self._api_key = api_key
        self._slots = slots
        self._max_model_len = max_model_len or MAX_MODEL_LEN
        self._client: Any = None

    async def start(self) -> Description:
        if not self._url or not self._model:
            raise EngineError("The openai engine needs --upstream-url and --upstream-model.")
        import httpx2
        from openai import AsyncOpenAI

        timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        # Local upstreams want no key; the SDK wants one.
        self._client = AsyncOpenAI(base_url=self._url, api_key=self._api_key or "none", max_retries=0, timeout=timeout)
        revision = f"upstream:{self._model}"
        facts = ModelFacts(name=self._name, revision=revision, kind="generate", max_model_len=self._max_model_len)
        return Description(facts, self._slots)

    async def generate(
        self,
        request: InferenceRequest,
        continue_from: Sequence[int] = (),  # noqa: ARG002  (no token ids were given, so none come back)
    ) -> AsyncGenerator[EngineDelta, None]:
        from openai import APIConnectionError, APIError, APIStatusError

        try:
            stream = await self._client.chat.completions.create(**_body(self._model, generate_task(request)))
            async with stream:
                async for chunk in stream:
                    for delta in _deltas(chunk):
                        yield delta
        except APIStatusError as error:
            raise _translated(error) from error
        except APIConnectionError as error:
            raise DependencyDown("The upstream does not answer.", code="upstream_down") from error
        except APIError as error:
            raise EngineError("The upstream broke off its answer.", code="upstream_error") from error

    async def prompt_tokens(self, request: InferenceRequest) -> int:  # noqa: ARG002  (only the upstream knows)
        return 0

    async def check(self) -> None:
        return None

    def cache_room(self) -> float:
        return 1.0

    async def stop(self) -> None:
        if self._client is not None:
            await self._client.close()


def _body(model: str, task: Generate) -> dict[str, Any]:
    parameters = task.parameters
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in task.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": parameters.max_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "presence_penalty": parameters.presence_penalty,
        "frequency_penalty": parameters.frequency_penalty,
        "seed": parameters.seed,
        "stop": list(parameters.stop) or None,
        "n": parameters.n if parameters.n > 1 else None,
        "tools": list(task.tools) or None,
    }
    if parameters.json_schema is not None:
        schema = {"name": "answer", "schema": parameters.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif parameters.json_object:
        body["response_format"] = {"type": "json_object"}
    elif parameters.choices:
        # vLLM's own name; no other server has one. Those that refuse what they do not know say so to the caller.
        body["extra_body"] = {"structured_outputs": {"choice": list(parameters.choices)}}
    return {name: value for name, value in body.items() if value is not None}


def _deltas(chunk: ChatCompletionChunk) -> Iterable[EngineDelta]:
    for choice in chunk.choices:
        reason: FinishReason | None = None
        if choice.finish_reason is not None:
            reason = "length" if choice.finish_reason == "length" else "stop"
        text = choice.delta.content or ""
        if text or reason:
            yield EngineDelta(choice.index, text, finish_reason=reason)
    if chunk.usage is not None:
        details = chunk.usage.prompt_tokens_details
        yield EngineDelta(
            prompt_tokens=chunk.usage.prompt_tokens,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            completion_tokens=chunk.usage.completion_tokens,
        )


def _translated(error: APIStatusError) -> Exception:
    """An upstream's refusal in our words. Its own text is for callers only where the request is at fault."""
    status = error.status_code
    if status in _BACK_OFF:
        wait = retry_after(error.response.headers, time())
        return Overload(f"The upstream answers {status}.", code="upstream_busy", retry_after_seconds=wait)
    if status in (401, 403):
        return EngineError(f"The upstream refuses our key ({status}). Set PENSTOCK_WORKER__UPSTREAM_API_KEY.")
    if status in (400, 413, 422):
        detail = error.body if isinstance(error.body, dict) else {}
        code = str(detail.get("code") or "invalid_request")
        said = str(detail.get("message") or "it gave no reason")
        return CallerError(f"The upstream refuses this request: {said}", code=code, param=_param(detail))
    return EngineError(f"The upstream answers {status}.", code="upstream_error")


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that ``Retry-After`` (RFC 9110, 10.2.3) or OpenAI's ``retry-after-ms`` asks to wait; 0 when neither does.

    ``now`` is Unix time, for the header's date form.
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "0")
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return 0.0


def _param(detail: Mapping[str, Any]) -> str | None:
    param = detail.get("param")
    return param if isinstance(param, str) else None
