"""What people wrote about Penstock can be followed: links lead somewhere, snippets compile, names are the code's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.routing import Route

from access.app import create_app
from access.settings import AccessSettings
from contracts.configuration import load
from inference_worker.settings import WorkerSettings
from limiter.settings import LimiterSettings
from penstock import headroom
from rag.settings import RagSettings

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("access", "contracts", "inference_worker", "limiter", "memory", "penstock", "rag")

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_METRIC = re.compile(r"`(penstock_\w+)[`{]")


class Snippet(NamedTuple):
    """A block of Python on a page."""

    page: str
    code: str


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def snippets() -> Iterator[Snippet]:
    for page in PAGES:
        for language, code in _FENCE.findall(text_of(page)):
            if language == "python":
                yield Snippet(page.name, code)


def anchors(page: Path) -> set[str]:
    """The names under which headings can be linked to."""
    titles = _HEADING.findall(_FENCE.sub("", text_of(page)))
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken: list[str] = []
    for target in _LINK.findall(_FENCE.sub("", text_of(page))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if not linked.exists() or (anchor and anchor not in anchors(linked)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("snippet", list(snippets()), ids=lambda snippet: snippet.page)
def test_every_python_snippet_compiles(snippet: Snippet) -> None:
    assert compile(snippet.code, snippet.page, "exec")


def test_the_readme_has_a_snippet_for_the_sdk() -> None:
    assert any("from openai import" in snippet.code for snippet in snippets() if snippet.page == "README.md")


def test_the_readme_asks_what_the_sample_faq_answers() -> None:
    asked = set(re.findall(r'"([A-Z][^"]+\?)"', text_of(ROOT / "README.md")))
    known = {json.loads(line)["question"] for line in text_of(ROOT / "rag" / "sample" / "faq.jsonl").splitlines()}
    assert asked
    assert asked - known == set()


def test_the_api_page_names_every_route() -> None:
    app = create_app(AccessSettings(), RagSettings())
    shown = text_of(ROOT / "docs" / "api.md")
    paths = {re.sub(r"\{(\w+)(?::\w+)?\}", r"{\1}", route.path) for route in app.routes if isinstance(route, Route)}
    assert {path for path in paths if f"`{path}`" not in shown} == set()


def test_every_error_code_of_the_api_page_exists() -> None:
    errors = text_of(ROOT / "docs" / "api.md").split("## Errors", 1)[1].split("## ", 1)[0]
    codes = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", "".join(re.findall(r"^\| \d{3} .*$", errors, re.MULTILINE))))
    sources = "".join(text_of(file) for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    assert len(codes) > 20
    assert {code for code in codes if f'"{code}"' not in sources} == set()


def test_the_settings_file_of_the_operations_page_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = _FENCE.findall(text_of(ROOT / "docs" / "operations.md"))
    (file,) = [block for language, block in blocks if language == "yaml"]
    (tmp_path / "penstock.yaml").write_text(file, encoding="utf-8")
    monkeypatch.setenv("PENSTOCK_CONFIG", str(tmp_path / "penstock.yaml"))
    assert load(AccessSettings).presets["faq-bot"].collections == ("faq",)
    assert load(LimiterSettings).tokens_per_minute == 200_000
    assert load(WorkerSettings).slots == 64


def test_every_metric_of_the_operations_page_exists() -> None:
    sources = "".join(text_of(file) for package in PACKAGES for file in (ROOT / package).rglob("metrics.py"))
    named = set(_METRIC.findall(text_of(ROOT / "docs" / "operations.md")))
    known = {name for name in named if name.removesuffix("_total") in sources}
    gate = {f"penstock_gate_{field}" for field in ("waiting", "waiting_tokens", "outstanding", "slots")}
    assert len(named) > 10
    assert named - known - gate == set()


def test_the_readme_asks_for_the_memory_that_a_start_asks_for() -> None:
    needed = headroom.needed_mb("vllm", workers=1, access=1, own_redis=True, own_milvus=True)
    rounded_up = -(-needed // 100) * 100
    assert f"{rounded_up:,} MB" in text_of(ROOT / "README.md")
