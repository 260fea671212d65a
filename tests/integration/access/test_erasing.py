"""A user is erased: nothing that names them or that they wrote is left in Redis, and nobody else loses anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import redis

from contracts import connection, keys
from contracts.functions import Library, Protocol, Submission
from contracts.ids import (
    CONVERSATION_PREFIX,
    RESPONSE_PREFIX,
    RequestId,
    SessionId,
    Shard,
    TenantId,
    WorkerId,
    new_request_id,
    parse_public,
    shard_of,
)
from contracts.messages import CLASSES, ChatMessage, Generate, InferenceRequest
from penstock import embedded_redis, target, users
from penstock.errors import CommandError
from penstock.target import Target
from tests.servers import redis_server, wait_until
from tests.stack import API_KEY, Stack, stack

Http = httpx2.Client
PUBLISHERS = {"hotels": {"tenants": ["acme"]}}
PUSHES = keys.push("hotels")
SHARDS = 2
ODD = 'Zoë "Q" O\'Brien/../*?[x]{s0}:<b>%41 \\ 李'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access nodes, a limiter and a worker on two shards, with a publisher and finished turns written out."""
    folder = tmp_path_factory.mktemp("erasing")
    settings = {f"PENSTOCK_{role}__SHARDS": str(SHARDS) for role in ("ACCESS", "LIMITER", "WORKER")}
    settings |= {"MILVUS_URI": "http://127.0.0.1:9", "PENSTOCK_WORKER__LEASE_SECONDS": "1"}
    settings |= {"PENSTOCK_ACCESS__PUBLISHERS": json.dumps(PUBLISHERS), "PENSTOCK_ACCESS__WATCHED_TENANTS": '["acme"]'}
    settings |= {"PENSTOCK_ACCESS__CONVERSATION_RETENTION": "86400", "PENSTOCK_ACCESS__CONVERSATION_LENGTH": "20"}
    settings |= {"PENSTOCK_ACCESS__LOG_RETENTION": "120", "PENSTOCK_ACCESS__RESPONSE_RETENTION": "7200"}
    presets = json.dumps({"plain": {"model": "scripted"}})
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(redis_url, folder, PENSTOCK_ACCESS__PRESETS=presets, **settings) as made,
    ):
        made.limiter()
        made.worker("--engine", "scripted", "--served-name", "scripted", "--max-model-len", "1024")
        made.access()
        made.access()
        made.ready()
        yield made


@pytest.fixture
def store(served: Stack) -> Iterator[Any]:
    with contextlib.closing(redis.Redis.from_url(served.redis_url)) as opened:
        yield opened


@pytest.fixture
def admin(served: Stack) -> Iterator[Http]:
    with http(served, API_KEY) as opened:
        yield opened


@pytest.fixture
def acme(served: Stack, admin: Http) -> Iterator[Http]:
    """The backend of a tenant: a key that speaks for all its users."""
    with http(served, new_key(admin, "acme"), node=1) as opened:
        yield opened


def test_nothing_of_a_busy_user_is_left_and_another_keeps_everything(
    served: Stack, admin: Http, acme: Http, store: Any
) -> None:
    gone, stays = (
        Life(acme, admin, store, "ada-lovelace", "MARKADA"),
        Life(acme, admin, store, "bob-babbage", "MARKBOB"),
    )
    for life in (gone, stays):
        life.be_busy()
    kept = stays.seen()
    gone.be_told_in_vain()
    answer = admin.delete("/admin/users", params={"tenant": "acme", "user": gone.user}).json()
    assert answer["complete"] is True, answer
    erased = answer["erased"]
    assert erased["conversations"] == 5
    assert erased["requests"] >= 13
    assert erased["turns"] >= 35
    assert (erased["api_keys"], erased["profile_facts"], erased["dead_letters"]) == (1, 2, 1)
    assert (erased["idempotency_records"], erased["undelivered_pushes"]) == (4, 1)
    assert erased["learned_facts"] == 1
    assert erased["push_records"] >= 3
    assert erased["finished_turns"] >= 4
    until_gone(store, gone.markers)
    until_gone(store, gone.ids, but="penstock:{gate}:")
    assert stays.seen() == kept
    assert found(store, stays.markers)
    again = admin.delete("/admin/users", params={"tenant": "acme", "user": gone.user}).json()
    assert (again["complete"], set(again["erased"].values())) == (True, {0})


