"""The language of filters: what it lets through, what it refuses, and that it names the field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from access.attributes import MOST_COMPARISONS, Filter, ValidAttributes, Value, both, either
from access.problems import _of_validation
from access.routes.bodies import Body
from contracts.errors import CallerError


class Asked(Body):
    filters: Filter | None = None
    attributes: ValidAttributes | None = None


FILE: dict[str, Value] = {"lang": "de", "year": 2024, "price": 9.5, "public": True, "day": "2024-05-01"}
VALUES = st.text(max_size=5) | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5])


def filter_of(**wire: Any) -> Filter:
    return TypeAdapter[Filter](Filter).validate_python(wire)


def passes(attributes: dict[str, Value] = FILE, **wire: Any) -> bool:
    return filter_of(**wire).matches(attributes)


def refused(**body: Any) -> CallerError:
    with pytest.raises(ValidationError) as raised:
        Asked.model_validate(body)
    return _of_validation([{**problem, "loc": ("body", *problem["loc"])} for problem in raised.value.errors()])


@pytest.mark.parametrize(
    ("type_", "key", "value"),
    [
        ("eq", "lang", "de"), ("eq", "year", 2024), ("eq", "year", 2024.0), ("eq", "public", True),
        ("ne", "lang", "en"), ("ne", "year", 2023),
        ("gt", "year", 2023), ("gt", "price", 9), ("gte", "year", 2024), ("gte", "day", "2024-05-01"),
        ("lt", "price", 9.6), ("lt", "day", "2024-06"), ("lte", "year", 2024),
        ("in", "lang", ["en", "de"]), ("in", "year", ["2024", 2024]), ("nin", "lang", ["en", "fr"]),
    ],
)  # fmt: skip
def test_a_file_passes_what_is_true_of_it(type_: str, key: str, value: Any) -> None:
    assert passes(type=type_, key=key, value=value)


@pytest.mark.parametrize(
    ("type_", "key", "value"),
    [
        ("eq", "lang", "DE"), ("eq", "lang", "de "), ("ne", "lang", "de"),
        ("gt", "year", 2024), ("gte", "year", 2024.5), ("lt", "year", 2024), ("lte", "price", 9),
        ("in", "lang", ["en", "fr"]), ("nin", "lang", ["en", "de"]),
    ],
)  # fmt: skip
def test_a_file_does_not_pass_what_is_false_of_it(type_: str, key: str, value: Any) -> None:
    assert not passes(type=type_, key=key, value=value)


@pytest.mark.parametrize(
    ("type_", "key", "value"),
    [
        ("eq", "year", "2024"), ("eq", "public", 1), ("eq", "public", "true"), ("in", "public", [1, "true"]),
        ("gt", "year", "1"), ("gt", "lang", 1), ("lt", "public", 2), ("gte", "public", "a"),
    ],
)  # fmt: skip
def test_values_of_two_kinds_are_never_equal_and_have_no_order(type_: str, key: str, value: Any) -> None:
    assert not passes(type=type_, key=key, value=value)


def test_a_file_without_the_key_is_unlike_every_value() -> None:
    for type_, value in {"eq": "", "in": ["", 0, False], "gt": -1, "lte": "z"}.items():
        assert not passes(type=type_, key="team", value=value)
    assert passes(type="ne", key="team", value="a")
    assert passes(type="nin", key="team", value=["a"])


def test_filters_are_joined_to_any_depth() -> None:
    german = {"type": "eq", "key": "lang", "value": "de"}
    old = {"type": "lt", "key": "year", "value": 2000}
    assert not passes(type="and", filters=[german, old])
    assert passes(type="or", filters=[german, old])
    assert passes(type="and", filters=[german, {"type": "or", "filters": [old, {"type": "and", "filters": [german]}]}])


@given(VALUES, st.dictionaries(st.sampled_from("ab"), VALUES))
def test_a_denial_passes_exactly_what_its_opposite_does_not(value: Value, attributes: dict[str, Value]) -> None:
    for yes, no, wanted in (("eq", "ne", value), ("in", "nin", [value])):
        passing = [passes(attributes, type=type_, key="a", value=wanted) for type_ in (yes, no)]
        assert sorted(passing) == [False, True]


def test_no_filter_lets_everything_pass() -> None:
    german = filter_of(type="eq", key="lang", value="de")
    assert both(None, german) == both(german, None) == german
    assert both(None, None) is either(None, german) is either(german, None) is None


def test_two_filters_are_asked_together_or_one_of_them() -> None:
    german = filter_of(type="eq", key="lang", value="de")
    old = filter_of(type="lt", key="year", value=2000)
    together, one_of_them = both(german, old), either(german, old)
    assert together is not None
    assert one_of_them is not None
    assert [together.matches(FILE), one_of_them.matches(FILE)] == [False, True]


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        ({}, "filters", "'type' is one of eq, ne, gt"),
        ([], "filters", "'type' is one of"),
        ("lang == 'de'", "filters", "'type' is one of"),
        ({"type": "like", "key": "a", "value": "b"}, "filters", "'type' is one of"),
        ({"type": "eq", "value": "b"}, "filters.key", "required"),
        ({"type": "eq", "key": "", "value": "b"}, "filters.key", "1 to 64"),
        ({"type": "eq", "key": "k" * 65, "value": "b"}, "filters.key", "1 to 64"),
        ({"type": "eq", "key": "a"}, "filters.value", "required"),
        ({"type": "eq", "key": "a", "value": None}, "filters.value", "a string"),
        ({"type": "eq", "key": "a", "value": ["b"]}, "filters.value", "a string"),
        ({"type": "eq", "key": "a", "value": "b" * 513}, "filters.value", "512"),
        ({"type": "gt", "key": "a", "value": True}, "filters.value", "order"),
        ({"type": "in", "key": "a", "value": "b"}, "filters.value", "list"),
        ({"type": "in", "key": "a", "value": []}, "filters.value", "at least 1"),
        ({"type": "nin", "key": "a", "value": ["b", {}]}, "filters.value.1", "a string"),
        ({"type": "eq", "key": "a", "value": "b", "or": 1}, "filters.or", "not permitted"),
        ({"type": "and", "filters": []}, "filters.filters", "at least 1"),
        ({"type": "and", "filters": [{"type": "or", "filters": [{"type": "x"}]}]}, "filters.filters.0.filters.0", "eq"),
    ],
)
def test_a_wrong_filter_is_refused_by_the_name_of_the_field(given: Any, param: str, words: str) -> None:
    problem = refused(filters=given)
    assert problem.param == param
    assert words in problem.message


def test_a_filter_compares_with_a_bounded_number_of_values() -> None:
    half = {"type": "in", "key": "a", "value": list(range(MOST_COMPARISONS // 2 + 1))}
    assert refused(filters={"type": "or", "filters": [half, half]}).param == "filters"


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        ([], "attributes", "dictionary"),
        ({str(number): 1 for number in range(17)}, "attributes", "at most 16"),
        ({"": 1}, "attributes", "1 to 64"),
        ({"k" * 65: 1}, "attributes", "1 to 64"),
        ({"a": "b" * 513}, "attributes.a", "512"),
        ({"a": None}, "attributes.a", "a string"),
        ({"a": ["b"]}, "attributes.a", "a string"),
        ({"a": {"b": 1}}, "attributes.a", "a string"),
        ({"a": float("nan")}, "attributes.a", "a number"),
        ({"a": float("inf")}, "attributes.a", "a number"),
        ({"a": 2**63}, "attributes.a", "64 bits"),
    ],
)
def test_wrong_attributes_are_refused_by_name(given: Any, param: str, words: str) -> None:
    problem = refused(attributes=given)
    assert problem.param == param
    assert words in problem.message


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=512)
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False),
        max_size=16,
    )
)
def test_attributes_are_kept_as_they_were_given(attributes: dict[str, Value]) -> None:
    kept = Asked.model_validate({"attributes": attributes}).attributes
    assert kept == attributes
    read = msgspec.json.decode(msgspec.json.encode(kept), type=dict[str, str | bool | int | float])
    assert {key: (type(value), value) for key, value in read.items()} == {
        key: (type(value), value) for key, value in attributes.items()
    }
