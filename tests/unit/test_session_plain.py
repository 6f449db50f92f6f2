"""Sessions as plain values: they survive the way out and back, and nothing else is taken for one."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.session import Session, SessionId
from session_router.core.session_row import SCHEMA, session_from_plain, session_to_plain
from session_router.errors import ConfigurationError, StoreCorrupt
from session_router.stores.rows import Row, RowCodec
from session_router.testing.sessions import full_session, sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

CODEC = RowCodec(b"k" * 32)
ID = SessionId("ab" * 32)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4), max_leaves=8
)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@given(sessions())
def test_a_session_survives_json(session: Session) -> None:
    assert session_from_plain(json.loads(json.dumps(session_to_plain(session)))) == session


@given(sessions())
def test_a_session_survives_sealing(session: Session) -> None:
    assert CODEC.decode(session.id, CODEC.encode(session)) == session


def test_the_plain_form_is_known() -> None:
    """Whoever changes this form raises `SCHEMA`."""
    assert SCHEMA == 1
    assert session_to_plain(full_session(ID)) == {
        "schema": 1,
        "id": "ab" * 32,
        "version": 1,
        "current": "stärk-模型-🧠",
        "lock": {"kind": "tool_calls_unanswered", "model": "stärk-模型-🧠", "waiting_for": ["call_1", "call_ü"]},
        "closed": "00ff" * 8,
        "visits": {
            "fast": [3, "01" * 16, 1200, 1_750_000_000.125],
            "stärk-模型-🧠": [9, "02" * 16, 2**40, 1_750_000_060.1],
        },
        "turn": 4,
        "call": 2,
        "switches": 3,
        "switched_at": 1,
    }


@pytest.mark.parametrize("schema", [0, 2, None, "1", [1]])
def test_other_schemas_are_refused(schema: object) -> None:
    with pytest.raises(StoreCorrupt, match="schema"):
        session_from_plain({**session_to_plain(full_session(ID)), "schema": schema})


@pytest.mark.parametrize("field", sorted(session_to_plain(full_session(ID))))
def test_every_field_is_required(field: str) -> None:
    plain = session_to_plain(full_session(ID))
    del plain[field]
    with pytest.raises(StoreCorrupt):
        session_from_plain(plain)


def places(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(plain, dict):
        for name, value in plain.items():
            yield from places(value, (*path, name))
    elif isinstance(plain, list):
        for index, value in enumerate(plain):
            yield from places(value, (*path, index))


PLACES = list(places(session_to_plain(full_session(ID))))


@given(st.sampled_from(PLACES), JSON)
def test_a_changed_value_is_read_or_refused_but_never_crashes(path: tuple[Any, ...], value: Any) -> None:
    plain: Any = {"": copy.deepcopy(session_to_plain(full_session(ID)))}
    target, last = plain, ""
    for name in path:
        target, last = target[last], name
    target[last] = value
    try:
        read = session_from_plain(plain[""])
    except StoreCorrupt:
        return
    assert session_from_plain(session_to_plain(read)) == read or "nan" in repr(read)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 5),
        ("current", 5),
        ("lock", "x"),
        ("closed", "zz"),
        ("visits", []),
        ("version", "many"),
        ("version", float("inf")),
        ("turn", None),
        ("id", ""),
        ("id", "\ud800"),
        ("id", "AB" * 32),
        ("id", "ab" * 32 + "\n"),
        ("id", nested(3_000)),
        ("schema", nested(3_000)),
        ("schema", 10**5_000),
        ("version", 10**5_000),
        ("version", "9" * 5_000),
        ("version", 2**53),
        ("version", True),
        ("turn", -1),
        ("switches", 1.5),
        ("switched_at", -(10**20)),
        ("current", nested(3_000)),
        ("closed", nested(3_000)),
        ("visits", {"fast": [10**400, "00", 1, 1.0]}),
        ("visits", {"fast": [1, "00", 1, 10**400]}),
        ("visits", {"fast": [1, nested(3_000), 1, 1.0]}),
        ("lock", {"kind": nested(3_000), "model": None, "waiting_for": []}),
        ("lock", {"kind": "stored", "model": nested(3_000), "waiting_for": []}),
        ("lock", {"kind": "stored", "model": None, "waiting_for": [nested(3_000)]}),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "value",
)
def test_a_value_of_the_wrong_kind_is_refused(field: str, value: object) -> None:
    with pytest.raises(StoreCorrupt, match="treated as lost") as raised:
        session_from_plain({**session_to_plain(full_session(ID)), field: value})
    assert len(str(raised.value)) < 200  # what was found is not shown: it may be of any size


def test_the_largest_count_is_read() -> None:
    plain = {**session_to_plain(full_session(ID)), "version": 2**53 - 1}
    assert session_from_plain(plain).version == 2**53 - 1


@given(sessions(), st.data())
def test_any_flipped_bit_breaks_the_seal(session: Session, data: st.DataObject) -> None:
    row = CODEC.encode(session)
    joined = bytearray(row.payload + row.seal)
    place = data.draw(st.integers(min_value=0, max_value=len(joined) - 1))
    joined[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    with pytest.raises(StoreCorrupt, match="HMAC"):
        CODEC.decode(session.id, Row(payload=bytes(joined[:-32]), seal=bytes(joined[-32:])))


def test_a_row_is_bound_to_its_id_and_its_key() -> None:
    row = CODEC.encode(full_session(ID))
    with pytest.raises(StoreCorrupt, match="HMAC"):
        CODEC.decode(SessionId("cd" * 32), row)
    with pytest.raises(StoreCorrupt, match="another key"):
        RowCodec(b"K" * 32).decode(ID, row)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[" * 100_000, b"[]", b"5", b"{}", b'"text"'])
def test_a_sealed_row_that_is_no_session_is_refused(payload: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        CODEC.decode(ID, Row(payload=payload, seal=CODEC._seal(ID, payload)))


def test_a_sealed_row_of_another_session_is_refused() -> None:
    payload = CODEC.encode(full_session(SessionId("cd" * 32))).payload
    with pytest.raises(StoreCorrupt, match="holds session"):
        CODEC.decode(ID, Row(payload=payload, seal=CODEC._seal(ID, payload)))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="16 bytes or more"):
        RowCodec(b"short")
