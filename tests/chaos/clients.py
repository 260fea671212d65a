"""The load: clients that ask, lose their connections, come back on another node, and write down all they were told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from contracts.ids import COMPLETION_PREFIX, RESPONSE_PREFIX
from tests.chaos.transcript import ENDS, GAVE_UP, Completion, Transcript, never_ran, text_of
from tests.chaos.wire import Answer, Broken, asked

PATIENCE_SECONDS = 90.0
"""How long one question may take, through all faults. An answer takes five seconds at most, an outage ten, and half a
minute goes by until it is said that an access process is gone for good, and the requests with it that waited there."""
RETRY_SECONDS = 0.3
POLL_SECONDS = 0.2
RESPONSES, COMPLETIONS = "/v1/responses", "/v1/chat/completions"
TOLD_OF_A_LOSS = {"stream_reset", "response_not_found", "log_expired"}
"""Codes that say: what you were told is no more. Power loss may lead to them, nothing else."""
_ENDED = {kind.removeprefix("response.") for kind in ENDS}
_SHORT_OF_BREATH = {429, 500, 502, 503, 504}
"""Statuses after which a client asks again, as the SDK does."""


@dataclass
class Question:
    """One question of one user, and all that became of it.

    ``told`` are the ids it was given (accepted, hence stored), ``end`` the last status it heard, ``why`` the code of a
    failure, ``gone`` that it was told its answer is lost. ``texts`` are complete answers by the id they came under.
    """

    number: int
    prompt: str
    kind: str = ""
    end: str = ""
    why: str = ""
    gone: bool = False
    cancelled: bool = False
    told: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    events: int = 0
    resumes: int = 0
    retries: int = 0
    resets: int = 0
    faults: list[str] = field(default_factory=list)

    def learn(self, request: str, text: str, end: str) -> None:
        """An answer has come to its end."""
        self.end = end
        if request and end == "completed":
            before = self.texts.setdefault(request, text)
            if before != text:
                self.faults.append(f"{request} had two texts")


class Client:
    """Asks one question, and does not rest until it knows the end of it."""

    def __init__(self, ports: list[int], question: Question, random: Random, *, careful: bool):
        """``careful``: go on by cursor only, which is checked against the log, never by a bare number."""
        self._ports = ports
        self._question = question
        self._random = random
        self._careful = careful
        self._key = f"chaos-{question.number}-{random.getrandbits(64):x}"
        self._at = random.randrange(len(ports))

    async def ask(self) -> None:
        """One of the ways to ask, until its end."""
        ways: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
            ("stream", 0.45, self._stream),
            ("chat", 0.15, self._chat),
            ("whole chat", 0.05, self._whole_chat),
            ("background", 0.15, self._background),
            ("cancel", 0.1, self._cancel),
            ("twice at once", 0.1, self._twice),
        ]
        names, weights, acts = zip(*ways, strict=True)
        kind, act = self._random.choices(list(zip(names, acts, strict=True)), weights)[0]
        self._question.kind = kind
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await act()
        except TimeoutError:
            self._question.faults.append(f"no end within {PATIENCE_SECONDS:.0f} s")

    async def _stream(self) -> Transcript:
        seen = await self._streamed(self._body(stream=True))
        self._question.learn(seen.request, seen.text, seen.end)
        return seen

    async def _chat(self) -> None:
        body = {"model": "plain", "messages": [{"role": "user", "content": self._question.prompt}], "stream": True}
        while not (self._question.end or self._question.gone):
            seen = Completion()
            code = await self._frames("POST", COMPLETIONS, body, seen.take)
            self._question.gone = bool(code) and code != GAVE_UP
            self._note(seen.request, seen.events, seen.faults)
            if seen.end == "completed":
                self._question.learn(seen.request, seen.text, seen.end)
            elif GAVE_UP in (seen.end, code):
                self._question.learn(seen.request, seen.text, "failed")
            elif seen.end and seen.end not in ("cancelled", "stream_reset"):
                await self._pause()

    async def _whole_chat(self) -> None:
        body = {"model": "plain", "messages": [{"role": "user", "content": self._question.prompt}]}
        if not (answer := await self._until_ok("POST", COMPLETIONS, body)):
            return
        request = answer["id"].removeprefix(COMPLETION_PREFIX)
        self._note(request, 0, [])
        self._question.learn(request, answer["choices"][0]["message"]["content"], "completed")

    async def _background(self) -> None:
        while not (self._question.end or self._question.gone):
            made = await self._until_ok("POST", RESPONSES, self._body(background=True))
            if made:
                await self._poll(made["id"].removeprefix(RESPONSE_PREFIX))

    async def _poll(self, request: str) -> None:
        """Ask for a response until it has ended."""
        self._note(request, 0, [])
        while (found := await self._until_ok("GET", self._path(request))) and not never_ran(found):
            if found["status"] in _ENDED:
                self._question.learn(request, text_of(found), found["status"])
                self._question.why = (found["error"] or {}).get("code", "")
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _cancel(self) -> None:
        self._question.cancelled = True
        seen = Transcript()
        enough = self._random.randrange(1, 12)
        await self._streamed(self._body(stream=True), seen, lambda: seen.events >= enough or bool(seen.end))
        stopped = await self._until_ok("POST", f"{self._path(seen.request)}/cancel") if seen.request else {}
        if stopped and not seen.end:
            seen = await self._streamed(self._body(stream=True), seen)
        self._question.learn(seen.request, seen.text, seen.end)

    async def _twice(self) -> None:
        """The same question three times at once, under one key: one answer."""
        others = [Client(self._ports, self._question, self._random, careful=self._careful) for _ in range(2)]
        for other in others:
            other._key = self._key
        seen = await asyncio.gather(self._stream(), *(other._stream() for other in others))
        done = {one.request for one in seen if one.end == "completed"}
        if len(done) > 1 and not self._careful:  # a power loss may take the key's record, after its answer was given
            self._question.faults.append(f"one key was answered by {sorted(done)}")

    async def _streamed(
        self, body: dict[str, Any], seen: Transcript | None = None, enough: Callable[[], bool] | None = None
    ) -> Transcript:
        """Follow a response to its end (or until there is ``enough``), over as many connections as it takes."""
        seen = seen or Transcript()
        try:
            while not (seen.end or self._question.gone or (enough and enough())):
                method, path, sent, headers = self._next_step(seen, body)
                code = await self._frames(method, path, sent, seen.take, enough or self._bored(), **headers)
                if code in TOLD_OF_A_LOSS or seen.error:
                    self._told(seen, code)
        finally:
            self._note(seen.request, seen.events, seen.faults)
            self._question.resets += seen.resets
            seen.events = seen.resets = 0
        return seen

    def _next_step(self, seen: Transcript, body: dict[str, Any]) -> tuple[str, str, Any, dict[str, str]]:
        """Ask, as long as there is no id; then go on behind what was seen."""
        if not seen.request:
            return "POST", RESPONSES, body, {}
        self._question.told.add(seen.request)
        self._question.resumes += 1
        path = f"{self._path(seen.request)}?stream=true"
        if seen.cursor and (self._careful or self._random.random() < 0.5):
            seen.return_to_cursor()
            return "GET", path, None, {"last_event_id": seen.cursor}
        if seen.number >= 0 and not self._careful:
            return "GET", f"{path}&starting_after={seen.number}", None, {}
        seen.rewind()
        return "GET", path, None, {}

    def _told(self, seen: Transcript, code: str) -> None:
        """The service has said that this stream cannot go on as it was."""
        if code == "stream_reset":
            seen.rewind(told=True)
        elif code:
            self._question.gone = True
            self._question.faults += [] if self._careful else [f"{seen.request}: {code}"]
        else:  # refused while it waited: the request has failed, and the key is free for another try
            self._note(seen.request, 0, [])
            seen.rewind()
            seen.request = ""

    def _bored(self) -> Callable[[], bool]:
        """Some clients close their connection themselves, and come back."""
        left = self._random.randrange(2, 30) if self._random.random() < 0.15 else 1 << 30

        def over() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        return over

    async def _frames(
        self,
        method: str,
        path: str,
        body: object,
        take: Callable[[bytes], None],
        enough: Callable[[], bool] = lambda: False,
        **headers: str,
    ) -> str:
        """Take the frames of one connection, until it ends, breaks, or there is enough; the code of a refusal."""
        try:
            async with asked(self._port(), method, path, body, idempotency_key=self._key, **headers) as answer:
                if answer.status != 200:
                    return await self._refused(answer, path)
                async for frame in answer.frames():
                    take(frame)
                    if enough():
                        break
        except Broken:
            self._question.retries += 1
            await self._pause()
        return ""

    async def _until_ok(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to a call that may be repeated; empty when what it is about is gone."""
        while not (self._question.gone or self._question.end):
            try:
                async with asked(self._port(), method, path, body, idempotency_key=self._key) as answer:
                    if answer.status == 200:
                        return await answer.json()
                    code = await self._refused(answer, path)
                    if code == GAVE_UP:
                        self._question.learn("", "", "failed")
                    elif code:
                        self._question.gone = True
            except Broken:
                self._question.retries += 1
                await self._pause()
        return {}

    async def _refused(self, answer: Answer, path: str) -> str:
        """Wait, where asking again is right; else the code of what is wrong."""
        error = (await answer.json()).get("error", {})
        code = error.get("code") or str(answer.status)
        if code == GAVE_UP:
            return code
        asks_anew = self._careful and path in (RESPONSES, COMPLETIONS) and code in TOLD_OF_A_LOSS
        if answer.status in _SHORT_OF_BREATH or answer.status == 409 or asks_anew:
            self._question.retries += 1
            await self._pause()
            return ""
        if not (self._careful and code in TOLD_OF_A_LOSS):
            self._question.faults.append(f"{answer.status} {code} from {path.split('?', maxsplit=1)[0]}")
        return code if code in TOLD_OF_A_LOSS else "response_not_found"

    def _note(self, request: str, events: int, faults: list[str]) -> None:
        if request:
            self._question.told.add(request)
        self._question.events += events
        self._question.faults += [fault for fault in faults if fault not in self._question.faults]

    def _body(self, **more: bool) -> dict[str, Any]:
        return {"model": "plain", "input": self._question.prompt, **more}

    def _path(self, request: str) -> str:
        return f"{RESPONSES}/{RESPONSE_PREFIX}{request}"

    def _port(self) -> int:
        """Each call goes to the next node."""
        self._at += 1
        return self._ports[self._at % len(self._ports)]

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY_SECONDS * self._random.uniform(0.5, 1.5))


class Load:
    """Users who ask one question after the other."""

    def __init__(self, ports: list[int], random: Random, *, careful: bool, first_number: int):
        self.questions: list[Question] = []
        self._ports = ports
        self._random = random
        self._careful = careful
        self._next = first_number

    async def run(self, users: int, until: asyncio.Event) -> None:
        """Until told to stop; every question asked is then seen to its end."""
        async with asyncio.TaskGroup() as group:
            for _ in range(users):
                group.create_task(self._user(until))

    async def _user(self, until: asyncio.Event) -> None:
        random = Random(self._random.getrandbits(64))
        await asyncio.sleep(random.random())
        while not until.is_set():
            question = Question(self._next, _prompt(self._next, random))
            self._next += 1
            self.questions.append(question)
            await Client(self._ports, question, random, careful=self._careful).ask()


def _prompt(number: int, random: Random) -> str:
    """A question that says how it is answered; no two are the same."""
    tokens, pause = random.randrange(10, 120), random.choice((0.005, 0.01, 0.02, 0.04))
    return f"chaos {number} at {time.time():.0f} tokens={tokens} pause={pause}"
