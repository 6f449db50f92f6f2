"""What an audit log keeps of a decision: everything that decided, where it went, and no text."""

from __future__ import annotations

import json
from dataclasses import replace

from session_router.core.audit_row import decision_row, exposure, outcome_row
from session_router.core.call import Outcome
from session_router.core.decision import Action
from session_router.core.exposure import Exposure
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.pricing import Usage
from session_router.router import Router
from values import FAST, OTHER, STRONG, call_of, human, spec, specs

CLEARANCE = Clearance(
    max_level=Level.RESTRICTED,
    categories=frozenset({"pii"}),
    processing_regions=frozenset({"eu"}),
    retention_seconds=60.0,
    endpoint="https://eu.example",
    version="7",
)
TAG = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}), subjects=frozenset({"ann", "bob"}))


def test_the_row_of_a_decision_has_its_label_and_its_rules() -> None:
    routes = {**specs(clearance=CLEARANCE), OTHER: spec()}
    decision = Router(routes).route(call_of(human("a secret text", tag=TAG)))
    row = decision_row(decision, tag=TAG, clearance=CLEARANCE, principal="5f" * 32)
    whole = decision.to_plain()
    assert {name: row[name] for name in whole if name != "evidence"} == {name: whole[name] for name in whole if name != "evidence"}
    rules = {one["model"]: one.get("excluded") for one in row["evidence"]["candidates"]}
    assert rules == {FAST: None, STRONG: None, OTHER: "it has no clearance"}
    assert row["evidence"]["tag"] == "data labelled confidential, pii, 2 subjects"
    assert row["tag"]["categories"] == ["pii"]
    assert "subjects" not in row["tag"]
    assert (row["subjects"], row["principal"]) == (["ann", "bob"], "5f" * 32)
    assert row["exposure"] == {"clearance": "7", "endpoint": "https://eu.example", "regions": ["eu"], "until": decision.at + 60}
    assert "secret" not in json.dumps(row)


def test_a_whole_row_has_all_that_decided() -> None:
    decision = Router(specs(clearance=CLEARANCE)).route(call_of(human(tag=TAG)))
    assert decision_row(decision, tag=TAG, clearance=CLEARANCE, whole=True).items() >= decision.to_plain().items()


def test_a_row_tells_what_is_still_held_elsewhere() -> None:
    decision = Router(specs(clearance=CLEARANCE)).route(call_of(human(tag=TAG)))
    left = Exposure(model=OTHER, tag=TAG, until=9.0, ids=("00ff" * 4,))
    told = replace(decision, evidence=replace(decision.evidence, exposures=(left,)))
    plain = [{"model": OTHER, "tag": "data labelled confidential, pii, 2 subjects", "until": 9.0}]
    assert decision_row(told, tag=TAG, clearance=CLEARANCE)["evidence"]["exposures"] == plain
    assert told.to_plain()["evidence"]["exposures"] == plain
    assert "exposures" not in decision.to_plain()["evidence"]


def test_what_sends_nothing_exposes_nothing() -> None:
    decision = Router(specs()).route(call_of(human()))
    assert "exposure" not in decision_row(replace(decision, action=Action.CACHE_HIT), clearance=CLEARANCE)
    assert "exposure" not in decision_row(replace(decision, model=None, action=Action.REFUSE))


def test_an_unknown_retention_has_no_end() -> None:
    assert exposure(None, at=1.0)["until"] is None
    assert exposure(replace(CLEARANCE, retention_seconds=None), at=1.0)["until"] is None
    assert exposure(replace(CLEARANCE, retention_seconds=0.0), at=1.0)["until"] == 1.0


def test_the_row_of_an_outcome_says_who_answered() -> None:
    decision = Router(specs()).route(call_of(human()))
    row = outcome_row(decision, Outcome(at=2.0, model=None, usage=Usage(input=3, output=1), error="Timeout"))
    assert (row["decision_id"], row["chosen"], row["model"], row["error"]) == (decision.id, FAST, None, "Timeout")
    assert row["event"] == "failed"
    assert row["tokens"] == {"input": 3, "cached": 0, "written": 0, "output": 1}


def test_who_is_erased_from_a_decision_is_erased_from_what_came_of_it() -> None:
    decision = Router(specs(clearance=CLEARANCE)).route(call_of(human(tag=TAG)))
    row = outcome_row(decision, Outcome(at=2.0, model=STRONG, returned="strong-2026"), clearance=CLEARANCE)
    assert (row["event"], row["returned"], row["regions"], row["subjects"]) == ("answered", "strong-2026", ["eu"], ["ann", "bob"])