def test_what_runs_is_cancelled_first_and_then_erased(acme: Http, store: Any) -> None:
    made = acme.post("/v1/responses", json=question("MARKRUN tokens=2000 pause=0.05", "runner", background=True)).json()
    wait_until(lambda: acme.get(f"/v1/responses/{made['id']}").json()["status"] == "in_progress", "the answer running")
    answer = acme.delete("/v1/users/runner").json()
    assert (answer["complete"], answer["erased"]["requests"]) == (True, 1)
    assert acme.get(f"/v1/responses/{made['id']}").status_code == 404
    until_gone(store, [b"MARKRUN", b"runner"])


def test_what_does_not_stop_is_told_and_erased_by_the_next_call(acme: Http, store: Any) -> None:
    """A worker that has died took it, so nobody hears that it is cancelled, until its next one does."""
    request = stranded(store, "stuck")
    answer = acme.delete("/v1/users/stuck").json()
    assert (answer["complete"], answer["erased"]["requests"]) == (False, 0)
    assert answer["remains"][0]["what"] == "requests"
    assert found(store, [b"MARKSTUCK"])
    store.hset(keys.request(request), "state", "cancelled")
    answer = acme.delete("/v1/users/stuck").json()
    assert (answer["complete"], answer["erased"]["requests"]) == (True, 1)
    assert not found(store, [b"MARKSTUCK", b"stuck"])


def test_what_was_asked_before_the_conversation_was_theirs_and_does_not_stop_is_erased_by_the_next_call(
    acme: Http, store: Any
) -> None:
    """No index names it: it is found through the conversation alone, which waits for it."""
    made = next(conversations_on(acme, Shard(1)))
    request = stranded(store, "", conversation=made)
    adopted = acme.post("/v1/responses", json=question("tokens=2", "heir", conversation=made, on_busy="reject"))
    assert (adopted.status_code, acme.get(f"/v1/conversations/{made}").json()["user"]) == (400, "heir")
    other = acme.post("/v1/conversations", json={"user": "heir"}).json()["id"]
    answer = acme.delete("/v1/users/heir").json()
    assert (answer["complete"], answer["erased"]["conversations"]) == (False, 1)
    assert acme.get(f"/v1/conversations/{other}").status_code == 404
    store.hset(keys.request(request), "state", "cancelled")
    answer = acme.delete("/v1/users/heir").json()
    assert (answer["complete"], answer["erased"]["requests"], answer["erased"]["conversations"]) == (True, 1, 1)
    until_gone(store, [b"MARKSTUCK", b"heir"])


@pytest.mark.parametrize("torn", ["finished", "requests", "sessions"])
def test_a_call_that_was_broken_off_is_finished_by_the_next(acme: Http, admin: Http, store: Any, torn: str) -> None:
    """What the first call did before it died is done here by hand, up to one of its steps."""
    life = Life(acme, admin, store, f"torn-{torn}", f"MARKTORN{torn}")
    life.be_busy()
    half_erased(store, life.user, torn)
    assert acme.delete(f"/v1/users/{life.user}").json()["complete"] is True
    until_gone(store, life.markers)


@pytest.mark.parametrize("user", [ODD, "a/b", "..", ".", "*", " ", "x/profile", "%2e%2e", "ada\n", "u" * 128])
def test_a_name_may_have_any_character(acme: Http, admin: Http, store: Any, user: str) -> None:
    acme.post("/v1/conversations", json={"user": user, "title": "MARKODD"})
    acme.post("/v1/responses", json=question("tokens=2 MARKODD", user))
    answer = admin.delete("/admin/users", params={"tenant": "acme", "user": user}).json()
    assert (answer["user"], answer["erased"]["conversations"], answer["erased"]["requests"]) == (user, 1, 1)
    until_gone(store, [b"MARKODD"])


def test_a_name_in_the_path_may_have_any_character_but_dots_alone(acme: Http) -> None:
    for user in (ODD, "a/b", "x y"):
        acme.post("/v1/conversations", json={"user": user})
        answer = acme.delete(f"/v1/users/{quote(user, safe='')}").json()
        assert (answer["user"], answer["erased"]["conversations"]) == (user, 1)


