"""Canonical JSON is what RFC 8785 says it is."""

from __future__ import annotations

import json
import math
import struct
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.audit.canonical import canonical, number

# RFC 8785, appendix B.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
}


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_of_the_standard(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert number(value) == text


def test_the_example_of_the_standard() -> None:
    # RFC 8785, sections 3.2.2 and 3.2.3.
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )
    names = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical(names))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_comes_back(value: float) -> None:
    assert float(number(value)) == value


SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(VALUES)
def test_a_value_comes_back_and_is_written_the_same_again(value: object) -> None:
    text = canonical(value)
    read = json.loads(text, parse_int=whole)
    assert read == value
    assert canonical(read) == text


def whole(text: str) -> float:
    # A float may be written as a whole number that no float reader would take for one.
    return int(text) if abs(int(text)) < 2**53 else float(text)


@given(st.dictionaries(st.text(max_size=3), SCALARS))
def test_the_order_of_names_does_not_matter(table: dict[str, object]) -> None:
    assert canonical(dict(reversed(table.items()))) == canonical(table)


def test_enumerations_are_their_values() -> None:
    class Word(StrEnum):
        ONE = "one"

    class Number(IntEnum):
        TWO = 2

    assert canonical({Word.ONE: [Word.ONE, Number.TWO, True]}) == b'{"one":["one",2,true]}'


def test_a_lone_surrogate_is_written_as_its_escape() -> None:
    assert canonical("\ud800 x") == b'"\\ud800 x"'
    assert json.loads(canonical({"\udc80": "\ud800"})) == {"\udc80": "\ud800"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53, -(2**53), b"x", {1: 2}, object(), {1, 2}])
def test_what_has_no_text_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical([value])
