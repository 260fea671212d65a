"""A scope's filter says what its guard lets through, and nothing that a caller wrote becomes syntax of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import NotFound
from contracts.ids import TenantId
from rag.scope import Scope

ACME = TenantId("acme")


def row(tenant: str = "acme", collection: str = "vs_1", document: str = "file-1") -> dict[str, str]:
    return {"tenant": tenant, "collection": collection, "document": document}


def test_collections_are_searched_whole() -> None:
    assert Scope(ACME, ["vs_1", "vs_2"]).where == 'tenant == "acme" and collection in ["vs_1", "vs_2"]'


def test_documents_narrow_their_own_collection_alone() -> None:
    scope = Scope(ACME, ["vs_1", "vs_2", "vs_3"], {"vs_1": {"file-2", "file-1"}, "vs_2": set()})
    assert scope.where == (
        'tenant == "acme" and collection in ["vs_1", "vs_2", "vs_3"] and (collection in ["vs_3"]'
        ' or (collection == "vs_1" and document in ["file-1", "file-2"]))'
    )


def test_where_no_document_passes_there_is_nothing_to_search() -> None:
    assert Scope(ACME, ["vs_1", "vs_2"], {"vs_1": set(), "vs_2": set()}).is_empty
    assert not Scope(ACME, ["vs_1", "vs_2"], {"vs_1": set()}).is_empty
    assert Scope(ACME, []).is_empty


def test_the_guard_lets_through_what_the_filter_asks_for() -> None:
    scope = Scope(ACME, ["vs_1", "vs_2"], {"vs_1": {"file-1"}})
    assert scope.holds(row())
    assert scope.holds(row(collection="vs_2", document="file-9"))


@pytest.mark.parametrize("foreign", [row(tenant="globex"), row(collection="vs_9"), row(document="file-2")])
def test_the_guard_stops_what_the_filter_does_not_ask_for(foreign: dict[str, str]) -> None:
    assert not Scope(ACME, ["vs_1"], {"vs_1": {"file-1"}}).holds(foreign)


@given(st.text())
def test_a_document_that_is_no_id_never_reaches_a_filter(document: str) -> None:
    scope = Scope(ACME, ["vs_1"], {"vs_1": {document}})
    try:
        where = scope.where
    except NotFound:
        return
    assert where.endswith(f' and ((collection == "vs_1" and document in ["{document}"]))')
    assert where.count('"') == 8
