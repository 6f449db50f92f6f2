"""Every pair of the table, every row of DESIGN's lock table, and what a missing pair does."""

from __future__ import annotations

import pytest

from session_router.core import boundary
from session_router.core.boundary import TRANSITIONS, Event, Lock, LockKind, Phase, Position, advance, event_of, find_lock
from session_router.core.step import Ask, Step
from session_router.errors import InternalError
from values import ai, client_block, human, injected, invalid_call, server_tool, system, tool, transcript

REACHES: dict[Phase, tuple[Step, ...]] = {
    Phase.OPEN: (human(),),
    Phase.ASKED: (human(), ai("a", "b")),
    Phase.ANSWERED: (human(), ai("a", "b"), tool("a"), tool("b")),
    Phase.INVALID: (human(), ai(invalid_call("a"), invalid_call("b"))),
    Phase.PAUSED: (human(), ai(server_tool("a"), server_tool("b"))),
    Phase.PARTIAL: (human(), ai("a", "b", partial=True)),
    Phase.FINAL: (human(), ai()),
}
CAUSES: dict[Event, Step] = {
    Event.SYSTEM: system("later"),
    Event.HUMAN: human("more"),
    Event.INJECTED: injected(),
    Event.AI_ASKS: ai("c"),
    Event.AI_INVALID: ai(invalid_call("c")),
    Event.AI_PAUSED: ai(server_tool("c")),
    Event.AI_PARTIAL: ai(partial=True),
    Event.AI_FINAL: ai(),
    Event.ANSWER: tool("a"),
    Event.LAST_ANSWER: tool("a", "b"),
    Event.ORPHAN: tool("nobody asked"),
}
PAIRS = [(phase, event) for phase, row in TRANSITIONS.items() for event in row]
WITHOUT_OPEN_ASKS = {Phase.OPEN, Phase.ANSWERED, Phase.FINAL}


def after(*steps: Step, **settings: object) -> LockKind | None:
    lock = find_lock(transcript(*steps), **settings)  # type: ignore[arg-type]
    return None if lock is None else lock.kind


@pytest.mark.parametrize(("phase", "event"), PAIRS)
def test_every_pair_of_the_table_happens_and_leads_where_it_says(phase: Phase, event: Event) -> None:
    position = transcript(*REACHES[phase]).position
    assert position.phase is phase
    assert event_of(CAUSES[event], position) is event
    assert advance(position, CAUSES[event]).phase is TRANSITIONS[phase][event]


def test_a_pair_is_missing_only_where_it_cannot_happen() -> None:
    missing = {(phase, event) for phase in Phase for event in Event if event not in TRANSITIONS[phase]}
    assert missing == {(phase, event) for phase in WITHOUT_OPEN_ASKS for event in (Event.ANSWER, Event.LAST_ANSWER)}
    for phase, event in missing:
        assert event_of(CAUSES[event], transcript(*REACHES[phase]).position) is Event.ORPHAN


