"""An engine without a model: deterministic tokens, pauses and faults, for tests and benchmarks.

The answer is a pure function of the prompt. The last message may carry a script of ``name=value`` words:
``tokens=50`` how many, ``pause=0.01`` seconds between two, ``first=0.2`` seconds before the first; ``say="…"`` is the
answer itself, a token for each character. Faults: with ``fail_at=10`` the request fails at that token, with
``hang_at=10`` it stops there and never comes back, with ``die_at=10`` the whole engine dies, with ``freeze_at=10`` the
whole engine hangs; ``babble=1`` never ends.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import zlib
from collections.abc import AsyncGenerator, Sequence

import msgspec

from contracts.errors import EngineError
from contracts.messages import FinishReason, Generate, InferenceRequest, ModelFacts
from inference_worker.engines.port import Description, EngineDelta, EngineDied, answer_budget, generate_task
from inference_worker.engines.stops import StopWatch

_SENTENCE = (
    "water comes down the pipe and the gate lets through just what the wheel below can turn into light for the town "
    "where people ask and read and wait no longer than they must"
)
WORDS = tuple(_SENTENCE.split())
OPEN, CLOSE = len(WORDS), len(WORDS) + 1
CHARACTERS = 1000
"""The token of a character that was to be said is this much more than its code."""
DEFAULT_TOKENS = 24
MAX_MODEL_LEN = 8192
_SETTING = re.compile(r"\b(tokens|pause|first|fail_at|hang_at|die_at|freeze_at|babble)=(\d+(?:\.\d+)?)\b")
_SAY = re.compile(r'\bsay="([^"]*)"')


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last message asks the engine to do."""

    tokens: int = DEFAULT_TOKENS
    pause: float = 0.0
    first: float = 0.0
    fail_at: int = -1
    hang_at: int = -1
    die_at: int = -1
    freeze_at: int = -1
    babble: int = 0
    say: str = ""


class ScriptedEngine:
    """Follows the port exactly, continuation, stop strings and limits included. Messages count a token per word."""

    def __init__(
        self, served_name: str = "scripted", *, slots: int = 16, max_model_len: int = 0, step_seconds: float = 0.0
    ):
        self._name = served_name
        self._slots = slots
        self._max_model_len = max_model_len or MAX_MODEL_LEN
        self._steps = _Steps(step_seconds)
        self._died = ""
        self._frozen = False

    async def start(self) -> Description:
        self._died, self._frozen = "", False
        facts = ModelFacts(name=self._name, revision="scripted-1", kind="generate", max_model_len=self._max_model_len)
        return Description(facts, self._slots)

    async def generate(
        self, request: InferenceRequest, continue_from: Sequence[int] = ()
    ) -> AsyncGenerator[EngineDelta, None]:
        task = generate_task(request)
        prompt, script = _count(task), read_script(task.messages[-1].content)
        budget = answer_budget(prompt, task.parameters.max_tokens, self._max_model_len)
        if script.first and not continue_from:
            await asyncio.sleep(script.first)
        sequences = [_Sequence(index, task, script, budget) for index in range(task.parameters.n)]
        positions = range(len(continue_from), len(sequences[0].answer))
        for position in itertools.count(positions.start) if script.babble else positions:
            await self._pause(script, position)
            for sequence in sequences:
                if (delta := sequence.step(position, prompt)) is not None:
                    yield delta
            if all(sequence.over for sequence in sequences):
                return
        for sequence in sequences:
            yield EngineDelta(sequence.index, finish_reason=sequence.reason, prompt_tokens=prompt)

    async def prompt_tokens(self, request: InferenceRequest) -> int:
        return _count(generate_task(request))

    async def check(self) -> None:
        if self._died:
            raise EngineDied(self._died)

    def cache_room(self) -> float:
        return 1.0

    async def stop(self) -> None:
        self._steps.stop()

    async def _pause(self, script: Script, position: int) -> None:
        if position == script.fail_at:
            raise EngineError(f"the script fails at token {position}")
        if position == script.die_at:
            self._died = f"the script ends the engine at token {position}"
        self._frozen = self._frozen or position == script.freeze_at
        if self._frozen or position == script.hang_at:
            await asyncio.Event().wait()
        if script.pause and not self._died:
            await asyncio.sleep(script.pause)
        else:
            await self._steps.next()
        await self.check()


def read_script(text: str) -> Script:
    """The script in ``text``; words that are none are left alone."""
    found = {name: float(value) for name, value in _SETTING.findall(text)}
    return msgspec.convert({**found, "say": "".join(_SAY.findall(text)[-1:])}, Script, strict=False)


def token_text(token: int) -> str:
    """The text of one token id."""
    if token == OPEN:
        return '{"answer": "'
    if token >= CHARACTERS:
        return chr(token - CHARACTERS)
    return '"}' if token == CLOSE else WORDS[token] + " "


def answer_tokens(task: Generate, index: int, count: int) -> list[int]:
    """The whole answer: words that begin where the prompt's hash says, as one JSON object if that was asked for."""
    prompt = json.dumps([(message.role, message.content) for message in task.messages])
    begin = zlib.crc32(prompt.encode()) + index
    words = [(begin + position) % len(WORDS) for position in range(count)]
    parameters = task.parameters
    if parameters.json_object or parameters.json_schema is not None:
        return [OPEN, *words, CLOSE]
    return words


class _Sequence:
    """One of the answers of a request."""

    def __init__(self, index: int, task: Generate, script: Script, budget: int):
        said = task.parameters.choices[0] if task.parameters.choices else script.say
        whole = [CHARACTERS + ord(one) for one in said] or answer_tokens(task, index, script.tokens)
        self.index = index
        self.answer = whole[:budget]
        self.reason: FinishReason = "length" if len(whole) > budget else "stop"
        self.over = False
        self._babbles = bool(script.babble)
        self._watch = StopWatch(task.parameters.stop)

    def step(self, position: int, prompt: int) -> EngineDelta | None:
        if self.over:
            return None
        token = self.answer[position % len(self.answer)]
        text, ids = self._watch.push(token_text(token), (token,))
        self.over = not self._babbles and (self._watch.stopped or position + 1 == len(self.answer))
        if not self.over:
            return EngineDelta(self.index, text, ids, prompt_tokens=prompt) if ids else None
        rest, rest_ids = ("", ()) if self._watch.stopped else self._watch.flush()
        reason = "stop" if self._watch.stopped else self.reason
        return EngineDelta(self.index, text + rest, ids + rest_ids, reason, prompt_tokens=prompt)


class _Steps:
    """One clock for all requests, as in a real engine: every running request gets a token at each step."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._tick: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def next(self) -> None:
        if not self._seconds:
            await asyncio.sleep(0)
            return
        if self._tick is None:
            loop = asyncio.get_running_loop()
            self._tick = loop.create_future()
            self._timer = loop.call_later(self._seconds, self._strike)
        await asyncio.shield(self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._tick = None

    def _strike(self) -> None:
        tick, self._tick = self._tick, None
        if tick is not None:
            tick.set_result(None)


def _count(task: Generate) -> int:
    return sum(len(message.content.split()) + 1 for message in task.messages)
