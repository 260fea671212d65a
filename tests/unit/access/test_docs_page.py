"""``/docs``: works without a network, and says what really happens."""

from __future__ import annotations

import re
from typing import Any

import pytest

from access.app import create_app
from access.routes.docs import STATIC
from access.settings import AccessSettings
from rag.settings import RagSettings


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create_app(AccessSettings(), RagSettings()).openapi()


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = (STATIC / "docs.html").read_text(encoding="utf-8")
    found = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert found
    assert all(one.startswith(("/static/", "data:")) for one in found)


def test_every_file_the_page_names_is_there() -> None:
    page = (STATIC / "docs.html").read_text(encoding="utf-8")
    named = re.findall(r'"/static/([^"]+)"', page)
    assert len(named) == 3
    assert all((STATIC / name).is_file() for name in named)


def test_the_licence_comes_along() -> None:
    assert "Apache License" in (STATIC / "swagger" / "LICENSE").read_text(encoding="utf-8")


def test_every_route_has_a_tag_and_a_summary(described: dict[str, Any]) -> None:
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    assert len(operations) > 40
    assert all(operation["tags"] and operation["summary"] for operation in operations)


def test_errors_are_described_as_they_are_sent(described: dict[str, Any]) -> None:
    answers = described["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert "422" not in answers
    assert answers["400"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


def test_the_key_can_be_entered(described: dict[str, Any]) -> None:
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
