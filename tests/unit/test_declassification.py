"""Only a registered act lowers a label, only as far as it says, and never without a record."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router import AuditFile
from session_router.core.governance import PUBLIC, TOP, Clearance, Integrity, Level, Tag, join, permits
from session_router.declassification import LIFTED, Act, Declassifier
from session_router.errors import AuditUnavailable, ConfigurationError, UnregisteredAct
from session_router.testing.strategies import clearances, tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INITIALS = Act(name="names replaced", to_level=Level.INTERNAL, categories=frozenset({"pii"}), subjects=True, by=frozenset({"officer"}))
SAID = {"who": "officer", "why": "ticket 12", "what": "summary of case 7"}
ACTS = st.builds(
    Act,
    name=st.just("act"),
    to_level=st.none() | st.sampled_from(Level),
    categories=st.frozensets(st.sampled_from(("pii", "phi"))),
    subjects=st.booleans(),
    lifts=st.frozensets(st.sampled_from(LIFTED)),
    believed=st.booleans(),
)


class Log:
    def __init__(self, *, broken: bool = False) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.broken = broken

    def append(self, record: Mapping[str, Any]) -> None:
        if self.broken:
            msg = "the disk is full"
            raise AuditUnavailable(msg)
        json.dumps(record, allow_nan=False)
        self.records.append(record)


@given(ACTS, tags(), clearances(), st.floats(0, 4e9))
def test_an_act_lowers_and_changes_nothing_that_it_does_not_name(act: Act, tag: Tag, clearance: Clearance, now: float) -> None:
    left = act.lowered(tag)
    assert join(left, tag) == tag or act.lifts  # never above, but for what is lifted, which the join brings back
    assert join(left, tag).level == tag.level
    named = {
        *act.lifts,
        *(["level"] if act.to_level is not None else []),
        *(["categories"] if act.categories else []),
        *(["subjects"] if act.subjects else []),
        *(["integrity"] if act.believed else []),
    }
    assert all(getattr(left, field.name) == getattr(tag, field.name) for field in fields(Tag) if field.name not in named)
    if permits(tag, clearance, now=now):
        assert permits(left, clearance, now=now)


def test_an_act_of_nothing_does_nothing() -> None:
    assert Act(name="nothing").lowered(TOP) == TOP


def test_an_act_is_recorded_with_who_why_and_what() -> None:
    log = Log()
    tag = Tag(level=Level.RESTRICTED, categories=frozenset({"pii", "phi"}), subjects=frozenset({"ann"}), regions=frozenset({"eu"}))
    left = Declassifier([INITIALS], audit=log).declassify(tag, "names replaced", session="5e", **SAID)
    assert left == replace(tag, level=Level.INTERNAL, categories=frozenset({"phi"}), subjects=frozenset())
    (record,) = log.records
    assert {name: record[name] for name in ("event", "act", "session", *SAID)} == {
        "event": "declassified",
        "act": "names replaced",
        "session": "5e",
        **SAID,
    }
    assert (record["from"]["level"], record["to"]["level"], record["subjects"]) == ("restricted", "internal", ["ann"])
    assert "subjects" not in record["from"]


def test_without_a_record_nothing_is_lowered() -> None:
    with pytest.raises(AuditUnavailable):
        Declassifier([INITIALS], audit=Log(broken=True)).declassify(TOP, "names replaced", **SAID)


@pytest.mark.parametrize(
    ("act", "who", "told"),
    [
        ("names repalced", "officer", r"no act 'names repalced' is registered; known are \['names replaced'\]"),
        ("names replaced", "intern", "'intern' may not do 'names replaced'"),
    ],
)
def test_what_is_not_registered_is_refused_and_recorded(act: str, who: str, told: str) -> None:
    log = Log()
    with pytest.raises(UnregisteredAct, match=told):
        Declassifier([INITIALS], audit=log).declassify(TOP, act, **{**SAID, "who": who})
    assert [record["event"] for record in log.records] == ["declassification_refused"]


@pytest.mark.parametrize("silent", ["who", "why", "what"])
def test_somebody_must_say_why(silent: str) -> None:
    log = Log()
    with pytest.raises(ConfigurationError, match=f"`{silent}`"):
        Declassifier([INITIALS], audit=log).declassify(TOP, "names replaced", **{**SAID, silent: " "})
    assert not log.records


def test_what_is_lowered_counts_for_this_data_alone() -> None:
    tag = Tag(level=Level.RESTRICTED)
    left = Declassifier([INITIALS], audit=Log()).declassify(tag, "names replaced", **SAID)
    assert join(left, tag) == tag


@pytest.mark.parametrize(
    "fields_", [{"name": " "}, {"name": "x", "lifts": frozenset({"level"})}, {"name": "x", "lifts": frozenset({"everything"})}]
)
def test_wrong_acts_are_told(fields_: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Act(**fields_)


def test_two_acts_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="one meaning"):
        Declassifier([INITIALS, INITIALS], audit=Log())


def test_it_stands_in_the_chain_and_whom_it_was_about_can_be_erased(tmp_path: Path) -> None:
    with AuditFile(tmp_path / "audit.jsonl") as log:
        Declassifier([INITIALS], audit=log).declassify(replace(PUBLIC, subjects=frozenset({"ann"})), "names replaced", **SAID)
        assert log.erase("ann").sequences == (1,)
        (record,) = log.records()
        assert (record["who"], record.get("subjects"), log.verify().sound) == ("officer", None, True)


def test_what_is_believed_again_is_trusted() -> None:
    act = Act(name="reviewed", believed=True)
    assert act.lowered(Tag(integrity=Integrity.UNTRUSTED)).integrity is Integrity.TRUSTED
