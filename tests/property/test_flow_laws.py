"""Laws of routing, over any history at all and over well-formed conversations.

A law that asserts only of some examples counts them: of none, it would say nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.boundary import find_lock
from session_router.core.call import Call, Outcome
from session_router.core.decision import Action, Decision, Reason
from session_router.core.governance import Tag, join, permits
from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.policy import Policy
from session_router.core.step import Role, Step
from session_router.core.transcript import NO_HEAD, Transcript
from session_router.errors import NoCapableModel, NoClearedModel, SessionRouterError, StoreUnavailable, Unportable
from session_router.router import Router
from session_router.testing.strategies import (
    MODELS,
    calls,
    clearances,
    conversations,
    generous_clearances,
    mild_tags,
    needs,
    policies,
    specs,
    steps,
    transcripts,
)
from values import SESSION, FlakyStore, Recorder

OURS = settings(max_examples=80, deadline=None)
LABELS = st.none() | mild_tags() | mild_tags()
CLEARANCES = st.none() | clearances() | generous_clearances() | generous_clearances() | generous_clearances()
ROUTES = st.fixed_dictionaries(dict.fromkeys(MODELS, specs()))
CLEARED_ROUTES = st.fixed_dictionaries(dict.fromkeys(MODELS, specs(cleared=CLEARANCES)))
NEEDS = st.fixed_dictionaries(dict.fromkeys(MODELS, needs()))
HISTORIES = transcripts() | conversations(authors=(*MODELS, "gpt-unknown", None))
LABELLED = calls(transcripts(of=steps(labels=LABELS), max_size=6), labels=mild_tags())


class Said:
    """A scorer that says what it was given."""

    def __init__(self, said: dict[ModelName, Need]) -> None:
        self.said = said

    def score(self, question: Question, models: Any) -> dict[ModelName, Need]:
        del question
        return {name: self.said[name] for name in models}

    async def ascore(self, question: Question, models: Any) -> dict[ModelName, Need]:
        return self.score(question, models)


def router(models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy | None = None, **ports: Any) -> Router:
    return Router(models, scorer=Said(said), policy=policy or Policy(stake=1.0), key=b"k" * 32, **ports)


def call_on(history: Transcript, *, now: float = 1000.0) -> Call:
    return Call(transcript=history, question=Question(text="", turn=history.turn), now=now, session=SESSION)


def prefixes_before_ai(history: Transcript) -> list[Transcript]:
    """What was sent before each AI message, and the whole."""
    cuts = [index for index, step in enumerate(history.steps) if step.role is Role.AI]
    return [Transcript(head=history.head).extended(history.steps[:cut]) for cut in (*cuts, len(history.steps))]


@OURS
@given(calls(HISTORIES), ROUTES, NEEDS, policies(), st.permutations(MODELS))
def test_the_order_of_candidates_is_irrelevant(
    call: Call, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy, order: list[ModelName]
) -> None:
    shuffled = {name: models[name] for name in order}
    one, other = router(models, said, policy).route(call), router(shuffled, said, policy).route(call)
    if call.transcript.turn == 0 or one.reason is Reason.ASKER_NOT_ROUTABLE:
        # Where nothing else decides, the order of the routes is what the user said they prefer.
        assert one.action == other.action
    else:
        sides = [(side.id, side.action, side.model, side.reason, side.lock, side.session) for side in (one, other)]
        assert sides[0] == sides[1]


@OURS
@given(conversations(), ROUTES, NEEDS, policies())
def test_a_tool_loop_keeps_its_model(
    history: Transcript, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy
) -> None:
    subject = router(models, said, policy)
    for index, part in enumerate(prefixes_before_ai(history)):
        decision = subject.route(call_on(part, now=1000.0 + index))
        asker = next((step for step in reversed(part.steps) if step.role is not Role.TOOL), None)
        if asker is not None and asker.role is Role.AI and asker.asks:
            assert (decision.action, decision.model, decision.reason) == (Action.KEEP, asker.author, Reason.LOCKED)
        else:
            assert decision.lock is None


def test_no_uncleared_model_is_ever_chosen() -> None:
    chosen = Counter[str]()

    @settings(OURS, max_examples=200)
    @given(LABELLED, CLEARED_ROUTES, NEEDS, policies())
    def law(call: Call, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy) -> None:
        decision = router(models, said, policy).route(call)
        tag = label_of_all_that_is_sent(call, policy)
        if decision.model is None or not governed(call, models):
            return
        assert permits(tag, models[decision.model].clearance, now=call.now, purpose=call.purpose)
        others = [spec.clearance for spec in models.values()]
        chosen["under governance"] += 1
        chosen["beside one that may not see it"] += not all(permits(tag, one, now=call.now, purpose=call.purpose) for one in others)

    law()
    assert min(chosen["under governance"], chosen["beside one that may not see it"]) >= 5, chosen


def governed(call: Call, models: dict[ModelName, ModelSpec]) -> bool:
    """Whether anything has a label, or any model a clearance."""
    labels = [call.tag, *(step.tag for step in call.transcript.steps)]
    return any(label is not None for label in labels) or any(spec.clearance is not None for spec in models.values())


def label_of_all_that_is_sent(call: Call, policy: Policy) -> Tag:
    """Join the labels of the payload. What stands before the messages and what the provider keeps have none of their own."""
    without = policy.unlabelled if call.tag is None else call.tag
    own = [without if step.tag is None else step.tag for step in call.transcript.steps]
    kept = any(not binding.convertible for binding in call.bindings)
    return join(*own, without) if kept or not own or call.transcript.head != NO_HEAD else join(*own)


def test_every_decision_is_of_one_piece() -> None:
    met = Counter[object]()

    def check(call: Call, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy) -> None:
        decision = router(models, said, policy).route(call)
        check_that_it_is_of_one_piece(decision, call, models)
        met.update([decision.action, decision.reason])

    @OURS
    @given(conversations(), ROUTES, NEEDS, policies())
    def in_conversations(history: Transcript, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy) -> None:
        for part in prefixes_before_ai(history):
            check(call_on(part), models, said, policy)

    OURS(given(LABELLED, CLEARED_ROUTES, NEEDS, policies())(check))()
    assert met[Action.REFUSE] >= 5, met
    in_conversations()
    assert min(met[Action.KEEP], met[Reason.LOCKED]) >= 20, met
    assert met[Action.SWITCH] >= 1, met


def check_that_it_is_of_one_piece(decision: Decision, call: Call, models: dict[ModelName, ModelSpec]) -> None:
    excluded = {one.model for one in decision.evidence.candidates if one.excluded}
    assert [one.model for one in decision.evidence.candidates] == list(models)
    assert decision.model not in excluded
    if decision.switched:
        assert decision.model != decision.previous
    if decision.lock is not None:
        assert decision.action is not Action.SWITCH
    if decision.reason is Reason.LOCKED:
        assert decision.model == decision.previous
    if decision.action is Action.FORCED_SWITCH:
        assert decision.lock is not None
    if decision.model is None:
        assert decision.action is Action.REFUSE
        assert refusal_of(decision)
    if decision.session is not None and not call.internal:
        assert (decision.session.version, decision.session.current) == ((1, decision.model) if decision.model else (0, None))


def refusal_of(decision: Decision) -> bool:
    """Whether the error that the refusal stands for holds its evidence."""
    with pytest.raises(SessionRouterError) as caught:
        decision.chosen()
    match caught.value:
        case NoClearedModel(tried=tried) | NoCapableModel(tried=tried):
            return bool(tried)
        case Unportable(model=model, bindings=bound):
            return model in MODELS and bool(bound)
        case _:
            return False


@OURS
@given(st.lists(LABELLED, min_size=1, max_size=4), CLEARED_ROUTES, NEEDS, policies())
def test_sync_equals_async_and_twice_equals_once(
    made: list[Call], models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy
) -> None:
    def outcome(decision: Decision, number: int) -> Outcome:
        return Outcome(at=decision.at + 1, model=decision.model, error="Overloaded" if number % 3 == 2 else None)

    def run() -> tuple[list[Any], list[Any]]:
        log = Recorder()
        subject = router(models, said, policy, audit=log)
        told = []
        for number, call in enumerate(made):
            decision = subject.route(call)
            told += [decision, subject.observe(decision, outcome(decision, number))]
        return told, log.records

    async def arun() -> tuple[list[Any], list[Any]]:
        log = Recorder()
        subject = router(models, said, policy, audit=log)
        told = []
        for number, call in enumerate(made):
            decision = await subject.aroute(call)
            told += [decision, await subject.aobserve(decision, outcome(decision, number))]
        return told, log.records

    assert run() == run() == asyncio.run(arun())


def test_losing_the_store_never_changes_a_locked_decision() -> None:
    decided = Counter[str]()

    @OURS
    @given(conversations(), ROUTES, NEEDS, NEEDS, policies())
    def law(
        history: Transcript, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], other: dict[ModelName, Need], policy: Policy
    ) -> None:
        kept, lost = router(models, said, policy), router(models, other, policy, store=FlakyStore(on_load=[StoreUnavailable("gone")] * 99))
        for index, part in enumerate(prefixes_before_ai(history)):
            call = call_on(part, now=1000.0 + index)
            with_store, without = kept.route(call), lost.route(call)
            assert "store" in without.evidence.degraded
            assert with_store.lock == without.lock
            decided["free" if with_store.lock is None else "locked"] += 1
            if with_store.lock is not None:
                assert (with_store.action, with_store.model, with_store.previous) == (without.action, without.model, without.previous)

    law()
    assert min(decided["free"], decided["locked"]) >= 20, decided


@OURS
@given(HISTORIES, st.data())
def test_a_system_message_anywhere_changes_no_lock(history: Transcript, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(history.steps)))
    added = Step(role=Role.SYSTEM, digest=b"s" * 16, tokens=1)
    longer = Transcript(head=history.head).extended([*history.steps[:place], added, *history.steps[place:]])
    assert find_lock(longer) == find_lock(history)


@OURS
@given(HISTORIES, st.sampled_from(MODELS))
def test_every_lock_ends_when_a_human_speaks_and_the_next_ai_message_answers(history: Transcript, author: ModelName) -> None:
    human, answer = Step(role=Role.HUMAN, digest=b"h" * 16, tokens=1), Step(role=Role.AI, digest=b"a" * 16, tokens=1, author=author)
    assert find_lock(history.extended([human, answer])) is None
    assert find_lock(history.extended([human, answer, human])) is None


def test_no_history_is_beyond_the_table() -> None:
    met = Counter[object]()

    @OURS
    @given(HISTORIES)
    def law(history: Transcript) -> None:
        for length in range(len(history.steps) + 1):
            lock = find_lock(Transcript().extended(history.steps[:length]))
            met[lock and lock.kind] += 1
            if lock is not None and lock.model is not None:
                assert lock.model in {step.author for step in history.steps[:length]}

    law()
    assert min(met[None], met.total() - met[None]) >= 20, met


@OURS
@given(transcripts(of=steps(labels=LABELS)), st.data())
def test_extending_in_one_go_equals_step_by_step(history: Transcript, data: st.DataObject) -> None:
    built = Transcript(head=history.head)
    left = list(history.steps)
    while left:
        some = data.draw(st.integers(0, len(left)))
        built, left = built.extended(left[: some or 1]), left[some or 1 :]
    assert built == history
    assert [built.prefix_at(index) for index in range(len(history.steps) + 2)] == [
        *(Transcript(head=history.head).extended(history.steps[:index]).prefix for index in range(len(history.steps) + 1)),
        None,
    ]


@OURS
@given(HISTORIES, st.data())
def test_a_prefix_names_its_history(history: Transcript, data: st.DataObject) -> None:
    if not history.steps:
        return
    place = data.draw(st.integers(0, len(history.steps) - 1))
    changed = replace(history.steps[place], digest=bytes(byte ^ 1 for byte in history.steps[place].digest))
    other = Transcript(head=history.head).extended([*history.steps[:place], changed, *history.steps[place + 1 :]])
    for index in range(len(history.steps)):
        assert (other.prefixes[index].digest == history.prefixes[index].digest) is (index < place)


@OURS
@given(conversations(), ROUTES, NEEDS, policies())
def test_replaying_a_session_twice_gives_the_same_decisions(
    history: Transcript, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy
) -> None:
    def replay() -> list[dict[str, Any]]:
        subject = router(models, said, policy)
        rows = []
        for index, part in enumerate(prefixes_before_ai(history)):
            decision = subject.route(call_on(part, now=1000.0 + index))
            subject.observe(decision, Outcome(at=1000.5 + index, model=decision.model))
            rows.append(decision.to_plain())
        return rows

    assert replay() == replay()
