"""A row in Redis is sealed, small and bounded, and its head is what the script compares."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.session import Session, SessionId
from session_router.core.session_row import SCHEMA
from session_router.errors import StoreCorrupt
from session_router.stores.redis_rows import FENCE_BYTES, LAYOUT, RedisRows, fenced_head_of, head_of, key_of, new_fence
from session_router.stores.seen_rows import UNTOUCHED_LOADS, SeenRows
from session_router.testing.sessions import full_session, sessions

ROWS = RedisRows(b"k" * 32)
ID = SessionId("5e" * 32)
FENCE = b"12345678"


@given(sessions(), st.binary(min_size=FENCE_BYTES, max_size=FENCE_BYTES), st.integers(min_value=1, max_value=10**9))
def test_a_row_is_read_as_it_was_written(session: Session, fence: bytes, version: int) -> None:
    session = replace(session, version=version)
    row = ROWS.encode(session, fence)
    assert ROWS.decode(session.id, row) == session
    assert fenced_head_of(row) == head_of(version, fence)
    assert row.startswith(head_of(version, fence))
    assert row.startswith(head_of(version))


def test_heads_of_two_versions_are_never_the_beginning_of_each_other() -> None:
    row = ROWS.encode(Session(id=ID, version=51), FENCE)
    assert not row.startswith(head_of(5))
    assert row.startswith(head_of(51))
    assert head_of(0) == b""


@given(st.data())
def test_no_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    row = ROWS.encode(full_session(ID), FENCE)
    place = data.draw(st.integers(min_value=0, max_value=len(row) - 1))
    changed = bytearray(row)
    changed[place] ^= data.draw(st.integers(min_value=1, max_value=255))
    try:
        session = ROWS.decode(ID, bytes(changed))
    except StoreCorrupt:
        return
    # The fence is a name, and under no seal: a wrong one loses a race.
    assert session == full_session(ID)
    assert fenced_head_of(bytes(changed)) != head_of(1, FENCE)


@given(st.binary(max_size=200))
def test_what_somebody_else_wrote_is_lost(stored: bytes) -> None:
    for foreign in (stored, b"sr2:1:" + stored, b"sr2:1:" + b"x" * 40 + stored):
        with pytest.raises(StoreCorrupt):
            ROWS.decode(ID, foreign)


def test_a_row_is_another_session_s_or_another_version_s_only_if_it_says_so() -> None:
    row = ROWS.encode(Session(id=ID, version=7), FENCE)
    with pytest.raises(StoreCorrupt, match="HMAC"):
        ROWS.decode(SessionId("6f" * 32), row)
    with pytest.raises(StoreCorrupt, match="says version 8, and holds 7"):
        ROWS.decode(ID, row.replace(b"sr2:7:", b"sr2:8:", 1))
    with pytest.raises(StoreCorrupt, match="HMAC"):
        RedisRows(b"another key of 32 bytes or so...").decode(ID, row)


def test_a_key_has_the_id_alone_in_braces() -> None:
    assert key_of("mine", ID) == f"mine:{SCHEMA}.{LAYOUT}:{{{ID}}}".encode()


def test_a_row_of_another_layout_is_not_read() -> None:
    row = ROWS.encode(full_session(ID), FENCE)
    with pytest.raises(StoreCorrupt, match="no known format"):
        ROWS.decode(ID, row.replace(b"sr2:", b"sr1:", 1))


def test_the_row_that_was_seen_last_is_known_by_its_fence_and_its_bytes() -> None:
    seen = SeenRows(remembered=2)
    session = full_session(ID, version=3)
    row, other = ROWS.encode(session, FENCE), ROWS.encode(session, b"87654321")
    assert (seen.session_in(row, ID), seen.head_of(ID, 3)) == (None, head_of(3))
    seen.found(session, row)
    assert seen.session_in(row, ID) is session
    assert seen.session_in(other, ID) is None
    assert [seen.head_of(ID, version) for version in (0, 2, 3, 4)] == [b"", head_of(2), head_of(3, FENCE), head_of(4)]
    seen.found(session, other)
    assert seen.head_of(ID, 3) == head_of(3, b"87654321")
    for digit in "12":
        another = full_session(SessionId(digit * 64))
        seen.found(another, ROWS.encode(another, FENCE))
    assert (seen.session_in(other, ID), seen.head_of(ID, 3)) == (None, head_of(3))


def test_a_session_is_recalled_where_nobody_else_is_at_it() -> None:
    seen = SeenRows()
    rows = {
        version: (full_session(ID, version=version), ROWS.encode(full_session(ID, version=version), new_fence())) for version in range(1, 4)
    }
    assert seen.recalled(ID) is None
    seen.wrote(*rows[1])
    assert seen.recalled(ID) is rows[1][0], "it began here"
    seen.wrote(*rows[2])
    assert seen.recalled(ID) is rows[2][0]
    seen.found(*rows[3])
    assert seen.recalled(ID) is None, "somebody else wrote it"
    for _ in range(UNTOUCHED_LOADS):
        assert seen.recalled(ID) is None
        assert seen.session_in(rows[3][1], ID) is rows[3][0]
    assert seen.recalled(ID) is rows[3][0], "and nobody since"
    seen.lost_to(ID, None, b"")
    assert (seen.recalled(ID), seen.head_of(ID, 3)) == (None, head_of(3))


def test_what_a_refusal_tells_is_recalled_until_something_was_written() -> None:
    seen = SeenRows()
    ours, theirs, next_one = (full_session(ID, version=version) for version in (1, 2, 3))
    seen.wrote(ours, ROWS.encode(ours, new_fence()))
    seen.lost_to(ID, theirs, ROWS.encode(theirs, FENCE))
    assert (seen.recalled(ID), seen.head_of(ID, 2)) == (theirs, head_of(2, FENCE))
    seen.wrote(next_one, ROWS.encode(next_one, new_fence()))
    assert seen.recalled(ID) is None, "who came between may come again"


def test_what_was_written_after_somebody_else_is_not_recalled_at_once() -> None:
    seen = SeenRows()
    theirs, ours = (full_session(ID, version=version) for version in (4, 5))
    seen.found(theirs, ROWS.encode(theirs, new_fence()))
    seen.wrote(ours, ROWS.encode(ours, new_fence()))
    assert seen.recalled(ID) is None


def test_no_two_fences_are_the_same() -> None:
    assert len({new_fence() for _ in range(10_000)}) == 10_000
