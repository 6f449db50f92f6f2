"""The join of labels is a semilattice; what may be seen shrinks as it grows; what is missing forbids.

A law about what is permitted counts how often something was: of nothing, it would say nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.governance import PUBLIC, TOP, Clearance, Level, Tag, failing_rule, join, join_labels, permits
from session_router.testing.strategies import clearances, generous_clearances, mild_tags, tags

OURS = settings(max_examples=300, deadline=None)
MOMENTS = st.floats(allow_nan=False)
PURPOSES = st.sampled_from((None, "care", "billing"))
LABELS, CLEARANCES = tags() | mild_tags(), clearances() | generous_clearances()


@OURS
@given(tags(), tags(), tags())
def test_join_is_associative_commutative_and_idempotent(one: Tag, two: Tag, three: Tag) -> None:
    assert join(one, join(two, three)) == join(join(one, two), three) == join(one, two, three)
    assert join(one, two) == join(two, one)
    assert join(one, one) == one
    assert join(one) == join(one, PUBLIC) == one


def test_what_may_be_seen_shrinks_as_labels_join() -> None:
    permitted = Counter[str]()

    @OURS
    @given(LABELS, LABELS, CLEARANCES, MOMENTS, PURPOSES)
    def law(one: Tag, two: Tag, clearance: Clearance, now: float, purpose: str | None) -> None:
        if permits(join(one, two), clearance, now=now, purpose=purpose):
            assert permits(one, clearance, now=now, purpose=purpose)
            assert permits(two, clearance, now=now, purpose=purpose)
            permitted["two labels" if one != two else "twice the same"] += 1

    law()
    assert permitted["two labels"] >= 3, permitted


@OURS
@given(st.lists(tags(), max_size=3), clearances(), MOMENTS, PURPOSES)
def test_nothing_brings_top_back(labels: list[Tag], clearance: Clearance, now: float, purpose: str | None) -> None:
    assert not permits(join(TOP, *labels), clearance, now=now, purpose=purpose)
    assert not permits(join_labels([*labels, None]), clearance, now=now, purpose=purpose)


@OURS
@given(tags(), clearances(), MOMENTS, PURPOSES)
def test_an_unknown_clearance_sees_nothing_and_a_failing_rule_is_a_refusal(
    tag: Tag, clearance: Clearance, now: float, purpose: str | None
) -> None:
    assert not permits(tag, None, now=now, purpose=purpose)
    assert permits(tag, clearance, now=now, purpose=purpose) is (failing_rule(tag, clearance, now=now, purpose=purpose) is None)


def test_a_clearance_that_forgets_a_field_never_sees_more() -> None:
    unknown = Clearance()
    forgotten = ("max_level", "categories", "processing_regions", "trains", "retention_seconds")
    permitted = Counter[str]()

    @OURS
    @given(LABELS, CLEARANCES, MOMENTS, PURPOSES)
    def law(tag: Tag, clearance: Clearance, now: float, purpose: str | None) -> None:
        for field in forgotten:
            forgetful = replace(clearance, **{field: getattr(unknown, field)})
            if permits(tag, forgetful, now=now, purpose=purpose):
                assert permits(tag, clearance, now=now, purpose=purpose)
                permitted[field] += forgetful != clearance

    law()
    assert min(permitted[field] for field in forgotten) >= 3, permitted


@OURS
@given(tags(), clearances(), PURPOSES, st.sampled_from(("data", "attestation")))
def test_a_clock_that_is_not_a_number_permits_nothing_that_ends(tag: Tag, clearance: Clearance, purpose: str | None, ends: str) -> None:
    ending = replace(tag, expires_at=math.inf) if ends == "data" else tag
    attested = clearance if ends == "data" else replace(clearance, attested_until=math.inf)
    assert not permits(ending, attested, now=math.nan, purpose=purpose)


def test_a_purpose_left_out_never_permits_more() -> None:
    permitted = Counter[str | None]()

    @OURS
    @given(LABELS, CLEARANCES, MOMENTS, PURPOSES)
    def law(tag: Tag, clearance: Clearance, now: float, purpose: str | None) -> None:
        if permits(tag, clearance, now=now):
            assert permits(replace(tag, purposes=None), replace(clearance, purposes=None), now=now, purpose=purpose)
            assert tag.purposes is None
            assert clearance.purposes is None
            permitted[purpose] += 1

    law()
    assert permitted.total() >= 10, permitted


def test_time_only_takes_away() -> None:
    permitted = Counter[str]()

    @OURS
    @given(LABELS, CLEARANCES, MOMENTS, MOMENTS, MOMENTS, PURPOSES)
    def law(tag: Tag, clearance: Clearance, expires_at: float, attested_until: float, now: float, purpose: str | None) -> None:
        ending, attested = replace(tag, expires_at=expires_at), replace(clearance, attested_until=attested_until)
        if permits(ending, attested, now=now, purpose=purpose):
            assert permits(ending, attested, now=math.nextafter(now, -math.inf), purpose=purpose)
            permitted["before both ends"] += 1

    law()
    assert permitted["before both ends"] >= 3, permitted


@OURS
@given(tags(), clearances(), MOMENTS, PURPOSES)
def test_every_field_of_a_label_can_forbid(tag: Tag, clearance: Clearance, now: float, purpose: str | None) -> None:
    forbidden = [
        replace(tag, level=Level(clearance.max_level + 1)) if clearance.max_level < Level.RESTRICTED else None,
        replace(tag, categories=frozenset({"beyond all"})),
        replace(tag, regions=frozenset()),
        replace(tag, purposes=frozenset()),
        replace(tag, tenants=frozenset({"one", "two"})),
        replace(tag, expires_at=now),
        replace(tag, no_train=True) if clearance.trains else None,
        replace(tag, zero_retention=True) if clearance.retention_seconds != 0 else None,
    ]
    assert not any(permits(one, clearance, now=now, purpose=purpose) for one in forbidden if one is not None)