def test_a_pattern_is_a_name_and_erases_nobody_else(acme: Http) -> None:
    made = acme.post("/v1/conversations", json={"user": "careful"}).json()["id"]
    for pattern in ("*", "care*", "carefu?", "[c]areful", "careful ", "CAREFUL"):
        assert acme.delete(f"/v1/users/{quote(pattern, safe='')}").json()["erased"]["conversations"] == 0
    assert acme.get(f"/v1/conversations/{made}").status_code == 200


def test_another_tenants_user_of_the_same_name_is_another_user(served: Stack, admin: Http, acme: Http) -> None:
    with http(served, new_key(admin, "rival")) as rival:
        theirs = rival.post("/v1/conversations", json={"user": "twin"}).json()["id"]
        acme.post("/v1/conversations", json={"user": "twin"})
        assert acme.delete("/v1/users/twin").json()["erased"]["conversations"] == 1
        assert rival.get(f"/v1/conversations/{theirs}").status_code == 200


def test_a_key_bound_to_a_user_erases_that_user_alone_and_is_gone_itself(served: Stack, admin: Http) -> None:
    with http(served, new_key(admin, "acme", user="self")) as own:
        made = own.post("/v1/conversations", json={}).json()["id"]
        refused = own.delete("/v1/users/other")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "user_not_found")
        assert own.get(f"/v1/conversations/{made}").status_code == 200
        answer = own.delete("/v1/users/self").json()
        assert (answer["erased"]["conversations"], answer["erased"]["api_keys"]) == (1, 1)
        assert own.get(f"/v1/conversations/{made}").status_code == 401


def test_a_key_without_the_scope_erases_nobody(served: Stack, admin: Http) -> None:
    with http(served, new_key(admin, "acme", scopes=["push", "knowledge"])) as other:
        assert other.delete("/v1/users/ada").status_code == 403
        assert other.delete("/admin/users", params={"tenant": "acme", "user": "ada"}).status_code == 403


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"tenant": "no such {tenant}", "user": "ada"}, 404),
        ({"tenant": "acme"}, 400),
        ({"tenant": "acme", "user": ""}, 400),
        ({"tenant": "acme", "user": "u" * 129}, 400),
    ],
)
def test_what_names_nobody_is_refused(admin: Http, params: dict[str, str], status: int) -> None:
    assert admin.delete("/admin/users", params=params).status_code == status


def test_a_conversation_of_nobodys_is_found_by_who_asked_in_it(acme: Http, store: Any) -> None:
    """As OpenAI's library makes them: the user is named with each question."""
    made = acme.post("/v1/conversations", json={}).json()["id"]
    before = acme.post("/v1/responses", json={"model": "plain", "input": "tokens=2 MARKOPEN", "conversation": made})
    acme.post("/v1/responses", json=question("tokens=2 MARKOPEN", "opener", conversation=made))
    assert acme.get(f"/v1/conversations/{made}").json()["user"] == "opener"
    refused = acme.post("/v1/responses", json=question("tokens=2", "intruder", conversation=made))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "conversation_of_another_user")
    assert acme.delete("/v1/users/opener").json()["erased"]["requests"] == 2
    assert acme.get(f"/v1/responses/{before.json()['id']}").status_code == 404
    until_gone(store, [b"MARKOPEN", b"opener"])


def test_the_command_erases_shows_and_says_whom_it_does_not_know(served: Stack, acme: Http) -> None:
    acme.post("/v1/conversations", json={"user": ODD})
    at = Target(f"http://127.0.0.1:{served.access_ports[0]}", API_KEY)
    answer = users.erase(at, "acme", ODD)
    assert (answer["user"], answer["erased"]["conversations"]) == (ODD, 1)
    erased, remains = users.tables(answer)
    assert erased.row_count == len(answer["erased"])
    assert remains.row_count == len(answer["remains"])
    with pytest.raises(CommandError, match="tenant"):
        users.erase(at, "no tenant", "ada")
    with pytest.raises(CommandError):
        users.erase(Target(at.url, "sk-wrong"), "acme", "ada")
    assert target.get(at, "/admin/keys")


