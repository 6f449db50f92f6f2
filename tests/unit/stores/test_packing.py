"""A session's plain form is read as it was written, by either packing; what was never written is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormsgpack import packb, unpackb

from session_router.core.boundary import Lock, LockKind
from session_router.core.governance import TOP
from session_router.core.label_row import TAG_FIELDS
from session_router.core.session import Session, SessionId
from session_router.core.session_row import session_to_plain
from session_router.errors import StoreCorrupt
from session_router.stores.packing import (
    ACCOUNT_FIELDS,
    BEFORE_FIELDS,
    JSON,
    LOCK_FIELDS,
    SESSION_FIELDS,
    VALUES,
    Packing,
)
from session_router.stores.rows import Row, RowCodec
from session_router.testing.sessions import full_session, sessions

ID = SessionId("5e" * 32)
FULL = session_to_plain(full_session(ID))


@pytest.mark.parametrize("packing", [JSON, VALUES], ids=lambda one: one.name)
@given(session=sessions())
def test_it_is_read_as_it_was_written(packing: Packing, session: Session) -> None:
    plain = json.loads(json.dumps(session_to_plain(session)))
    read = packing.unpacked(packing.packed(session_to_plain(session)))
    assert read == plain
    assert repr(read) == repr(plain), "whole numbers stay whole, and fractions fractions"


def test_no_field_is_left_out() -> None:
    """What is not named is not written: a field that is new belongs among the names."""
    found = {
        SESSION_FIELDS: FULL,
        LOCK_FIELDS: FULL["lock"],
        ACCOUNT_FIELDS: FULL["account"],
        BEFORE_FIELDS: FULL["before"],
        TAG_FIELDS: FULL["tag"],
    }
    assert all(tuple(plain) == fields for fields, plain in found.items())
    assert tuple(FULL["before"]["account"]) == ACCOUNT_FIELDS
    assert tuple(FULL["exposures"][0][1]) == tuple(FULL["readings"][0][0]) == TAG_FIELDS


def test_a_label_of_another_release_forbids_and_loses_nothing_else() -> None:
    codec = RowCodec(b"k" * 32, packing=VALUES)
    values = unpackb(VALUES.packed(FULL))
    values[SESSION_FIELDS.index("tag")].append("a field of another release")
    payload = packb(values)
    assert codec.decode(ID, Row(payload=payload, seal=codec._seal(ID, payload))) == replace(full_session(ID), tag=TOP)


@pytest.mark.parametrize("packing", [JSON, VALUES], ids=lambda one: one.name)
def test_half_of_a_surrogate_pair_is_written_too(packing: Packing) -> None:
    lock = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model="\udcff", waiting_for=("call-\ud800",))
    plain = session_to_plain(replace(full_session(ID), lock=lock))
    assert packing.unpacked(packing.packed(plain)) == json.loads(json.dumps(plain))


def with_value(name: str, value: object) -> list[Any]:
    return [value if field == name else FULL[field] for field in SESSION_FIELDS]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xc7\x03\x05abc",
        packb(FULL),
        packb(list(FULL.values())[:-1]),
        packb([*FULL.values(), None]),
        packb("text" * 4),
        packb(with_value("lock", [])),
        packb(with_value("lock", {"kind": "none", "model": None, "waiting_for": []})),
        packb(with_value("account", "eleven char")),
        packb(with_value("before", [None] * 6)),
        packb(with_value("before", 7)),
        packb(with_value("visits", {"fast": [float("nan")] * 6})),
        packb(with_value("readings", b"bytes")),
        packb(with_value("readings", [[]])),
        packb(with_value("exposures", [["fast"]])),
    ],
)
def test_values_that_are_no_session_are_refused(payload: bytes) -> None:
    codec = RowCodec(b"k" * 32, packing=VALUES)
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        codec.decode(ID, Row(payload=payload, seal=codec._seal(ID, payload)))


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_in_one_way(payload: bytes) -> None:
    codec = RowCodec(b"k" * 32, packing=VALUES)
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        codec.decode(ID, Row(payload=payload, seal=codec._seal(ID, payload)))
