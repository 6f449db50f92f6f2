"""Rule by rule: who may see what, and what the label of a payload is."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from session_router.core.decision import Reason
from session_router.core.eligibility import payload_tag
from session_router.core.governance import PUBLIC, TOP, Clearance, Integrity, Level, Tag, failing_rule, join, join_labels, permits
from session_router.core.label_row import clearance_from_plain, clearance_to_plain
from session_router.core.policy import Policy
from session_router.core.transcript import Prefix
from values import FAST, STRONG, call_of, human, kept_at, router, spec, specs, tool

NOW = 1000.0
EVERYTHING = Clearance(
    max_level=Level.RESTRICTED,
    categories=frozenset({"pii", "phi"}),
    processing_regions=frozenset({"eu"}),
    trains=False,
    retention_seconds=0.0,
)


def names(*values: str) -> frozenset[str]:
    return frozenset(values)


@pytest.mark.parametrize(
    ("tag", "clearance", "rule"),
    [
        (PUBLIC, None, "it has no clearance"),
        (Tag(level=Level.INTERNAL), Clearance(), "level internal is above its public"),
        (Tag(categories=names("phi", "pci")), EVERYTHING, "not cleared for pci"),
        (Tag(regions=names("us")), EVERYTHING, "processes in eu, allowed is us"),
        (Tag(regions=names("eu")), Clearance(), "processes in none, allowed is eu"),
        (Tag(regions=names()), EVERYTHING, "processes in eu, allowed is none"),
        (Tag(purposes=names("care")), EVERYTHING, "purpose None is not among care"),
        (PUBLIC, Clearance(purposes=names("care")), "does not serve purpose None"),
        (Tag(tenants=names("a", "b")), EVERYTHING, "the data of several tenants came together"),
        (Tag(tenants=names("a")), Clearance(tenants=names("b")), "not cleared for tenant a"),
        (Tag(no_train=True), Clearance(), "it trains on its inputs"),
        (Tag(zero_retention=True), Clearance(retention_seconds=30.0), "it keeps what it is sent"),
        (Tag(zero_retention=True), Clearance(), "it keeps what it is sent"),
        (Tag(expires_at=NOW), EVERYTHING, "the data has expired"),
        (PUBLIC, Clearance(attested_until=NOW), "its attestation has expired"),
    ],
)
def test_each_rule_is_named(tag: Tag, clearance: Clearance | None, rule: str) -> None:
    assert failing_rule(tag, clearance, now=NOW) == rule
    assert not permits(tag, clearance, now=NOW)


@pytest.mark.parametrize(
    ("tag", "clearance"),
    [
        (PUBLIC, Clearance()),
        (Tag(level=Level.RESTRICTED, categories=names("phi")), EVERYTHING),
        (Tag(regions=names("eu", "us")), EVERYTHING),
        (Tag(no_train=True, zero_retention=True, tenants=names("a")), EVERYTHING),
        (Tag(tenants=names("a")), Clearance(tenants=names("a", "b"))),
        (Tag(expires_at=NOW + 1), replace(EVERYTHING, attested_until=NOW + 1)),
        (Tag(integrity=Integrity.UNTRUSTED, subjects=names("someone")), Clearance()),
    ],
)
def test_what_no_rule_forbids_is_permitted(tag: Tag, clearance: Clearance) -> None:
    assert failing_rule(tag, clearance, now=NOW) is None


def test_a_purpose_must_suit_both_sides() -> None:
    tag, clearance = Tag(purposes=names("care", "billing")), Clearance(purposes=names("care"))
    assert permits(tag, clearance, now=NOW, purpose="care")
    assert not permits(tag, clearance, now=NOW, purpose="billing")
    assert not permits(tag, clearance, now=NOW)


def test_an_expiry_that_is_not_a_number_has_passed_on_either_side_of_a_join() -> None:
    broken = Tag(expires_at=math.nan)
    for tag in (broken, join(broken, Tag(expires_at=NOW + 1)), join(Tag(expires_at=NOW + 1), broken)):
        assert not permits(tag, EVERYTHING, now=NOW)
    assert join(broken, Tag(expires_at=math.nan)) == broken


def test_what_is_not_a_number_is_not_known_of_a_model() -> None:
    broken = Clearance(retention_seconds=math.nan, attested_until=math.nan)
    assert broken == Clearance(attested_until=-math.inf)
    assert not permits(PUBLIC, broken, now=NOW)
    assert clearance_from_plain(json.loads(json.dumps(clearance_to_plain(broken), allow_nan=False))) == broken


def test_nothing_joined_is_public_and_a_missing_label_is_top() -> None:
    assert join() == PUBLIC
    assert join_labels([]) == PUBLIC
    assert join_labels([PUBLIC, None]) == TOP
    assert join_labels([None], unlabelled=Tag(level=Level.INTERNAL)) == Tag(level=Level.INTERNAL)


def test_a_label_reads_as_one_line_that_names_no_subject() -> None:
    tag = Tag(
        level=Level.CONFIDENTIAL,
        categories=names("pii"),
        regions=names("eu"),
        purposes=names(),
        tenants=names("acme"),
        subjects=names("hmac-of-alice"),
        no_train=True,
    )
    assert tag.describe() == "data labelled confidential, pii, regions eu, purposes none, tenant acme, 1 subjects, no_train"


class TestPayload:
    cleared = specs(clearance=EVERYTHING)

    def test_governance_is_out_of_use_without_any_label_or_clearance(self) -> None:
        assert payload_tag(call_of(human()), specs(), Policy()) is None

    @pytest.mark.parametrize("use", ["clearance", "label of the call", "label of a step"])
    def test_one_label_or_one_clearance_puts_it_in_use(self, use: str) -> None:
        call = call_of(
            human(tag=PUBLIC if use == "label of a step" else None), tool("a"), tag=PUBLIC if use == "label of the call" else None
        )
        models = {FAST: spec(), STRONG: spec(clearance=EVERYTHING if use == "clearance" else None)}
        expected = PUBLIC if use == "label of the call" else TOP
        assert payload_tag(call, models, Policy()) == expected

    def test_the_call_s_label_stands_for_what_has_none(self) -> None:
        internal = Tag(level=Level.INTERNAL)
        call = call_of(human(tag=Tag(categories=names("pii"))), tool("a"), tag=internal)
        assert payload_tag(call, self.cleared, Policy()) == Tag(level=Level.INTERNAL, categories=names("pii"))

    def test_the_system_prompt_and_the_tools_are_part_of_the_payload(self) -> None:
        call = call_of(human(tag=PUBLIC))
        headed = replace(call, transcript=call.transcript.headed(Prefix(b"system prompt...", 12)))
        assert payload_tag(call, self.cleared, Policy()) == PUBLIC
        assert payload_tag(headed, self.cleared, Policy()) == TOP
        assert payload_tag(headed, self.cleared, Policy(unlabelled=Tag(level=Level.INTERNAL))) == Tag(level=Level.INTERNAL)
        assert payload_tag(replace(headed, tag=Tag(level=Level.CONFIDENTIAL)), self.cleared, Policy()) == Tag(level=Level.CONFIDENTIAL)

    def test_a_system_prompt_can_raise_what_the_policy_says_of_it_and_not_lower_it(self) -> None:
        internal, secret = Tag(level=Level.INTERNAL), Tag(level=Level.CONFIDENTIAL)
        policy = Policy(sources={"system": internal, "schemas": PUBLIC})
        call = call_of(human(tag=PUBLIC))
        headed = replace(call, transcript=call.transcript.headed(Prefix(b"system prompt...", 12)))
        for own, expected in ((None, internal), (PUBLIC, internal), (secret, secret)):
            assert payload_tag(replace(headed, system=own), self.cleared, policy) == expected
        assert payload_tag(replace(headed, system=PUBLIC), self.cleared, Policy(sources={"schemas": PUBLIC})) == PUBLIC

    def test_history_that_the_provider_keeps_has_no_label_of_its_own(self) -> None:
        call = call_of(human(tag=PUBLIC), bindings=frozenset({kept_at("one")}))
        assert payload_tag(call, self.cleared, Policy()) == TOP

    def test_an_empty_request_is_unlabelled(self) -> None:
        assert payload_tag(call_of(), self.cleared, Policy()) == TOP

    def test_unlabelled_data_goes_nowhere_once_governance_is_in_use(self) -> None:
        assert router(self.cleared).route(call_of(human())).reason is Reason.NOT_CLEARED