def test_what_nobody_erases_leaves_by_itself_as_the_settings_say(acme: Http, store: Any) -> None:
    made = acme.post("/v1/conversations", json={"user": "leaver"}).json()["id"]
    stored = acme.post("/v1/responses", json=question("tokens=2", "leaver", conversation=made)).json()["id"]
    unstored = acme.post("/v1/responses", json=question("tokens=2", "leaver", store=False)).json()["id"]
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}] * 10
    for _ in range(20):
        acme.post(f"/v1/conversations/{made}/items", json={"items": said})
    session = SessionId(parse_public(made, CONVERSATION_PREFIX))
    for key in (keys.session(session), keys.turns(session)):
        assert 86400 - 60 < store.ttl(key) <= 86400
    assert store.xlen(keys.turns(session)) < 200
    for response, seconds in ((stored, 7200), (unstored, 120)):
        token = RequestId(parse_public(response, RESPONSE_PREFIX))
        assert seconds - 60 < store.ttl(keys.replies(token)) <= seconds


class Life:
    """What a user of acme leaves behind in every place that there is."""

    def __init__(self, acme: Http, admin: Http, store: Any, user: str, mark: str):
        self.acme, self.admin, self.store, self.user, self.mark = acme, admin, store, user, mark
        self.conversations: list[str] = []
        self.responses: list[str] = []

    @property
    def markers(self) -> list[bytes]:
        """What names them, and what they wrote or were told by others."""
        return [self.user.encode(), self.mark.encode()]

    @property
    def ids(self) -> list[bytes]:
        """Under these they were answered. The limiter knows requests by their ids for a while."""
        return [made.split("_", 1)[1].encode() for made in (*self.conversations, *self.responses)]

    def be_busy(self) -> None:
        self.own_key = new_key(self.admin, "acme", user=self.user)
        self.acme.put(f"/v1/users/{self.user}/profile", json={"facts": {"name": self.mark, "plan": "free"}})
        self.talk()
        self.go_on_for_long()
        self.ask_without_a_conversation()
        self.hear_pushes()
        dead_letter(self.store, self.user, self.mark)

    def talk(self) -> None:
        """Conversations on both shards, one of them had elsewhere; one message is deleted again."""
        for number in range(4):
            body = {"user": self.user, "title": self.mark, "metadata": {"about": self.mark}}
            made = self.acme.post("/v1/conversations", json=body).json()["id"]
            self.conversations.append(made)
            self.ask(question(f"{self.mark} {number} tokens=25", self.user, conversation=made))
        made = self.conversations[0]
        said = [{"role": "user", "content": self.mark}, {"role": "assistant", "content": self.mark}]
        item = self.acme.post(f"/v1/conversations/{made}/items", json={"items": said}).json()["data"][0]["id"]
        assert self.acme.delete(f"/v1/conversations/{made}/items/{item}").status_code == 200

    def go_on_for_long(self) -> None:
        """A conversation that outgrows the model: it is summarised, and learned from. Its questions interrupt."""
        self.acme.patch(f"/v1/users/{self.user}/profile", json={"learn": True})
        body = {"user": self.user, "summarize": True, "on_busy": "interrupt"}
        made = self.acme.post("/v1/conversations", json=body).json()["id"]
        self.conversations.append(made)
        filler = "water comes down the pipe " * 4
        said = [
            {"role": "user", "content": f'{filler} say="name: {self.mark}"'},
            {"role": "assistant", "content": filler},
        ]
        self.acme.post(f"/v1/conversations/{made}/items", json={"items": said * 10})
        self.ask(question("tokens=2", self.user, conversation=made, max_output_tokens=16))
        wait_until(lambda: self.get(f"/v1/conversations/{made}")["summary"] is not None, "the summary")
        wait_until(lambda: self.get(f"/v1/users/{self.user}/profile")["learned"], "what was learned")
        session = SessionId(parse_public(made, CONVERSATION_PREFIX))
        assert self.store.exists(keys.interrupting(session), keys.learned(TenantId("acme"), self.user)) == 2

    def get(self, path: str) -> Any:
        return self.acme.get(path).json()

    def ask_without_a_conversation(self) -> None:
        self.ask(question(f"{self.mark} tokens=26", self.user, store=False))
        self.ask(question(f"{self.mark} tokens=27", self.user, metadata={"of": self.mark}))
        self.ask(question(f"{self.mark} tokens=28", self.user, idempotency_key=self.mark))
        messages = [{"role": "user", "content": f"{self.mark} tokens=29"}]
        body = {"model": "plain", "user": self.user, "messages": messages}
        assert self.acme.post("/v1/chat/completions", json=body).status_code == 200
        waiting = question(f"{self.mark} tokens=3000 pause=0.05", self.user, background=True)
        self.acme.post("/v1/responses", json=waiting)

    def hear_pushes(self) -> None:
        """One by HTTP, one by stream, one that chose its conversation, and one that a model answered."""
        with http_like(self.acme, new_key(self.admin, "acme", scopes=["push"])) as publisher:
            items = [{"role": "assistant", "content": self.mark, "id": f"push-{self.mark}"}]
            publisher.post(f"/v1/conversations/{self.conversations[0]}/items", json={"items": items})
        self.store.xadd(PUSHES, {**self.message(1), "conversation": self.conversations[1]})
        self.store.xadd(PUSHES, {**self.message(2), "user": self.user})
        prompt = {"type": "prompt", "payload": json.dumps({"model": "plain", "prompt": f"{self.mark} tokens=2"})}
        self.store.xadd(PUSHES, {**self.message(4), **prompt, "conversation": self.conversations[0]})
        wait_until(lambda: self.store.xlen(PUSHES) == 0, "the pushes being delivered")

    def be_told_in_vain(self) -> None:
        """A push that a process has read which dies before it delivers it; for 5 s it is nobody else's."""
        with self.store.pipeline(transaction=True) as pipe:
            pipe.xadd(PUSHES, {**self.message(3), "user": self.user})
            pipe.xreadgroup("access", "elsewhere", {PUSHES: ">"}, count=10)
            pipe.execute()

    def message(self, number: int) -> dict[str, str]:
        payload = json.dumps({"text": self.mark})
        return {"id": f"{self.mark}-{number}", "tenant": "acme", "type": "message", "payload": payload}

    def ask(self, body: dict[str, Any]) -> None:
        answer = self.acme.post("/v1/responses", json=body)
        assert answer.status_code == 200, answer.text
        self.responses.append(answer.json()["id"])

    def seen(self) -> list[Any]:
        """All that their key and their tenant can see of it."""
        paths = [f"/v1/users/{self.user}/profile", f"/v1/conversations?user={self.user}&limit=100"]
        for one in self.conversations:
            paths += [f"/v1/conversations/{one}", f"/v1/conversations/{one}/items?limit=100"]
        paths += [f"/v1/responses/{one}" for one in self.responses]
        with http_like(self.acme, self.own_key) as own:
            return [[who.get(path).json() for path in paths] for who in (own, self.acme)]


