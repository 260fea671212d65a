"""The text of tokens: characters that are several tokens, and a beginning behind half of one."""

from __future__ import annotations

from typing import Any

import pytest

from inference_worker.engines.detokenizer import Detokenizer
from tests import tiny_model

PROMPT = "<|user|>Secret instructions.<|end|><|assistant|>"
ANSWER = "café 鸳鸯 👩‍💻 ok"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tiny_model.tokenizer().backend_tokenizer


@pytest.fixture(scope="module")
def prompt(tokenizer: Any) -> list[int]:
    return tokenizer.encode(PROMPT).ids


def said(tokenizer: Any, before: list[int], tokens: list[int]) -> list[str]:
    detokenizer = Detokenizer(tokenizer, before)
    return [detokenizer.text(token) for token in tokens]


def test_a_character_is_the_text_of_the_token_that_completes_it(tokenizer: Any, prompt: list[int]) -> None:
    tokens = tokenizer.encode("鸳").ids
    assert len(tokens) == 3
    assert said(tokenizer, prompt, tokens) == ["", "", "鸳"]


def test_wherever_it_begins_nothing_is_lost_and_nothing_of_the_prompt_is_told(
    tokenizer: Any, prompt: list[int]
) -> None:
    tokens = tokenizer.encode(ANSWER).ids
    whole = said(tokenizer, prompt, tokens)
    assert "".join(whole) == ANSWER
    for seam in range(1, len(tokens)):
        assert said(tokenizer, [*prompt, *tokens[:seam]], tokens[seam:]) == whole[seam:]


def test_special_tokens_have_no_text(tokenizer: Any, prompt: list[int]) -> None:
    assert said(tokenizer, prompt, tokenizer.encode("<|end|>").ids) == [""]


def test_bytes_that_are_no_text_do_not_stop_it(tokenizer: Any, prompt: list[int]) -> None:
    half, *_ = tokenizer.encode("鸳").ids
    after = tokenizer.encode("ok").ids
    assert "".join(said(tokenizer, prompt, [half, *after])).endswith("ok")
