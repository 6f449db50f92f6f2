"""Sessions as plain values: they survive the way out and back, and nothing else is taken for one."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.account import Account
from session_router.core.drift import Drift
from session_router.core.governance import Level, Tag
from session_router.core.label_row import tag_to_plain
from session_router.core.model import ModelName
from session_router.core.segment import Habits, Segment
from session_router.core.session import Reading, Session, SessionId, Visit
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


@pytest.mark.parametrize("name", ["\ud800", "f\udc00r", "\x00", "\u00fc\U0001f600", '"\\'])
def test_a_model_of_any_name_survives_sealing(name: str) -> None:
    session = Session(id=ID, version=1, current=ModelName(name))
    assert CODEC.decode(ID, CODEC.encode(session)) == session


def test_a_row_of_before_is_read() -> None:
    session = replace(full_session(ID), current=ModelName("f\u00fcr"))
    payload = json.dumps(session_to_plain(session), separators=(",", ":")).encode("ascii")
    assert CODEC.decode(ID, Row(payload=payload, seal=CODEC._seal(ID, payload))) == session


def test_the_plain_form_is_known() -> None:
    """Whoever changes this form raises `SCHEMA`."""
    assert SCHEMA == 6
    assert session_to_plain(full_session(ID)) == {
        "schema": 6,
        "id": "ab" * 32,
        "version": 1,
        "current": "stärk-模型-🧠",
        "lock": {"kind": "tool_calls_unanswered", "model": "stärk-模型-🧠", "waiting_for": ["call_1", "call_ü"]},
        "closed": "00ff" * 8,
        "visits": {
            "fast": [3, "01" * 16, 1200, 1_750_000_000.125, 1.3, 0.0],
            "stärk-模型-🧠": [9, "02" * 16, 2**40, 1_750_000_060.1, 0.75, 0.525],
        },
        "turn": 4,
        "call": 2,
        "switches": 3,
        "switched_at": 1,
        "account": {
            "habits": [3.4, 1.9, 2.7, 2.5, 2.8, 181.25, 96.5, 40.1, 1.75, 0.3],
            "drift": [3.4, 0.02, -0.01, {"fast": 0.1, "stärk-模型-🧠": 0.9}, {"stärk-模型-🧠": -0.05}],
            "number": 4,
            "segment": [7, "03" * 16, "stärk-模型-🧠", 900, 900, 1, 150, 1, 2.25, 0.625],
            "ledger": ["fast", 0.125, 0.1],
            "work": {"fast": 0.0, "stärk-模型-🧠": 0.003},
            "quiet": 1,
            "explored": 0.015,
            "beliefs": {"fast": [-0.75, 0.125], "stärk-模型-🧠": [0.5, 0.25]},
            "marks": ["00ff" * 4, "ab12" * 4],
            "upgrades": [1.5, 2, 1750000060.5],
        },
        "tag": {
            "schema": 1,
            "level": "confidential",
            "categories": ["pii"],
            "regions": ["eu"],
            "purposes": None,
            "tenants": [],
            "subjects": ["s1"],
            "expires_at": None,
            "no_train": False,
            "zero_retention": False,
            "integrity": "trusted",
        },
        "exposures": [["fast", tag_to_plain(Tag(level=Level.INTERNAL)), 1_750_003_600.5, ["00ff" * 4]]],
        "before": {
            "account": {
                "habits": [2.7, 0.0, 0.0, 3.5, 3.8, 180.0, 90.0, 41.0, 1.75, 0.4],
                "drift": [0.0, 0.0, 0.0, {}, {}],
                "number": 3,
                "segment": [3, "00" * 16, None, 500, 700, 2, 0, 0, 1.0, None],
                "ledger": ["fast", 0.1, 0.09],
                "work": {},
                "quiet": 0,
                "explored": 0.0,
                "beliefs": {},
                "marks": [],
                "upgrades": [0.0, 0, 0.0],
            },
            "current": "fast",
            "switches": 2,
            "switched_at": 1,
            "model": "stärk-模型-🧠",
            "visit": [5, "04" * 16, 700, 1_750_000_030.5, 0.75, 0.5],
        },
        "readings": [[tag_to_plain(Tag(level=Level.RESTRICTED)), 1_750_000_061.5, "0123" * 4, "4567" * 4, "89ab" * 4]],
    }


def test_no_field_of_the_full_session_has_its_default() -> None:
    """Else a field that is not written would seem to survive."""
    full = full_session(ID)
    assert full.account is not None
    assert full.account.segment is not None
    bare = Segment(start=0, first_tokens=0, last_tokens=0)
    pairs: list[tuple[Any, Any]] = [
        (full, Session(id=ID)),
        *((visit, Visit(steps=0, digest=b"", tokens=0, at=0.0)) for visit in full.visits.values()),
        (full.account, Account()),
        (full.account.habits, Habits()),
        (full.account.drift, Drift()),
        (full.account.segment, bare),
        (full.readings[0], Reading(tag=Tag(), at=0.0)),
    ]
    same = {
        (type(value).__name__, field.name)
        for value, other in pairs
        for field in fields(value)
        if getattr(value, field.name) == getattr(other, field.name)
    }
    # The first is given; the second is 1 as long as there is a `before`; the third is the store's own, and not written.
    assert same == {("Session", "id"), ("Segment", "calls"), ("Session", "row")}


@pytest.mark.parametrize("schema", [0, 1, 2, 3, 4, 5, 7, None, "6", [6]])
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
    assert session_from_plain(json.loads(json.dumps(session_to_plain(read), allow_nan=False))) == read


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
        ("visits", {"fast": [10**400, "00", 1, 1.0, 1.0, 1.0]}),
        ("visits", {"fast": [1, "00", 1, 10**400, 1.0, 1.0]}),
        ("visits", {"fast": [1, nested(3_000), 1, 1.0, 1.0, 1.0]}),
        ("account", nested(3_000)),
        ("account", []),
        ("before", nested(3_000)),
        ("before", []),
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


NO_NUMBERS: dict[str, Any] = {
    "nan": math.nan,
    "infinite": math.inf,
    "minus infinite": -math.inf,
    "negative": -1.5,
    "huge": 1e300,
    "a huge whole number": 10**400,
    "text": "1",
    "a truth": True,
    "nothing": None,
    "a list": [1.0],
    "deep": nested(3_000),
}
NULLABLE = {("before", "switched_at"), ("account", "segment", 9)}
"""The turn of the last switch, and the chance that the segment's model was chosen by: there may have been none."""