def question(text: str, user: str, **more: Any) -> dict[str, Any]:
    return {"model": "plain", "input": text, "safety_identifier": user, **more}


def found(store: Any, markers: list[bytes]) -> list[str]:
    """The keys that hold one of the markers, in their name or in anything that a client can read of them."""
    return [key.decode() for key in store.scan_iter(count=1000) if any(mark in read(store, key) for mark in markers)]


def read(store: Any, key: bytes) -> bytes:
    """A key of any type with all it holds."""
    kind = store.type(key)
    match kind:
        case b"none":
            return b""
        case b"string":
            held = [store.get(key) or b""]
        case b"hash":
            held = [part for pair in store.hgetall(key).items() for part in pair]
        case b"stream":
            held = [part for _, fields in store.xrange(key) for pair in fields.items() for part in pair]
        case b"zset":
            held = store.zrange(key, 0, -1)
        case b"set":
            held = list(store.smembers(key))
        case b"list":
            held = store.lrange(key, 0, -1)
        case _:
            raise AssertionError(f"{key} is a {kind}, which nobody looks into")
    return b"\0".join([key, *held])


def test_the_reader_sees_into_every_type(store: Any) -> None:
    """Otherwise the tests above would show nothing."""
    made = {
        "t:string": lambda key: store.set(key, "SEEN"),
        "t:hash": lambda key: store.hset(key, "a", "SEEN"),
        "t:field": lambda key: store.hset(key, "SEEN", "a"),
        "t:stream": lambda key: store.xadd(key, {"a": "SEEN"}),
        "t:zset": lambda key: store.zadd(key, {"SEEN": 1}),
        "t:set": lambda key: store.sadd(key, "SEEN"),
        "t:list": lambda key: store.rpush(key, "SEEN"),
        "t:SEEN": lambda key: store.set(key, "a"),
    }
    for key, make in made.items():
        make(key)
    seen = found(store, [b"SEEN"])
    store.delete(*made)
    assert set(seen) == set(made)


