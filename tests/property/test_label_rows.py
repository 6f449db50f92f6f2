"""Labels that go through JSON, SQLite and LangGraph's msgpack come back as they were; what cannot be read forbids."""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from session_router.core.governance import PUBLIC, TOP, Clearance, Level, Tag, permits
from session_router.core.label_row import (
    clearance_from_plain,
    clearance_of,
    clearance_to_plain,
    tag_from_plain,
    tag_of,
    tag_to_plain,
)
from session_router.errors import ConfigurationError, UnreadableLabel
from session_router.testing.strategies import clearances, tags

ANY_TAG = tags() | st.builds(replace, tags(), categories=st.frozensets(st.text()), regions=st.none() | st.frozensets(st.text(), max_size=2))
EVERYTHING = Clearance(
    max_level=Level.RESTRICTED,
    categories=frozenset({"pii", "phi"}),
    processing_regions=frozenset({"eu"}),
    trains=False,
    retention_seconds=0.0,
)
MESSAGE_PACK = JsonPlusSerializer()


def through_json(plain: dict[str, Any]) -> Any:
    return json.loads(json.dumps(plain, allow_nan=False))


def through_sqlite(plain: dict[str, Any]) -> Any:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE rows (label TEXT)")
        connection.execute("INSERT INTO rows VALUES (?)", (json.dumps(plain, allow_nan=False),))
        (text,) = connection.execute("SELECT label FROM rows").fetchone()
    return json.loads(text)


def through_message_pack(value: Any) -> Any:
    return MESSAGE_PACK.loads_typed(MESSAGE_PACK.dumps_typed(value))


WAYS = {"json": through_json, "sqlite": through_sqlite, "message pack": through_message_pack}


@pytest.mark.parametrize("way", WAYS)
def test_a_tag_comes_back(way: str) -> None:
    @given(ANY_TAG)
    def law(tag: Tag) -> None:
        assert tag_from_plain(WAYS[way](tag_to_plain(tag))) == tag

    law()


@pytest.mark.parametrize("way", WAYS)
def test_a_clearance_comes_back(way: str) -> None:
    @given(clearances())
    def law(clearance: Clearance) -> None:
        # A NaN equals nothing, itself included, and permits nothing either way.
        if clearance.attested_until is not None and math.isnan(clearance.attested_until):
            clearance = replace(clearance, attested_until=-math.inf)
        assert clearance_from_plain(WAYS[way](clearance_to_plain(clearance))) == clearance

    law()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("restriction", ["regions", "purposes"])
def test_an_empty_set_never_comes_back_as_unrestricted(way: str, restriction: str) -> None:
    nobody = Tag(**{restriction: frozenset()})
    back = tag_of(WAYS[way](tag_to_plain(nobody)))
    assert getattr(back, restriction) == frozenset()
    assert not permits(back, EVERYTHING, now=0.0, purpose="care")
    assert tag_of(WAYS[way](tag_to_plain(PUBLIC))) == PUBLIC
    assert permits(PUBLIC, EVERYTHING, now=0.0, purpose="care")


@given(ANY_TAG)
def test_a_tag_in_a_checkpoint_as_it_is_never_comes_back_as_less(tag: Tag) -> None:
    # Whether a checkpoint gives back the object or something plain is LangGraph's to say, and what is no tag is top.
    assert tag_of(through_message_pack({"tag": tag})["tag"]) in (tag, TOP)


def mutations(plain: dict[str, Any]) -> list[Any]:
    """Return what is almost a label, and none."""
    missing = [{name: value for name, value in plain.items() if name != left} for left in plain]
    wrong: list[Any] = [{**plain, name: value} for name in plain for value in (True, "x", 1.5, {}, ["a", 1], [None], b"x")]
    schemas = [{**plain, "schema": schema} for schema in (0, 2, "1", None, True)]
    return [*missing, *wrong, *schemas, {**plain, "clearance": "all"}, None, [], "public", 0, {}]


@given(tags())
def test_what_is_no_tag_is_top(tag: Tag) -> None:
    plain = tag_to_plain(tag)
    for other in mutations(plain):
        read = tag_of(other)
        # A mutation may happen to be another label; then that is what it says.
        assert read == TOP or tag_to_plain(read) == other


@given(clearances())
def test_what_is_no_clearance_sees_nothing(clearance: Clearance) -> None:
    plain = clearance_to_plain(clearance)
    for other in mutations(plain):
        read = clearance_of(other)
        assert read is None or clearance_to_plain(read) == other
        assert read is not None or not permits(PUBLIC, read, now=0.0)


@pytest.mark.parametrize("left_out", sorted(tag_to_plain(PUBLIC)))
def test_a_tag_without_a_field_is_refused(left_out: str) -> None:
    plain = tag_to_plain(PUBLIC)
    del plain[left_out]
    with pytest.raises(UnreadableLabel, match="the tag cannot be read"):
        tag_from_plain(plain)


@pytest.mark.parametrize("left_out", sorted(clearance_to_plain(EVERYTHING)))
def test_a_clearance_without_a_field_is_refused(left_out: str) -> None:
    plain = clearance_to_plain(EVERYTHING)
    del plain[left_out]
    with pytest.raises(UnreadableLabel, match="the clearance cannot be read"):
        clearance_from_plain(plain)


def test_an_error_quotes_nothing_of_a_label() -> None:
    with pytest.raises(UnreadableLabel) as caught:
        tag_from_plain({**tag_to_plain(PUBLIC), "subjects": "a name of somebody"})
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"categories": "pii"},
        {"regions": "eu"},
        {"regions": ""},
        {"purposes": 3},
        {"subjects": None},
        {"tenants": [1]},
        {"categories": None},
        {"no_train": None},
        {"zero_retention": "false"},
        {"expires_at": "2027-01-01"},
        {"expires_at": True},
        {"integrity": "believed"},
        {"level": None},
    ],
)
def test_a_tag_of_wrong_values_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Tag(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"categories": "pii"},
        {"processing_regions": None},
        {"processing_regions": "eu"},
        {"purposes": "care"},
        {"tenants": ""},
        {"trains": None},
        {"trains": 0},
        {"retention_seconds": False},
        {"retention_seconds": "0"},
        {"attested_until": "never"},
        {"endpoint": None},
        {"max_level": "restricted"},
    ],
)
def test_a_clearance_of_wrong_values_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Clearance(**fields)


def test_sets_of_any_kind_are_sets() -> None:
    assert Tag(categories=["pii", "pii"], regions=()) == Tag(categories=frozenset({"pii"}), regions=frozenset())  # type: ignore[arg-type]
    assert Clearance(categories={"pii"}) == Clearance(categories=frozenset({"pii"}))  # type: ignore[arg-type]


@given(tags(), clearances(), st.sampled_from((None, "care")))
def test_a_clock_that_gives_no_time_permits_nothing(tag: Tag, clearance: Clearance, purpose: str | None) -> None:
    assert not permits(tag, clearance, now=math.nan, purpose=purpose)
