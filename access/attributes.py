"""Attributes of files, and filters on them, in OpenAI's words. Pure.

A file that lacks a key has no value there, which is like no other: ``eq``, ``in`` and the orders are false of it,
``ne`` and ``nin`` are true. Numbers compare as numbers and strings by their code points; values of two kinds are never
equal and have no order, and ``true`` is not 1.

Source: https://platform.openai.com/docs/api-reference/vector-stores, ``attributes`` of a file, ``ComparisonFilter``,
``CompoundFilter``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

MOST_ATTRIBUTES = 16
LONGEST_KEY = 64
LONGEST_TEXT = 512
MOST_COMPARISONS = 256
"""Values that one filter compares with, at most: it is asked of every file of a store."""

Value = str | bool | int | float
Attributes = Mapping[str, Value]


def _key(given: Any) -> Any:
    if isinstance(given, str) and not 0 < len(given) <= LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} characters")
    return given


def _keys(given: Any) -> Any:
    for key in given if isinstance(given, dict) else ():
        _key(key)
    return given


def _value(given: Any) -> Any:
    if isinstance(given, str):
        fits = len(given) <= LONGEST_TEXT
    elif isinstance(given, int):
        fits = -(2**63) <= given < 2**63
    else:
        fits = isinstance(given, float) and math.isfinite(given)
    if not fits:
        raise ValueError(f"a value is a string of at most {LONGEST_TEXT} characters, a number of 64 bits, or a boolean")
    return given


def _ordered(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("only numbers and strings have an order")  # noqa: TRY004  (pydantic takes this one alone)
    return _value(given)


ValidKey = Annotated[str, BeforeValidator(_key)]
ValidValue = Annotated[Value, BeforeValidator(_value)]
OrderedValue = Annotated[str | int | float, BeforeValidator(_ordered)]
ValidAttributes = Annotated[dict[str, ValidValue], Field(max_length=MOST_ATTRIBUTES), BeforeValidator(_keys)]
"""Attributes as a request brings them."""


class _Part(BaseModel):
    # A field that we do not know would let through more than was asked for.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    @property
    def comparisons(self) -> int:
        """How many values it compares with."""
        return 1


class Equality(_Part):
    """The value is this one, or is not."""

    type: Literal["eq", "ne"]
    key: ValidKey
    value: ValidValue

    def matches(self, attributes: Attributes) -> bool:
        return _is_same(attributes.get(self.key), self.value) == (self.type == "eq")


class Order(_Part):
    """The value is greater or less than this one."""

    type: Literal["gt", "gte", "lt", "lte"]
    key: ValidKey
    value: OrderedValue

    def matches(self, attributes: Attributes) -> bool:
        found: Any = attributes.get(self.key)
        if found is None or isinstance(found, bool) or isinstance(found, str) != isinstance(self.value, str):
            return False
        return bool(_ORDERS[self.type](found, self.value))


class Membership(_Part):
    """The value is one of these, or none of them."""

    type: Literal["in", "nin"]
    key: ValidKey
    value: Annotated[list[ValidValue], Field(min_length=1, max_length=MOST_COMPARISONS)]

    @property
    def comparisons(self) -> int:
        return len(self.value)

    def matches(self, attributes: Attributes) -> bool:
        found = attributes.get(self.key)
        return any(_is_same(found, one) for one in self.value) == (self.type == "in")


class Compound(_Part):
    """All of these filters match, or any."""

    type: Literal["and", "or"]
    filters: Annotated[list[Filter], Field(min_length=1, max_length=MOST_COMPARISONS)]

    @property
    def comparisons(self) -> int:
        return sum(one.comparisons for one in self.filters)

    def matches(self, attributes: Attributes) -> bool:
        every = all if self.type == "and" else any
        return every(one.matches(attributes) for one in self.filters)

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.comparisons > MOST_COMPARISONS:
            raise ValueError(f"a filter compares with {MOST_COMPARISONS} values at most")
        return self


_ORDERS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
_KINDS = {
    **dict.fromkeys(("eq", "ne"), "Equality"),
    **dict.fromkeys(_ORDERS, "Order"),
    **dict.fromkeys(("in", "nin"), "Membership"),
    **dict.fromkeys(("and", "or"), "Compound"),
}


def _kind(given: Any) -> str | None:
    type_ = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return _KINDS.get(type_) if isinstance(type_, str) else None


Filter = TypeAliasType(
    "Filter",
    Annotated[
        Annotated[Equality, Tag("Equality")]
        | Annotated[Order, Tag("Order")]
        | Annotated[Membership, Tag("Membership")]
        | Annotated[Compound, Tag("Compound")],
        Discriminator(
            _kind,
            custom_error_type="unknown_filter",
            custom_error_message=f"a filter is an object whose 'type' is one of {', '.join(_KINDS)}",
        ),
    ],
)
"""What a file's attributes must be like."""
Compound.model_rebuild()


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """What passes both filters; ``None`` lets everything pass."""
    if one is None or other is None:
        return one or other
    return Compound.model_construct(type="and", filters=[one, other])


def either(one: Filter | None, other: Filter | None) -> Filter | None:
    """What passes one of the filters; ``None`` lets everything pass."""
    if one is None or other is None:
        return None
    return Compound.model_construct(type="or", filters=[one, other])


def _is_same(found: Value | None, value: Value) -> bool:
    return found == value and isinstance(found, bool) == isinstance(value, bool)