def until_gone(store: Any, markers: list[bytes], but: str = "-") -> None:
    """Copies on their way to an access process, and what the limiter has not settled, leave by themselves."""
    left: list[str] = []

    def none_left() -> bool:
        left[:] = [key for key in found(store, markers) if not key.startswith(but)]
        return not left

    with contextlib.suppress(AssertionError):
        wait_until(none_left, "the last copies leaving", 20)
    assert left == []


def dead_letter(store: Any, user: str, mark: str) -> RequestId:
    """A request of a model that nobody serves; a worker that is none reports three dead engines."""
    return asyncio.run(_taken(store, user, mark, releases=4))


def stranded(store: Any, user: str, conversation: str = "") -> RequestId:
    """A request that a worker took that is no more."""
    session = SessionId(parse_public(conversation, CONVERSATION_PREFIX)) if conversation else None
    return asyncio.run(_taken(store, user, "MARKSTUCK", releases=0, session=session))


def conversations_on(acme: Http, shard: Shard) -> Iterator[str]:
    """New ones, nobody's: where each lies is drawn."""
    while True:
        made = acme.post("/v1/conversations", json={}).json()["id"]
        if shard_of(parse_public(made, CONVERSATION_PREFIX)) == shard:
            yield made


async def _taken(store: Any, user: str, mark: str, releases: int, session: SessionId | None = None) -> RequestId:
    url = "redis://{host}:{port}/{db}".format(**store.connection_pool.connection_kwargs)
    client = connection.commands(url)
    protocol, shard = Protocol(Library(client)), Shard(1)
    request = InferenceRequest(
        id=new_request_id(shard),
        tenant=TenantId("acme"),
        user=user,
        key="",
        model=f"nobody-{new_request_id(shard)}",
        service_class="interactive",
        task=Generate(messages=(ChatMessage(role="user", content=mark),)),
        created_at=time.time(),
        deadline_seconds=600,
        session=session,
        question=mark,
    )
    await protocol.submit(Submission(request, timedelta(hours=1)), queue_bound=100)
    for number in range(max(1, releases)):
        call = f"{request.id} {number}"
        lease = timedelta(seconds=5)
        grants = await protocol.take(shard, request.model, WorkerId("w"), call, slots=1, lease=lease, classes=CLASSES)
        for grant in grants if releases else ():
            await protocol.release(shard, [(grant.id, grant.generation)], "the engine died")
    await client.aclose()
    return request.id


def half_erased(store: Any, user: str, torn: str) -> None:
    """What a call leaves that dies behind one of its steps."""
    acme = TenantId("acme")
    shards = [Shard(number) for number in range(SHARDS)]
    if torn == "finished":
        for shard in shards:
            store.xtrim(keys.finished_turns(shard, acme), maxlen=0)
    for shard in shards if torn == "requests" else ():
        [first, *_] = store.zrange(keys.user_requests(shard, acme, user), 0, 0) or [b""]
        if first:
            store.delete(keys.request(RequestId(first.decode())), keys.replies(RequestId(first.decode())))
    for shard in shards if torn == "sessions" else ():
        for session in store.zrange(keys.sessions(shard, acme, user), 0, 0):
            store.delete(f"{keys.shard_prefix(shard)}session:{session.decode()}")


def new_key(admin: Http, tenant: str, **key: Any) -> str:
    made = admin.post("/admin/keys", json={"name": "k", "tenant": tenant, "scopes": ["inference"], **key})
    assert made.status_code == 200, made.text
    return made.json()["key"]


@contextlib.contextmanager
def http(served: Stack, key: str, node: int = 0) -> Generator[Http]:
    base = f"http://127.0.0.1:{served.access_ports[node]}"
    with httpx2.Client(base_url=base, headers={"authorization": f"Bearer {key}"}, timeout=60) as opened:
        yield opened


@contextlib.contextmanager
def http_like(other: Http, key: str) -> Generator[Http]:
    with httpx2.Client(base_url=other.base_url, headers={"authorization": f"Bearer {key}"}, timeout=60) as opened:
        yield opened