def may_be_negative(path: tuple[Any, ...]) -> bool:
    """Deviations, how two of them vary together, shifts of log-odds, the times of a visit, of what was counted and of a reading."""
    if path[:2] == ("account", "beliefs"):
        return path[-1] == 0
    signed = {("account", "drift", 2), ("account", "drift", 4), ("account", "upgrades", 2), ("before", "visit", 3)}
    return path[:3] in signed or (path[0] == "visits" and path[-1] == 3) or path[:1] == ("readings",)


def numbers() -> Iterator[tuple[Any, ...]]:
    """Paths of every number of the account, the visits and readings; the account of before is read like the account."""
    plain = session_to_plain(full_session(ID))
    for path in places(plain):
        value = at(plain, path)
        own = path[:1] in {("account",), ("visits",), ("before",)} or path == ("readings", 0, 1)
        if isinstance(value, int | float) and own and path[:2] != ("before", "account"):
            yield path


def at(plain: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        plain = plain[name]
    return plain


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    plain = copy.deepcopy(session_to_plain(full_session(ID)))
    at(plain, path[:-1])[path[-1]] = value
    return plain


@pytest.mark.parametrize("kind", NO_NUMBERS)
@pytest.mark.parametrize("path", list(numbers()), ids=lambda path: ".".join(map(str, path)).encode("ascii", "replace").decode())
def test_where_a_number_belongs_nothing_else_is_read(path: tuple[Any, ...], kind: str) -> None:
    if (kind == "negative" and may_be_negative(path)) or (kind == "nothing" and path in NULLABLE):
        assert session_from_plain(changed(path, -0.5 if kind == "negative" else None)) != full_session(ID)
        return
    with pytest.raises(StoreCorrupt, match="treated as lost") as raised:
        session_from_plain(changed(path, NO_NUMBERS[kind]))
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("visits", "fast", 4), 0.0),  # no provider counts no tokens
        (("visits", "fast", 5), 1.01),
        (("account", "habits", 3), 0.99),  # no segment is without a call
        (("account", "segment", 5), 0),
        (("account", "segment", 8), 0.5),
        (("account", "drift", 3, "fast"), 1.01),
        (("account", "drift", 1), -1.5),
        (("account", "drift", 4, "unknown"), 0.1),  # a deviation from no mean
        (("account", "segment", 1), "zz"),
        (("account", "segment", 1), None),
        (("account", "segment", 2), 5),
        (("account", "ledger", 0), None),
        (("account", "segment", 9), 1.01),
        (("account", "beliefs", "fast", 0), 20.5),
        (("account", "beliefs", "fast", 1), 0.0),
        (("account", "beliefs", "fast", 1), 0.6),
        (("account", "beliefs"), ["fast"]),
        (("account", "marks"), ["00ff"]),
        (("account", "marks"), ["00ff" * 4] * 65),
        (("account", "marks"), [5]),
        (("account", "marks"), None),
        (("account", "upgrades"), None),
        (("account", "upgrades", 1), 0.5),
        (("readings", 0, 2), "00ff"),
        (("readings", 0, 3), None),
        (("readings",), [[None, 1.0, "", "", ""]] * 17),
    ],
    ids=str,
)
def test_what_no_session_can_hold_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(StoreCorrupt, match="treated as lost"):
        session_from_plain(changed(path, value))


@pytest.mark.parametrize(
    "path",
    [
        ("visits", "fast"),
        ("account", "habits"),
        ("account", "drift"),
        ("account", "segment"),
        ("account", "ledger"),
        ("account", "beliefs", "fast"),
        ("account", "upgrades"),
        ("before", "visit"),
        ("readings", 0),
    ],
    ids=str,
)
def test_a_row_of_another_length_is_refused(path: tuple[Any, ...]) -> None:
    row = at(session_to_plain(full_session(ID)), path)
    for other in (row[:-1], [*row, row[-1]], [], "text", {}):
        with pytest.raises(StoreCorrupt, match="treated as lost"):
            session_from_plain(changed(path, other))


@pytest.mark.parametrize("part", ["account", "before"])
def test_every_field_of_a_part_is_required(part: str) -> None:
    for field in session_to_plain(full_session(ID))[part]:
        plain = session_to_plain(full_session(ID))
        del plain[part][field]
        with pytest.raises(StoreCorrupt):
            session_from_plain(plain)


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
