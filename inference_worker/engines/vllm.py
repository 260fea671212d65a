"""The real engine: vLLM in this process. The only file that imports it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import warnings
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import CallerError, EngineError
from contracts.messages import FinishReason, GenerationParameters, InferenceRequest, ModelFacts
from inference_worker.engines import vllm_waits
from inference_worker.engines.detokenizer import Detokenizer
from inference_worker.engines.port import Description, EngineDelta, EngineDied, answer_budget, generate_task
from inference_worker.engines.prompting import Prompter
from inference_worker.engines.stops import StopWatch
from inference_worker.engines.weights import revision_of, tokenizer_file

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

CACHE_GB_ON_CPU = "1"
SHUTDOWN_SECONDS = 5.0
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}


class VllmEngine:
    """One model in an ``AsyncLLM``. Token ids go in and out, so a continuation is exact."""

    def __init__(
        self, model: str, served_name: str, *, slots: int, max_model_len: int = 0, arguments: Mapping[str, Any] = {}
    ):
        self._model = model
        self._name = served_name
        self._slots = slots
        self._max_model_len = max_model_len
        self._arguments = arguments
        self._llm: AsyncLLM | None = None
        self._live_tokens: dict[str, int] = {}

    async def start(self) -> Description:
        if not self._model:
            raise EngineError("No model was named. Give --model a folder or the name of one on a hub.")
        try:
            # In a thread: loading takes seconds to minutes, and signals must be heard meanwhile.
            self._llm = await asyncio.to_thread(self._load)
        except Exception as error:
            raise EngineError(f"vLLM could not load {self._model}: {error}") from error
        config = self._llm.vllm_config.model_config
        folder = await asyncio.to_thread(_folder, config)
        tokenizer: Any = self._llm.get_tokenizer()
        self._prompter = Prompter(tokenizer)
        self._text = getattr(tokenizer, "backend_tokenizer", None)
        if self._text is None:
            raise EngineError(f"{self._model} has no fast tokenizer. Choose a model with a tokenizer.json.")
        self._max_model_len = config.max_model_len
        self._defaults = _default_sampling(config, folder)
        self._ends = _end_tokens(config, tokenizer)
        content, sha256 = tokenizer_file(folder)
        facts = ModelFacts(
            name=self._name,
            revision=revision_of(folder),
            kind="generate",
            max_model_len=self._max_model_len,
            tokenizer_sha256=sha256,
            chat_template=str(getattr(tokenizer, "chat_template", None) or ""),
        )
        await self._warm_up()
        return Description(facts, self._slots, content)

    async def generate(
        self, request: InferenceRequest, continue_from: Sequence[int] = ()
    ) -> AsyncGenerator[EngineDelta, None]:
        task = generate_task(request)
        prompt = self._prompter.token_ids(task)
        budget = answer_budget(len(prompt), task.parameters.max_tokens, self._max_model_len)
        left = budget - len(continue_from)
        if over := _over(continue_from, left, self._ends):
            yield EngineDelta(finish_reason=over, prompt_tokens=len(prompt))
            return
        before = [*prompt, *continue_from]
        sequences = [
            _Sequence(Detokenizer(self._text, before), StopWatch(task.parameters.stop))
            for _ in range(task.parameters.n)
        ]
        choices = self._prompter.left_of(task.parameters.choices, continue_from)
        if choices == ("",):
            yield EngineDelta(finish_reason="stop", prompt_tokens=len(prompt))
            return
        params = self._sampling(task.parameters, left, choices)
        self._live_tokens[request.id] = len(prompt) + len(continue_from)
        try:
            async for output in self._outputs(before, params, request):
                for delta in _deltas(output, sequences, len(prompt)):
                    self._live_tokens[request.id] += len(delta.token_ids)
                    yield delta
                if all(sequence.watch.stopped for sequence in sequences):
                    return
        finally:
            self._live_tokens.pop(request.id, None)

    async def prompt_tokens(self, request: InferenceRequest) -> int:
        return len(self._prompter.token_ids(generate_task(request)))

    async def check(self) -> None:
        if self._llm is None or self._llm.errored:
            raise EngineDied("vLLM's engine process is gone")

    def cache_room(self) -> float:
        """Estimated from the tokens in flight: vLLM tells only through its statistics, which cost time per step."""
        if self._llm is None:
            return 0.0
        cache = self._llm.vllm_config.cache_config
        capacity = (cache.num_gpu_blocks or 0) * cache.block_size
        return max(0.0, 1.0 - sum(self._live_tokens.values()) / capacity) if capacity else 1.0

    async def stop(self) -> None:
        if self._llm is not None:
            llm, self._llm = self._llm, None
            await asyncio.to_thread(llm.shutdown, SHUTDOWN_SECONDS)

    def _load(self) -> AsyncLLM:
        # Read when vLLM is imported, so set before. An unset cache would take half of the machine's memory.
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CACHE_GB_ON_CPU)
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ[vllm_waits.MARK] = "1"
        with warnings.catch_warnings():
            # Deprecations between vLLM and torch are nothing that an operator could act on.
            warnings.simplefilter("ignore")
            return self._create()

    def _create(self) -> AsyncLLM:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        chosen: dict[str, Any] = {
            "model": self._model,
            "max_model_len": self._max_model_len or None,
            "max_num_seqs": self._slots,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            "enable_log_requests": False,
            # On a CPU, compiling takes half a minute at each first start and gains nothing for small models.
            "enforce_eager": current_platform.is_cpu(),
        }
        if current_platform.is_cpu():
            # The cache is reused by whole blocks: with the 128 tokens that are vLLM's choice on a CPU, the turns of a
            # short conversation would share none. 32 is the least that its kernels like.
            chosen["block_size"] = 32
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**(chosen | dict(self._arguments))))

    async def _outputs(
        self, token_ids: list[int], params: SamplingParams, request: InferenceRequest
    ) -> AsyncGenerator[RequestOutput, None]:
        """vLLM's own outputs, and its exceptions in our words."""
        from vllm.exceptions import VLLMClientError
        from vllm.inputs.engine import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        llm = self._llm
        if llm is None:
            raise EngineDied("vLLM is not running")
        prompt = tokens_input(token_ids, cache_salt=_salt(request))
        try:
            async for output in llm.generate(prompt, params, request.id):
                yield output
        except EngineDeadError as error:
            raise EngineDied("vLLM's engine process died") from error
        except (VLLMClientError, ValueError) as error:
            raise CallerError(f"vLLM refuses this request: {error}") from error

    async def _warm_up(self) -> None:
        """One token, so that the first caller does not pay for what vLLM prepares lazily; and a self-test."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input

        if self._llm is None:
            return
        async for _ in self._llm.generate(tokens_input([1]), SamplingParams(max_tokens=2), "warm-up"):
            pass

    def _sampling(self, parameters: GenerationParameters, max_tokens: int, choices: tuple[str, ...]) -> SamplingParams:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        asked: dict[str, Any] = {
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "presence_penalty": parameters.presence_penalty,
            "frequency_penalty": parameters.frequency_penalty,
            "seed": parameters.seed,
        }
        structure = None
        if parameters.json_schema is not None:
            structure = StructuredOutputsParams(json=json.dumps(parameters.json_schema))
        elif parameters.json_object:
            structure = StructuredOutputsParams(json_object=True)
        elif choices:
            structure = StructuredOutputsParams(choice=list(choices))
        return SamplingParams(
            **(self._defaults | {name: value for name, value in asked.items() if value is not None}),
            n=parameters.n,
            max_tokens=max_tokens,
            structured_outputs=structure,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What makes text of one sequence's tokens, and what looks for stop strings in it."""

    detokenizer: Detokenizer
    watch: StopWatch

    def push(self, token_ids: Sequence[int], ended: bool) -> tuple[str, tuple[int, ...]]:
        """Take new tokens, the last of them one that ended the sequence; the text that may be shown, and the tokens
        that it is the text of."""
        shown, shown_ids = "", tuple[int, ...]()
        for place, token in enumerate(token_ids, 1):
            piece = "" if ended and place == len(token_ids) else self.detokenizer.text(token)
            text, ids = self.watch.push(piece, (token,))
            shown, shown_ids = shown + text, shown_ids + ids
            if self.watch.stopped:
                break
        return shown, shown_ids


