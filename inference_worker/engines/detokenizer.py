"""The text of tokens, one by one. Pure but for the tokenizer.

vLLM's own text does not do: it joins what a slow reader has not fetched, and then nobody can tell which of the tokens
at its end are half a character. Whoever went on behind half a character would be told the whole prompt: that is where
``DecodeStream`` begins when it cannot decide (tokenizers 0.23).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers.decoders import DecodeStream

UNDECIDED = "\N{REPLACEMENT CHARACTER}"
_CONTEXT = 16
"""Tokens before the first that are looked at: a tokenizer may write a word after another one with a blank."""
_BROKEN = "Invalid prefix encountered"


class Detokenizer:
    """Gives each token of one sequence its text; that of a character goes to the token that completes it.

    ``tokenizer`` is a ``tokenizers.Tokenizer``; ``before`` are the prompt and what was said of the answer.
    """

    def __init__(self, tokenizer: Any, before: Sequence[int]):
        self._tokenizer = tokenizer
        context = list(before[-_CONTEXT:])
        decided = len(context)
        while decided and tokenizer.decode(context[:decided]).endswith(UNDECIDED):
            decided -= 1
        self._stream = DecodeStream(ids=context[:decided], skip_special_tokens=True)
        for token in context[decided:]:
            self.text(token)

    def text(self, token: int) -> str:
        """The text of the next token; empty for a special one."""
        try:
            return self._stream.step(self._tokenizer, token) or ""
        except Exception as error:
            if not str(error).startswith(_BROKEN):
                raise
            # A tokenizer may take back what it has written, for bytes that are no text. vLLM starts anew as well.
            self._stream = DecodeStream(skip_special_tokens=True)
            return self._stream.step(self._tokenizer, token) or ""
