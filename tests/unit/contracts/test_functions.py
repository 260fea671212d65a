"""The Lua library and its Python side name the same things."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from redis.crc import key_slot

from contracts import keys, states
from contracts.functions.library import BODY
from contracts.functions.protocol import LETTERS, TERMINAL_LETTERS
from contracts.ids import AccessId, RequestId, SessionId, Shard, TenantId, WorkerId
from contracts.messages import TERMINAL

FOLDER = resources.files("contracts.functions")
REQUEST, SESSION = RequestId("s0_" + "0" * 32), SessionId("s0_" + "1" * 32)
SHARD_PREFIX, GATE_PREFIX = keys.shard_prefix(Shard(0)), keys.gate_prefix()

EXPECTED = {
    "request_key": keys.request(REQUEST),
    "replies_key": keys.replies(REQUEST),
    "requests_key": keys.requests(Shard(0), "m", "batch"),
    "leases_key": keys.leases(Shard(0), "m"),
    "suspects_key": keys.suspects(Shard(0), "m"),
    "emptying_key": keys.emptying(Shard(0), "m"),
    "bell_key": keys.bell(Shard(0), "m"),
    "deadlines_key": keys.deadlines(Shard(0)),
    "grants_key": keys.grants(Shard(0), WorkerId("w")),
    "mailbox_key": keys.mailbox(Shard(0), AccessId("a")),
    "usage_key": keys.usage(Shard(0)),
    "deadletters_key": keys.deadletters(Shard(0)),
    "sweeping_key": keys.sweeping(Shard(0)),
    "swept_key": keys.swept(Shard(0)),
    "session_key": keys.session(SESSION),
    "turns_key": keys.turns(SESSION),
    "session_channel_key": keys.session_channel(SESSION),
    "finished_key": keys.finished_turns(Shard(0), TenantId("acme")),
    "active_key": keys.active_limiter(),
    "epoch_key": keys.limiter_epoch(),
    "verdict_key": keys.verdict(REQUEST),
    "ledger_key": keys.ledger(TenantId("acme")),
    "spent_key": keys.spent(TenantId("acme"), "2026-11"),
    "levels_key": keys.levels("0a"),
    "estimates_key": keys.estimates(TenantId("acme")),
    "reservations_key": keys.reservations(),
    "commit_key": keys.last_commit(),
}
_KEY = re.compile(r"local function (\w+_key)\((.*?)\) return (.*?) end")


def built(name: str, parameters: str, expression: str) -> str:
    """The key a Lua one-liner builds, computed here."""
    values = {
        "p": GATE_PREFIX if EXPECTED[name].startswith(GATE_PREFIX) else SHARD_PREFIX,
        "id": SESSION if name in ("session_key", "turns_key", "session_channel_key") else REQUEST,
        "model": "m",
        "class": "batch",
        "worker": "w",
        "access": "a",
        "tenant": "acme",
        "period": "2026-11",
        "account": "0a",
    }
    assert set(parameters.split(", ")) <= set(values)
    parts = [part.strip() for part in expression.split("..")]
    return "".join(part.strip("'") if part.startswith("'") else values[part] for part in parts)


def test_every_key_the_library_builds_is_one_of_ours() -> None:
    found = {name: built(name, parameters, expression) for name, parameters, expression in _KEY.findall(BODY)}
    assert found == EXPECTED


@pytest.mark.parametrize("shard", [0, 1, 7, 999])
def test_all_keys_of_a_shard_and_its_sessions_share_one_cluster_slot(shard: int) -> None:
    prefix = keys.shard_prefix(Shard(shard))
    built_keys = [key.replace(SHARD_PREFIX, prefix) for key in EXPECTED.values() if key.startswith(SHARD_PREFIX)]
    idempotency = keys.idempotency(Shard(shard), TenantId("acme"), "}{s5}:key")
    assert {key_slot(key.encode()) for key in [prefix, idempotency, *built_keys]} == {key_slot(prefix.encode())}
    assert len(built_keys) > 10


def test_all_keys_of_the_gate_share_one_cluster_slot() -> None:
    built_keys = [key for key in EXPECTED.values() if key.startswith(GATE_PREFIX)]
    assert len({key_slot(key.encode()) for key in built_keys}) == 1


def test_no_key_is_spelt_outside_these_one_liners() -> None:
    spelt = [line for line in BODY.splitlines() if re.search(r"\bp \.\. '", line) and not _KEY.search(line)]
    assert spelt == []


def test_the_ended_states_are_those_of_the_table() -> None:
    [listed] = re.findall(r"local ENDED = \{(.*?)\}", BODY)
    assert set(re.findall(r"(\w+) = true", listed)) == set(states.TERMINAL)


def test_the_letters_that_end_a_log_are_those_of_the_terminal_replies() -> None:
    [listed] = re.findall(r"local END_OF = \{(.*?)\}", BODY)
    assert set(re.findall(r"(\w) = ", listed)) == set(TERMINAL_LETTERS) == {LETTERS[kind] for kind in TERMINAL}


def test_every_reply_has_a_letter_of_its_own() -> None:
    assert len(set(LETTERS.values())) == len(LETTERS) == 8


def test_the_verdicts_channel_is_spelt_alike() -> None:
    [prefix] = re.findall(r"VERDICTS_CHANNEL = '(.*?)'", BODY)
    assert prefix + "a" == keys.verdicts_channel(AccessId("a"))


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir() if path.name.endswith(".lua")))
def test_every_file_is_part_of_the_library(name: str) -> None:
    assert FOLDER.joinpath(name).read_text(encoding="utf-8").strip() in BODY


def test_every_registered_name_is_called_from_python() -> None:
    registered = set(re.findall(r"^register\('(\w+)'", BODY, re.MULTILINE))
    typed = ("protocol.py", "gate.py", "push.py", "push_quota.py", "turns.py", "summary.py", "learned.py")
    source = "".join(FOLDER.joinpath(name).read_text(encoding="utf-8") for name in typed)
    assert registered == set(re.findall(r'\.call\(\s*"(\w+)"', source))
