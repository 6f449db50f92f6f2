"""Agents at work, two replicas on one store, and an oracle that knows nothing of how locks are found.

The reference model is small: the raw messages, who wrote them, and what the stored session may still know.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from oracle.reader import LABELS, step_of
from oracle.reference import Memory, OneCommitPerVersion, Recalling
from oracle.verdict import CLIENT_OUTPUTS, danger, ids, is_speech, results_in, unfinished_in, wanted_by
from session_router.core.boundary import LockKind
from session_router.core.call import Call, Outcome
from session_router.core.decision import Action, Decision, Reason
from session_router.core.effects import CommitSession, LoadSession, RecallSession, ScoreNeed
from session_router.core.flow import route
from session_router.core.governance import PUBLIC, Clearance, Level
from session_router.core.need import Question
from session_router.core.policy import Policy
from session_router.core.session import Session, SessionId
from session_router.core.step import Ask
from session_router.core.transcript import Transcript
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from values import FAST, OTHER, STRONG, Prefers, spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from session_router.ports import SessionStore

MODELS = (FAST, STRONG, OTHER)
AGENTS = ("supervisor", "worker")
SESSIONS = {agent: SessionId(f"{number:064x}") for number, agent in enumerate(AGENTS)}
SHAPES = ("final", "final", "call", "call", "calls", "calls", "invalid", "mixed", "approval", "server", "chunk")
FATES = ("told", "told", "told", "untold", "failed", "elsewhere")
replicas, agents, wishes = st.sampled_from((0, 1)), st.sampled_from(AGENTS), st.sampled_from(MODELS)
CALLS = st.tuples(wishes, replicas, st.sampled_from(SHAPES), st.sampled_from(FATES))


def at_rest(session: Session | None, agent: str) -> Session:
    return replace(session or Session(id=SESSIONS[agent]), version=0, exposures=())


class SessionMachine(RuleBasedStateMachine):
    @initialize(
        governed=st.sampled_from((True, True, False)),
        opened=st.sampled_from((True, True, True, False)),
        cap=st.sampled_from((None, 0.5)),
        recalls=st.booleans(),
    )
    def begin(self, *, governed: bool, opened: bool, cap: float | None, recalls: bool) -> None:
        clearances = (Clearance(), Clearance(max_level=Level.RESTRICTED)) if governed else (None, None)
        self.specs = {FAST: spec(1.0, clearance=clearances[0]), STRONG: spec(10.0, clearance=clearances[1])}
        self.specs[OTHER] = spec(3.0, clearance=clearances[1])
        self.governed, self.policy = governed, Policy(stake=1.0, cap=cap)
        self.scorer, self.store = Prefers(), OneCommitPerVersion()
        self.handles = [Recalling(self.store) if recalls else self.store for _ in range(2)]
        self.routers = [self.router(handle) for handle in self.handles]
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": "question"}] if opened else []
        self.asked_by: dict[str, tuple[str, str]] = {}
        self.memories = {agent: Memory() for agent in AGENTS}
        self.now, self.names = 1000.0, 0

    def router(self, store: SessionStore) -> Router:
        return Router(self.specs, store=store, scorer=self.scorer, policy=self.policy, key=b"k" * 32)

    # What happens around a model call

    @rule()
    def human_speaks(self) -> None:
        self.names += 1
        self.messages.append({"role": "user", "content": f"question {self.names}"})

    @rule(gives_up=st.booleans())
    def framework_speaks(self, *, gives_up: bool) -> None:
        self.names += 1
        if gives_up:
            self.messages.append({"role": "assistant", "content": "Model call limit reached.", "model": None})
        else:
            self.messages.append({"role": "user", "content": f"note {self.names}", "injected": True})

    @rule(data=st.data(), secret=st.booleans(), error=st.booleans())
    @precondition(lambda self: self.waiting())
    def one_tool_answers(self, data: st.DataObject, *, secret: bool, error: bool) -> None:
        self.tool_answers(data.draw(st.sampled_from(sorted(self.waiting()))), secret=secret, error=error)

    def tool_answers(self, name: str, *, secret: bool = False, error: bool = False) -> None:
        if name.startswith("approval"):
            kind = "mcp_approval_response"
            self.messages.append({"role": "user", "content": [{"type": kind, CLIENT_OUTPUTS[kind]: name, "approve": not error}]})
        else:
            content = "Error: rejected by the user" if error else "rows"
            self.messages.append({"role": "tool", "tool_call_id": name, "content": content})
        if secret and self.governed:
            self.messages[-1]["label"] = "secret"

    @rule(data=st.data(), summarised=st.booleans())
    @precondition(lambda self: len(self.messages) > 2)
    def history_is_rewritten(self, data: st.DataObject, *, summarised: bool) -> None:
        if summarised:
            last = max((index for index, message in enumerate(self.messages) if message["role"] == "assistant"), default=1)
            self.rewrite(last, {"role": "user", "content": "So far: ...", "injected": True})
        else:
            self.rewrite(data.draw(st.integers(1, len(self.messages) - 1)), None)

    def rewrite(self, kept_from: int, summary: dict[str, Any] | None) -> None:
        gone, kept = self.messages[:kept_from], self.messages[kept_from:]
        if summary is not None:
            kept = [summary | ({"label": "secret"} if any(message.get("label") for message in gone) else {}), *kept]
        self.messages = kept

    @rule(agent=agents)
    @precondition(lambda self: self.messages and self.messages[-1]["role"] == "tool")
    def run_ends_on_a_tool(self, agent: str) -> None:
        session = self.store.load(SESSIONS[agent])
        if session is not None:
            closed = replace(session, closed=step_of(self.messages[-1]).digest, lock=None).committed()
            assert self.store.commit(closed)
            self.memories[agent].closed = self.messages[-1]
            self.memories[agent].known = False

    @rule(agent=agents)
    def store_forgets(self, agent: str) -> None:
        self.store._sessions.pop(SESSIONS[agent], None)
        self.store.committed = {one for one in self.store.committed if one[0] != SESSIONS[agent]}
        self.memories[agent].known = False
        self.memories[agent].closed = None
        self.memories[agent].secret = False

    # Model calls

    @rule(agent=agents, made=st.lists(CALLS, min_size=1, max_size=4), speaks=st.booleans(), stops_at=st.integers(0, 6))
    def agent_runs(self, agent: str, made: list[tuple[str, int, str, str]], *, speaks: bool, stops_at: int) -> None:
        """A turn with its tool loop: calls and all their results, but for the last few results of the last call."""
        if speaks:
            self.human_speaks()
        for wish, replica, shape, fate in made:
            self.model_is_called(wish, replica, agent, shape, fate)
            for name in sorted(self.waiting())[: None if made[-1] != (wish, replica, shape, fate) else stops_at]:
                self.tool_answers(name)
        self.model_is_called(*made[0][:2], agent, "final", "told")

    @rule(first=CALLS, then=CALLS, agent=agents, how=st.sampled_from(("late", "trimmed", "secret")))
    def loop_is_disturbed(self, first: tuple[str, int, str, str], then: tuple[str, int, str, str], agent: str, how: str) -> None:
        """A loop whose results come too late, lose their asker, or may not be seen by it."""
        self.human_speaks()
        self.model_is_called(FAST if how == "secret" else first[0], first[1], agent, "calls", first[3])
        waiting = sorted(self.waiting())
        if how == "late":
            self.human_speaks()
        for name in waiting:
            self.tool_answers(name, secret=how == "secret")
        if how == "trimmed" and waiting:
            self.rewrite(len(self.messages) - len(waiting), self.messages[0] if is_speech(self.messages[0]) else None)
        self.model_is_called(*then[:2], agent, *then[2:])

    @rule(one=CALLS, agent=agents)
    def one_call(self, one: tuple[str, int, str, str], agent: str) -> None:
        wish, replica, shape, fate = one
        self.model_is_called(wish, replica, agent, shape, fate)

    def model_is_called(self, wish: str, replica: int, agent: str, shape: str, fate: str) -> None:
        self.scorer.wants = wish
        router, memory = self.routers[replica], self.memories[agent]
        decision = self.routed(router, self.call(agent))
        if decision.model is None:
            return
        model: str = decision.model
        if fate == "failed":
            router.observe(decision, Outcome(at=self.tick(), model=None, error="RateLimitError"))
            if decision.lock is not None:
                return
            decision = self.routed(router, replace(self.call(agent), failed=(decision.model,)))
            if decision.model is None:
                return
            assert decision.model != model
            assert decision.reason is Reason.FALLBACK
            model = decision.model
        if fate == "elsewhere" and decision.lock is None:
            model = next(name for name in reversed(MODELS) if name != model and self.may_see(name, agent))
        self.answer(agent, model, shape)
        memory.answer(model)
        if fate == "untold":
            memory.known = False
        else:
            asks = step_of(self.messages[-1]).asks
            assert router.observe(decision, Outcome(at=self.tick(), model=model, asks=asks)) is not None  # type: ignore[arg-type]

    @rule(wish=wishes, agent=agents)
    def call_is_routed_again_on_the_other_replica(self, wish: str, agent: str) -> None:
        """An interrupt and its resume, a retry, a crash before the answer."""
        self.scorer.wants = wish
        self.memories[agent].known = False
        first, second = (self.routed(router, self.call(agent)) for router in self.routers)
        assert (first.model, first.lock) == (second.model, second.lock)

    @rule(wish=wishes, agent=agents, turns=st.lists(replicas, max_size=12))
    def both_replicas_route_at_once(self, wish: str, agent: str, turns: list[int]) -> None:
        self.scorer.wants = wish
        self.memories[agent].known = False
        call = self.call(agent)
        before = self.store.load(SESSIONS[agent])
        decisions = self.interleaved(call, turns)
        for decision in decisions:
            self.check(decision, call, agent)
        assert decisions[0].model == decisions[1].model
        if decisions[0].model is not None:
            after = self.store.load(SESSIONS[agent])
            assert after is not None
            assert after.version == (0 if before is None else before.version) + 2

    @rule(wish=wishes, agent=agents)
    def middleware_calls(self, wish: str, agent: str) -> None:
        self.scorer.wants = wish
        before = self.store.load(SESSIONS[agent])
        decision = self.routers[0].route(replace(self.call(agent), internal=True))
        assert decision.action is not Action.SWITCH
        self.routers[0].observe(decision, Outcome(at=self.tick(), model=decision.model, asks=(Ask(id="internal"),)))
        # Providers may hold what was sent, whoever sent it; nothing else has changed.
        assert at_rest(self.store.load(SESSIONS[agent]), agent) == at_rest(before, agent)

    # What must hold

    @invariant()
    def a_session_that_was_told_everything_knows_everything(self) -> None:
        for agent, memory in self.memories.items():
            session = self.store.load(SESSIONS[agent])
            if memory.known and session is not None:
                assert (session.current, session.switches) == (memory.answered, memory.switches)

    def routed(self, router: Router, call: Call) -> Decision:
        """Route `call`, on a replica with a copy of the store as well: the same inputs give the same decision."""
        twin = MemorySessionStore()
        twin._sessions, twin._endless = deepcopy((self.store._sessions, self.store._endless))
        expected = self.router(twin).route(call)
        decision = router.route(call)
        assert decision == expected
        assert call.agent is not None
        self.check(decision, call, call.agent)
        return decision

    def check(self, decision: Decision, call: Call, agent: str) -> None:
        memory, lock = self.memories[agent], decision.lock
        memory.secret |= decision.model is not None and self.holds_a_secret()
        ended = bool(self.messages) and memory.closed == self.messages[-1]
        why = None if ended else danger(self.messages, agent=agent)
        assert (lock is None) is (why is None), (why, lock)
        assert decision.model is None or self.may_see(decision.model, agent)
        if why is None:
            assert decision.action is not Action.FORCED_SWITCH
            return
        assert decision.action is not Action.SWITCH
        asker = self.asker(agent)
        if asker is None or decision.model == asker:
            return
        # A holder that may not see the payload, or has just failed, is the only reason not to stay.
        assert not self.may_see(asker, agent) or asker in call.failed
        assert decision.action in {Action.FORCED_SWITCH, Action.REFUSE}

    def asker(self, agent: str) -> str | None:
        """Say who is waiting, if the history or a session that was told everything can know."""
        last = next((message for message in reversed(self.messages) if message["role"] == "assistant"), None)
        own = last is not None and last.get("name") in (None, agent)
        orphaned = self.orphans()
        askers = {self.asked_by[name] for name in orphaned if name in self.asked_by}
        if not orphaned:
            return None if last is None else last.get("model")
        if self.memories[agent].known and len(askers) == 1 and next(iter(askers))[0] == agent and self.stored_waits_for(agent, orphaned):
            return next(iter(askers))[1]
        session = self.store.load(SESSIONS[agent])
        if session is not None and last is not None and session.current not in {None, last.get("model")}:
            # Results that come after the loop was given up, and another model was chosen: they are that one's to read.
            return session.current
        return last["model"] if own and last is not None and last["model"] and not askers - {(agent, last["model"])} else None

    def orphans(self) -> set[str]:
        """Ids answered since the last assistant message, or the last human word, that this message did not ask for."""
        start = max((index for index, message in enumerate(self.messages) if message["role"] == "assistant"), default=-1)
        asked = set() if start < 0 else self.open_in(self.messages[start])
        tail = self.messages[start + 1 :]
        spoke = max((index for index, message in enumerate(tail) if is_speech(message)), default=-1)
        return results_in(tail[spoke + 1 :]) - (set() if spoke >= 0 else asked)

    def stored_waits_for(self, agent: str, orphaned: set[str]) -> bool:
        session = self.store.load(SESSIONS[agent])
        return session is not None and session.lock is not None and bool(orphaned & set(session.lock.waiting_for))

    # Details

    def call(self, agent: str) -> Call:
        history = Transcript().extended([step_of(message) for message in self.messages])
        tag = PUBLIC if self.governed else None
        question = Question(text="", turn=history.turn)
        return Call(transcript=history, question=question, now=self.tick(), session=SESSIONS[agent], agent=agent, tag=tag)

    def may_see(self, model: str, agent: str) -> bool:
        """Say whether `model` is cleared: who has read a secret may repeat it in what bears no label."""
        repeated = self.memories[agent].secret and any(
            message["role"] == "assistant" or message.get("injected") for message in self.messages if not message.get("label")
        )
        return not (self.governed and (repeated or self.holds_a_secret()) and model == FAST)

    def holds_a_secret(self) -> bool:
        return any(LABELS[message.get("label")] not in (None, PUBLIC) for message in self.messages)

    def tick(self) -> float:
        self.now += 1.0
        return self.now

    def open_in(self, message: dict[str, Any]) -> set[str]:
        return wanted_by(message) | set(ids(message.get("invalid_tool_calls"))) | unfinished_in(message)

    def waiting(self) -> set[str]:
        """Ids of the last assistant message that the application can still answer, be it too late."""
        start = max((index for index, message in enumerate(self.messages) if message["role"] == "assistant"), default=-1)
        if start < 0:
            return set()
        message = self.messages[start]
        return self.open_in(message) - unfinished_in(message) - results_in(self.messages[start + 1 :])

    def answer(self, agent: str, model: str, shape: str) -> None:
        self.names += 1
        own = f"{self.names}"
        message: dict[str, Any] = {"role": "assistant", "content": f"text {own}", "model": model, "name": agent}
        calls = [{"id": f"call-{own}-{index}", "type": "function"} for index in range(3)]
        match shape:
            case "call":
                message["tool_calls"] = calls[:1]
            case "calls":
                message["tool_calls"] = calls
            case "invalid":
                message["invalid_tool_calls"] = calls[:2]
            case "mixed":
                message |= {"tool_calls": calls[:1], "invalid_tool_calls": calls[1:2]}
            case "approval":
                message["content"] = [{"type": "mcp_approval_request", "id": f"approval-{own}"}]
            case "server":
                message |= {"content": [{"type": "server_tool_use", "id": f"server-{own}"}], "stop_reason": "pause_turn"}
            case "chunk":
                message |= {"chunk": True, "tool_calls": calls[:1]}
        self.messages.append(message)
        self.asked_by |= dict.fromkeys(self.open_in(message), (agent, model))

    def interleaved(self, call: Call, turns: Sequence[int]) -> list[Decision]:
        """Pump two flows over one store, in any order of their effects."""
        flows = [route(call, self.specs, self.policy) for _ in range(2)]
        effects: list[Any] = [next(flow) for flow in flows]
        decisions: list[Decision | None] = [None, None]
        order = [*turns, *([0, 1] * 60)]
        while None in decisions:
            side = order.pop(0)
            if decisions[side] is not None:
                continue
            try:
                effects[side] = flows[side].send(self.perform(effects[side], self.handles[side]))
            except StopIteration as stop:
                decisions[side] = stop.value
        return [decision for decision in decisions if decision is not None]

    def perform(self, effect: object, handle: OneCommitPerVersion | Recalling) -> object:
        match effect:
            case LoadSession():
                return handle.load(effect.session)
            case RecallSession():
                if not isinstance(handle, Recalling):
                    return None
                return handle.recall(effect.session) or (Session(id=effect.session) if effect.begins else None)
            case CommitSession():
                return handle.commit(effect.session)
            case ScoreNeed():
                return self.scorer.score(effect.question, effect.models)
            case _:
                return None


def test_the_machine_meets_every_row_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that never reaches a lock proves nothing: count what it met."""
    met: Counter[object] = Counter()
    check = SessionMachine.check

    def counting(machine: SessionMachine, decision: Decision, call: Call, agent: str) -> None:
        check(machine, decision, call, agent)
        met.update([decision.action, decision.reason])
        if decision.lock is not None:
            late = danger(machine.messages) in {"results after the last human message", "results nobody asked for"}
            met.update([decision.lock.kind, "late"] if late else [decision.lock.kind])

    monkeypatch.setattr(SessionMachine, "check", counting)
    run_state_machine_as_test(SessionMachine, settings=settings(TestSessions.settings, max_examples=300, derandomize=True, database=None))
    rare = {kind: met[kind] for kind in [*LockKind, Action.SWITCH, Action.FORCED_SWITCH, Reason.FALLBACK, "late"] if met[kind] < 3}
    assert not rare, met
    assert min(met[LockKind.TOOL_CALLS_UNANSWERED], met[LockKind.TOOL_RESULTS_UNREAD]) > 100


TestSessions = SessionMachine.TestCase
TestSessions.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