@pytest.mark.parametrize(("phase", "event"), PAIRS)
def test_a_removed_pair_is_an_error_that_names_both_ends(phase: Phase, event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {name: target for name, target in TRANSITIONS[phase].items() if name is not event}
    position = transcript(*REACHES[phase]).position
    monkeypatch.setattr(boundary, "TRANSITIONS", {**TRANSITIONS, phase: row})
    with pytest.raises(InternalError) as caught:
        advance(position, CAUSES[event])
    assert (caught.value.state, caught.value.event) == (phase, event)
    assert repr(str(phase)) in str(caught.value)
    assert repr(str(event)) in str(caught.value)


class TestTheLockTable:
    """One test a row of DESIGN.md, at the level of the core."""

    def test_unanswered_calls_lock_to_the_asker(self) -> None:
        assert find_lock(transcript(human(), ai("a", by="strong"))) == Lock(
            kind=LockKind.TOOL_CALLS_UNANSWERED, model="strong", waiting_for=("a",)
        )

    def test_answered_and_not_consumed_locks_to_the_asker(self) -> None:
        assert find_lock(transcript(human(), ai("a", by="strong"), tool("a"))) == Lock(kind=LockKind.TOOL_RESULTS_UNREAD, model="strong")

    def test_the_final_answer_ends_the_loop(self) -> None:
        assert after(human(), ai("a"), tool("a"), ai()) is None
        assert after(human(), ai("a"), tool("a"), ai(), human()) is None

    @pytest.mark.parametrize("answers", [["a"], ["b"], ["c", "a"]])
    def test_parallel_calls_partly_answered(self, answers: list[str]) -> None:
        lock = find_lock(transcript(human(), ai("a", "b", "c"), *map(tool, answers)))
        assert lock is not None
        assert lock.kind is LockKind.TOOL_CALLS_UNANSWERED
        assert lock.waiting_for == tuple(name for name in "abc" if name not in answers)

    def test_a_failed_tool_is_an_answer_and_still_locks(self) -> None:
        # Status is no part of a step: an error answers its call like any other result.
        assert after(human(), ai("a", "b"), tool("a"), tool("b")) is LockKind.TOOL_RESULTS_UNREAD

    @pytest.mark.parametrize("history", [(human(), ai("a")), (human(), ai("a"), tool("a"))])
    def test_an_injected_human_message_is_no_boundary(self, history: tuple[Step, ...]) -> None:
        assert after(*history, injected()) == after(*history)

    def test_invalid_calls_stay_locked_until_each_is_repaired(self) -> None:
        broken = (human(), ai(invalid_call("a"), invalid_call("b")))
        assert after(*broken) is LockKind.INVALID_CALL_UNREPAIRED
        assert after(*broken, human("again")) is LockKind.INVALID_CALL_UNREPAIRED
        assert after(*broken, tool("a")) is LockKind.INVALID_CALL_UNREPAIRED
        assert after(*broken, tool("a"), tool("b")) is None

    def test_an_interrupt_keeps_the_lock_through_the_checkpoint(self) -> None:
        # A resume sends the same history again, whatever the stores remember.
        history = (human(), ai("a"))
        assert after(*history, closed=None, stored=None) is LockKind.TOOL_CALLS_UNANSWERED

    def test_a_human_closes_an_abandoned_loop(self) -> None:
        position = transcript(human(), ai("a", "b"), tool("a"), human("never mind")).position
        assert position.phase is Phase.OPEN
        assert position.abandoned == (Ask(id="b"),)
        assert after(human(), ai("a"), human("never mind")) is None

    def test_an_artificial_call_ends_with_its_run(self) -> None:
        history = transcript(human(), ai("a"), tool("a"))
        assert find_lock(history) is not None
        assert find_lock(history, closed=history.steps[-1].digest) is None

    def test_a_closed_run_does_not_free_the_loop_after_it(self) -> None:
        run = (human(), ai("a"), tool("a"))
        assert after(*run, ai("b"), closed=run[-1].digest) is LockKind.TOOL_CALLS_UNANSWERED
        assert after(*run, ai("b"), tool("b"), closed=run[-1].digest) is LockKind.TOOL_RESULTS_UNREAD

    def test_a_synthetic_message_without_an_author_is_no_asker(self) -> None:
        assert after(human(), ai("a"), tool("a"), ai(by=None)) is None

    def test_calls_without_an_author_lock_to_whoever_the_session_is_on(self) -> None:
        lock = find_lock(transcript(human(), ai("a", by=None)))
        assert lock is not None
        assert lock.model is None

    def test_agents_that_share_a_history_do_not_lock_one_another(self) -> None:
        handoff = (human(), ai("transfer", agent="supervisor"), tool("transfer"))
        assert after(*handoff, agent="supervisor") is LockKind.TOOL_RESULTS_UNREAD
        assert after(*handoff, agent="worker") is None
        assert after(*handoff, agent=None) is LockKind.TOOL_RESULTS_UNREAD

    def test_client_blocks_lock_without_tool_calls(self) -> None:
        assert after(human(), ai(client_block("screen"))) is LockKind.CLIENT_BLOCK_UNANSWERED
        assert after(human(), ai(client_block("screen")), tool("screen")) is LockKind.TOOL_RESULTS_UNREAD

    def test_a_human_who_approves_answers_and_does_not_open_a_turn(self) -> None:
        history = transcript(human(), ai(client_block("approve")), human("yes", answers=("approve",)))
        lock = find_lock(history)
        assert lock is not None
        assert lock.kind is LockKind.TOOL_RESULTS_UNREAD
        assert history.turn == 1

    def test_an_unfinished_server_tool_locks(self) -> None:
        assert after(human(), ai(server_tool("search"))) is LockKind.SERVER_TOOL_UNFINISHED
        assert after(human(), ai("a", server_tool("search")), tool("a")) is LockKind.SERVER_TOOL_UNFINISHED

    def test_an_answered_server_tool_is_read_by_its_asker(self) -> None:
        assert after(human(), ai(server_tool("x"), server_tool("y")), tool("x")) is LockKind.SERVER_TOOL_UNFINISHED
        assert after(human(), ai(server_tool("x"), invalid_call("y")), tool("y")) is LockKind.SERVER_TOOL_UNFINISHED
        assert after(human(), ai(server_tool("x")), tool("x")) is LockKind.TOOL_RESULTS_UNREAD

    def test_a_partial_message_locks(self) -> None:
        assert after(human(), ai(partial=True)) is LockKind.PARTIAL_MESSAGE

    def test_a_partial_message_that_somebody_answered_is_a_loop(self) -> None:
        assert after(human(), ai("a", "b", partial=True), tool("a")) is LockKind.TOOL_CALLS_UNANSWERED
        assert after(human(), ai("a", partial=True), tool("a")) is LockKind.TOOL_RESULTS_UNREAD

    def test_nothing_said_is_a_boundary(self) -> None:
        assert after() is None
        assert after(system()) is None


class TestTrimmedHistories:
    """Results whose asker was cut off."""

    stored = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model="strong", waiting_for=("a",))

    def test_the_stored_lock_names_the_asker(self) -> None:
        lock = find_lock(transcript(human(), tool("a")), stored=self.stored)
        assert lock == Lock(kind=LockKind.STORED, model="strong", waiting_for=("a",))

    @pytest.mark.parametrize("stored", [None, Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model="strong", waiting_for=("z",))])
    def test_without_it_the_results_still_lock(self, stored: Lock | None) -> None:
        lock = find_lock(transcript(human(), tool("a")), stored=stored)
        assert lock == Lock(kind=LockKind.TOOL_RESULTS_UNREAD, model=None)

    def test_a_result_without_an_id_locks_as_well(self) -> None:
        assert after(human(), tool()) is LockKind.TOOL_RESULTS_UNREAD

    def test_a_human_ends_even_that(self) -> None:
        assert after(human(), tool("a"), human("more"), stored=self.stored) is None

    def test_a_stored_lock_alone_locks_nothing(self) -> None:
        assert after(human(), stored=self.stored) is None


def test_the_position_remembers_nothing_from_before_the_last_ai_message() -> None:
    before = transcript(human(), ai("a"), human("leave it"), ai(invalid_call("x")), human())
    assert before.extended([ai("z")]).position == transcript(ai("z")).position
    assert Position().phase is Phase.OPEN
