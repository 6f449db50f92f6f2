"""Identities: no two callers share one, and nobody reads half a key."""

from __future__ import annotations

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from session_router import identity
from session_router.core.step import DIGEST_BYTES, Role, Step
from session_router.core.transcript import Transcript
from session_router.errors import ConfigurationError
from session_router.identity import SessionNames, key_from_file, key_from_text, new_key, normalised_namespace, session_id

if TYPE_CHECKING:
    from pathlib import Path

KEY = b"k" * 32
# Few letters, and those that the encoding itself uses, so that near misses are common.
NAMES = st.none() | st.text(alphabet="-+1:|a\ud800", max_size=4) | st.text(max_size=6)
NAMESPACES = st.lists(st.text(alphabet="ab-", min_size=1, max_size=3), max_size=3).map("|".join)
KEYS = st.builds(SessionNames, tenant=NAMES, principal=NAMES, thread=NAMES, namespace=NAMESPACES, agent=NAMES)
DIGESTS = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)


def opening_with(digest: bytes, *, role: Role = Role.HUMAN) -> Transcript:
    return Transcript().extended([Step(role=role, digest=digest, tokens=1)])


TALK = opening_with(b"h" * DIGEST_BYTES)


@given(KEYS, KEYS)
@example(SessionNames(tenant="a", principal="b", thread="t"), SessionNames(tenant="ab", principal="", thread="t"))
@example(SessionNames(tenant=None, principal="-", thread="t"), SessionNames(tenant="-", principal=None, thread="t"))
@example(SessionNames(tenant="", thread="t"), SessionNames(tenant=None, thread="t"))
@example(SessionNames(tenant="1:a", thread="t"), SessionNames(tenant="a", thread="t"))
def test_two_tuples_of_names_share_an_id_only_if_they_are_equal(first: SessionNames, second: SessionNames) -> None:
    one, other = session_id(KEY, first, TALK), session_id(KEY, second, TALK)
    if one is not None and other is not None:
        assert (one == other) is (first == second)


@given(KEYS, st.sampled_from(["tenant", "principal", "thread", "agent"]), NAMES)
def test_every_name_counts(names: SessionNames, field: str, value: str | None) -> None:
    changed = replace(names, **{field: value})
    one, other = session_id(KEY, names, TALK), session_id(KEY, changed, TALK)
    if one is not None and other is not None:
        assert (one == other) is (changed == names)


@given(KEYS)
def test_an_id_is_64_hex_digits_and_depends_on_the_key(names: SessionNames) -> None:
    made = session_id(KEY, replace(names, thread="t"), TALK)
    assert made is not None
    assert len(bytes.fromhex(made)) == 32
    assert made == session_id(KEY, replace(names, thread="t"), TALK)
    assert made != session_id(b"K" * 32, replace(names, thread="t"), TALK)


@given(KEYS, DIGESTS)
def test_a_thread_outranks_the_history(names: SessionNames, digest: bytes) -> None:
    named = replace(names, thread="t")
    assert session_id(KEY, named, TALK) == session_id(KEY, named, opening_with(digest)) == session_id(KEY, named, Transcript())


@given(DIGESTS, DIGESTS, st.text(max_size=5), st.text(max_size=5))
def test_without_a_thread_head_and_principal_stand_in(digest: bytes, other: bytes, principal: str, somebody: str) -> None:
    mine = session_id(KEY, SessionNames(principal=principal), opening_with(digest))
    assert mine is not None
    later = opening_with(digest).extended([Step(role=Role.AI, digest=other, tokens=1), Step(role=Role.HUMAN, digest=other, tokens=1)])
    assert session_id(KEY, SessionNames(principal=principal), later) == mine
    theirs = session_id(KEY, SessionNames(principal=somebody), opening_with(other))
    assert (theirs == mine) is ((principal, digest) == (somebody, other))


@given(DIGESTS)
def test_a_thread_is_never_taken_for_a_head(digest: bytes) -> None:
    transcript = opening_with(digest)
    assert transcript.opening is not None
    head = transcript.opening.digest.hex()
    implicit = session_id(KEY, SessionNames(principal="p"), transcript)
    for thread in (head, f"head:{head}", f"thread:{head}"):
        assert session_id(KEY, SessionNames(principal="p", thread=thread), transcript) != implicit


@given(KEYS, DIGESTS)
def test_who_cannot_be_told_apart_has_no_id(names: SessionNames, digest: bytes) -> None:
    assert session_id(KEY, replace(names, thread=None, principal=None), opening_with(digest)) is None
    assert session_id(KEY, replace(names, thread=None, principal="p"), Transcript()) is None
    assert session_id(KEY, replace(names, thread=None, principal="p"), opening_with(digest, role=Role.AI)) is None


@given(st.lists(st.tuples(st.text(alphabet="abc_", min_size=1), st.text(alphabet="0123-:f")), max_size=4))
def test_task_ids_are_no_part_of_a_namespace(parts: list[tuple[str, str]]) -> None:
    with_ids = "|".join(f"{name}:{task}" for name, task in parts)
    without = "|".join(name for name, _ in parts)
    assert normalised_namespace(with_ids) == without
    assert normalised_namespace(without) == without
    assert session_id(KEY, SessionNames(thread="t", namespace=with_ids), TALK) == session_id(
        KEY, SessionNames(thread="t", namespace=without), TALK
    )


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db.key"
    key = key_from_file(path)
    assert len(key) == identity.KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_from_file(path) == key
    assert [one.name for one in tmp_path.iterdir()] == ["sessions.db.key"]


def test_all_who_race_to_make_the_key_read_the_same(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def make(path: Path) -> bytes:
        start.wait()
        return key_from_file(path)

    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            path = tmp_path / f"{number}.key"
            assert set(threads.map(make, [path] * 8)) == {bytes.fromhex(path.read_text(encoding="ascii"))}
    assert len(list(tmp_path.iterdir())) == 20


def test_processes_that_race_to_make_the_key_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sessions.db.key"
    make = identity._make_key_file

    def overtaken(slow: Path) -> None:
        # Another process makes the file after this one saw that there is none.
        monkeypatch.setattr(identity, "_make_key_file", make)
        key_from_file(slow)
        make(slow)

    monkeypatch.setattr(identity, "_make_key_file", overtaken)
    key = key_from_file(path)
    assert key == key_from_file(path)
    assert os.listdir(tmp_path) == ["sessions.db.key"]  # noqa: PTH208 -- names are meant


@pytest.mark.parametrize("content", [b"", b"\n", b"not hex", b"abcd", b"\xff\xfe", b"0" * 31, b"zz" * 32])
def test_a_bad_key_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sessions.db.key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"sessions\.db\.key"):
        key_from_file(path)
    assert path.read_bytes() == content


def test_a_key_file_that_cannot_be_made_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="or give `key`"):
        key_from_file(tmp_path / "missing" / "sessions.db.key")


def test_a_bad_key_text_is_never_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"SESSION_KEY: .*openssl rand -hex 32") as caught:
        key_from_text("my-secret-pass-phrase", source="SESSION_KEY")
    assert "my-secret" not in str(caught.value)


@given(st.binary(min_size=16, max_size=64))
def test_a_key_survives_as_text(key: bytes) -> None:
    assert key_from_text(f"  {key.hex()}\n", source="test") == key


def test_new_keys_differ() -> None:
    assert len({new_key() for _ in range(100)}) == 100
