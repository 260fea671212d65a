"""What one machine runs, decided before anything is started."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from access.settings import AccessSettings
from contracts.configuration import BadSettings
from penstock import plan
from penstock.errors import StartError
from penstock.plan import Addresses, Options, Served

HERE = Addresses("redis://127.0.0.1:1/0", "http://127.0.0.1:2", 1, 2, 3, 4, (5, 6), (8000, 8001))
SCRIPTED = Served("scripted", "", "scripted")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "MILVUS_URI", "PENSTOCK_CONFIG", "PENSTOCK_WORKER__ENGINE", "PENSTOCK_WORKER__MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_a_machine_runs_one_of_each_and_as_many_as_were_asked_for() -> None:
    programs = plan.service_programs(SCRIPTED, HERE, api_key="k", pepper="p")
    assert [(program.name, program.port) for program in programs] == [
        ("limiter-0", 3),
        ("worker-0", 5),
        ("worker-1", 6),
        ("embedder-0", 4),
        ("access-0", 8000),
        ("access-1", 8001),
    ]


def test_servers_that_run_elsewhere_are_not_started(tmp_path: Path) -> None:
    elsewhere = Addresses("redis://r/0", "http://m", None, None, 3, 4, (5,), (8000,))
    assert [program.name for program in plan.server_programs(tmp_path, elsewhere)] == ["reaper"]


def test_our_own_servers_keep_their_data_in_the_folder(tmp_path: Path) -> None:
    reaper, redis, milvus = plan.server_programs(tmp_path, HERE)
    assert str(tmp_path / "run.json") in reaper.command
    assert str(tmp_path / "redis") in redis.command
    assert str(tmp_path / "milvus") in milvus.command


def test_milvus_lite_is_stopped_by_the_one_signal_on_which_it_saves(tmp_path: Path) -> None:
    milvus = plan.server_programs(tmp_path, HERE)[-1]
    assert milvus.stop_signal == signal.SIGINT


def test_only_access_is_told_the_secrets() -> None:
    programs = plan.service_programs(SCRIPTED, HERE, api_key="the-key", pepper="the-pepper")
    told = {program.name.split("-")[0] for program in programs if "the-key" in program.environment.values()}
    assert told == {"access"}
    assert not any("the-key" in part or "the-pepper" in part for program in programs for part in program.command)


def test_who_needs_others_is_stopped_before_them() -> None:
    assert plan.STOP_ORDER.index("access") < plan.STOP_ORDER.index("worker") < plan.STOP_ORDER.index("limiter")
    assert plan.STOP_ORDER.index("limiter") < plan.STOP_ORDER.index("redis") < plan.STOP_ORDER.index("reaper")


def test_presets_follow_the_model_that_is_served() -> None:
    presets = json.loads(plan.presets(AccessSettings(), "llama-3"))
    assert presets["faq-bot"]["model"] == "llama-3"
    assert presets["faq-bot"]["collections"] == ["faq"]
    assert presets["faq-bot"]["word_for_word"] is False


def test_a_preset_on_another_model_stays_there() -> None:
    settings = AccessSettings.model_validate({"presets": {"helper": {"model": "other"}}})
    assert json.loads(plan.presets(settings, "llama-3"))["helper"]["model"] == "other"


def test_the_openai_engine_needs_to_know_whom_to_ask() -> None:
    with pytest.raises(StartError, match=r"--upstream-url and --upstream-model"):
        plan.served(Options(engine="openai", upstream_model="m"))


def test_an_upstreams_model_is_served_under_a_name_that_keys_can_carry() -> None:
    options = Options(engine="openai", upstream_url="http://127.0.0.1:11434/v1", upstream_model="llama3.2:1b")
    what = plan.served(options)
    assert (what.name, what.upstream_model) == ("llama3.2-1b", "llama3.2:1b")


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_WORKER__ENGINE", "openai")
    assert plan.served(Options(engine="scripted")).engine == "scripted"


def test_the_environment_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_WORKER__ENGINE", "scripted")
    assert plan.served(Options()).engine == "scripted"


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_WORKER__SLOTS", "many")
    with pytest.raises(BadSettings, match="SLOTS"):
        plan.served(Options(engine="scripted"))


def test_given_servers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    monkeypatch.setenv("MILVUS_URI", "http://elsewhere:19530")
    at = plan.addresses(Options(port=plan.ports.free(1)[0]))
    assert (at.redis_url, at.redis_port) == ("redis://elsewhere:6379/0", None)
    assert (at.milvus_uri, at.milvus_port) == ("http://elsewhere:19530", None)


def test_a_redis_in_the_settings_file_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text("redis_url: redis://from-the-file:6379/0\n", encoding="utf-8")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(tmp_path / "penstock.yaml"))
    assert plan.redis_url() == "redis://from-the-file:6379/0"
