"""What a request costs: tokens, weighted by model, and money. Pure, in whole numbers.

Money is counted in nanos, billionths of the currency's unit: 0.15 for a million tokens are 150 nanos a token.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.messages import ServiceClass

NANOS = 1_000_000_000
PERMILLE = 1000


class Cost(msgspec.Struct, frozen=True):
    """``tokens`` are weighted by their model: what buckets and quotas count."""

    tokens: int = 0
    nanos: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.tokens + other.tokens, self.nanos + other.nanos)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.tokens - other.tokens, self.nanos - other.nanos)


NOTHING = Cost()


class Terms(msgspec.Struct, frozen=True):
    """One model's: how much a token weighs, in thousandths, and what it costs, in nanos.

    ``from_zero``: no worker need be there, because one is started when somebody asks.
    """

    weight_permille: int = PERMILLE
    prompt_nanos: int = 0
    answer_nanos: int = 0
    from_zero: bool = False


class Tariff(msgspec.Struct, frozen=True):
    """The terms of every model that has its own, and what is charged of them in the batch class, in thousandths."""

    terms: Mapping[str, Terms]
    batch_permille: int = PERMILLE // 2

    def of(self, model: str) -> Terms:
        return self.terms.get(model, _PLAIN)

    def cost(self, model: str, service_class: ServiceClass, prompt_tokens: int, answer_tokens: int) -> Cost:
        """What so many tokens cost, parts of a token or nano rounded up."""
        terms = self.of(model)
        money = prompt_tokens * terms.prompt_nanos + answer_tokens * terms.answer_nanos
        share = self.batch_permille if service_class == "batch" else PERMILLE
        return Cost(_permille(prompt_tokens + answer_tokens, terms.weight_permille), _permille(money, share))


_PLAIN = Terms()


def _permille(amount: int, permille: int) -> int:
    return -(-amount * permille // PERMILLE)
