"""Settings of knowledge."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rag.settings import RagSettings


def test_the_address_of_milvus_comes_from_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILVUS_URI", "http://10.0.0.1:19530")
    monkeypatch.setenv("PENSTOCK_RAG__DEADLINE", "0.5")
    settings = RagSettings()
    assert settings.milvus_uri == "http://10.0.0.1:19530"
    assert settings.deadline == timedelta(milliseconds=500)


def test_people_wait_300_milliseconds_for_at_most_three_passages() -> None:
    assert (RagSettings().deadline, RagSettings().passages) == (timedelta(milliseconds=300), 3)


@pytest.mark.parametrize("wrong", [{"passages": 0}, {"deadline": -1}, {"threshold": 2}, {"milvus_uri": "ftp://x"}])
def test_a_wrong_value_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        RagSettings.model_validate(wrong)