def _deltas(output: RequestOutput, sequences: Sequence[_Sequence], prompt_tokens: int) -> list[EngineDelta]:
    """One output of vLLM as deltas. Text and stop strings are ours to find: vLLM's lag its tokens."""
    deltas: list[EngineDelta] = []
    for part in output.outputs:
        watch = sequences[part.index].watch
        if watch.stopped:
            continue
        text, ids = sequences[part.index].push(part.token_ids, part.finish_reason == "stop")
        reason: FinishReason | None = "stop" if watch.stopped else None
        if part.finish_reason is not None and reason is None:
            reason = _REASONS.get(part.finish_reason)
            if reason is None:
                raise EngineError(f"vLLM ended a sequence with {part.finish_reason}")
            rest, rest_ids = watch.flush()
            text, ids = text + rest, ids + rest_ids
        if ids or text or reason:
            cached = output.num_cached_tokens or 0
            deltas.append(EngineDelta(part.index, text, ids, reason, None, prompt_tokens, min(cached, prompt_tokens)))
    return deltas


def _over(continue_from: Sequence[int], left: int, ends: frozenset[int]) -> FinishReason | None:
    """Why a logged answer that lacks only its end has ended."""
    if continue_from and continue_from[-1] in ends:
        return "stop"
    return "length" if left <= 0 else None


def _salt(request: InferenceRequest) -> str:
    """Tenants share no prefix cache: whether a prompt is fast would tell what another one asked."""
    return hashlib.sha256(request.tenant.encode()).hexdigest()[:16]


def _folder(config: Any) -> Path:
    """Where the model's files lie, also for one that came from a hub."""
    local = Path(config.model)
    if local.is_dir():
        return local
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(config.model, revision=config.revision, local_files_only=True))


def _default_sampling(config: Any, folder: Path) -> dict[str, Any]:
    """What the model's own generation_config.json asks for; ``do_sample: false`` means temperature 0."""
    defaults: dict[str, Any] = dict(config.get_diff_sampling_param())
    defaults.pop("max_tokens", None)
    path = folder / "generation_config.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("do_sample") is False:
        defaults["temperature"] = 0.0
    return defaults


def _end_tokens(config: Any, tokenizer: Any) -> frozenset[int]:
    named = config.try_get_generation_config().get("eos_token_id", tokenizer.eos_token_id)
    many = named if isinstance(named, list) else [named]
    return frozenset(token for token in many if token is not None) | {tokenizer.eos_token_id}
