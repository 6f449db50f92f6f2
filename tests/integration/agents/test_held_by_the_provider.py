"""What a provider keeps of a conversation bears the label with which it was sent there, whoever refers to it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from session_router import ModelSpec, Policy, Prices, Router, Tag
from session_router.core import eligibility
from session_router.core.governance import PUBLIC
from session_router.errors import NoClearedModel
from session_router.testing.providers import SimulatedClock, SimulatedProviders
from session_router_langchain import SessionRouterChatModel
from session_router_langchain.tagging import TAG_KEY, labelled, own_label
from support.agents import RestlessScorer
from support.in_process import Clients
from support.leak_labels import CLEARANCES, LABELS, Data, Parrot, simulated, witness

if TYPE_CHECKING:
    from session_router.testing.providers import Canaries

INTERNAL = LABELS["internal"]
THREAD: Any = {"configurable": {"thread_id": "a"}}
SOURCES = {name: Tag() for name in ("human", "system", "schemas")}


class Kept:
    """Two models of one account of the Responses API: one may see what is internal, the other may not."""

    def __init__(self, *, names: tuple[str, ...] = ("kept", "kept-2"), start: int = 0, sources: Any = None, **settings: Any) -> None:
        rng = random.Random(1)
        self.canaries: Canaries = witness()
        self.clock, self.data = SimulatedClock(), Data(self.canaries, rng)
        self.providers = SimulatedProviders(simulated(Parrot(rng)), clock=self.clock, canaries=self.canaries)
        self.clients, self.names, self.settings = Clients(self.providers), names, settings
        self.sources = SOURCES if sources is None else sources
        self.model = self.begun(start)

    def begun(self, start: int = 0) -> SessionRouterChatModel:
        """Return the chat model as another process would build it: with nothing in its store."""
        routes = {
            name: ModelSpec(
                model=self.clients.openai(f"sim-{name}", use_responses_api=True, **self.settings),
                prices=Prices(input=1.0, output=4.0),
                clearance=CLEARANCES[name],
            )
            for name in self.names
        }
        policy = Policy(stake=1.0, margin=0.0, sources=self.sources)
        router = Router(routes, policy=policy, scorer=RestlessScorer(start=start), clock=self.clock, key=b"k" * 32)
        return SessionRouterChatModel(router=router, principal="ada")

    def secret(self) -> HumanMessage:
        return labelled(HumanMessage(f"Remember {self.data.of('internal')}."), INTERNAL)

    @property
    def asked(self) -> list[str]:
        return [row.model for row in self.providers.ledger.rows]


def id_of(answer: AIMessage) -> str:
    name: str = answer.response_metadata["id"]
    assert name.startswith("resp_")
    return name


def test_only_who_may_see_it_is_sent_the_id_of_what_is_held() -> None:
    kept = Kept()
    answer = kept.model.invoke([kept.secret()], THREAD)
    for _ in range(4):
        answer = kept.model.invoke("And?", THREAD, previous_response_id=id_of(answer))
        assert own_label(answer) == INTERNAL
    assert set(kept.asked) == {"sim-kept"}
    assert kept.canaries.leaks == ()
    assert kept.canaries.marked == 5


def test_what_the_application_says_of_unlabelled_data_does_not_lower_it() -> None:
    kept = Kept()
    public: Any = {**THREAD, "metadata": {TAG_KEY: PUBLIC}}
    answer = kept.model.invoke([kept.secret()], public)
    for _ in range(4):
        answer = kept.model.invoke("And?", public, previous_response_id=id_of(answer))
    assert kept.canaries.leaks == ()


def test_without_its_label_it_leaks() -> None:
    kept = Kept()
    with patch.object(eligibility, "_held", lambda *_: frozenset({PUBLIC})):
        answer = kept.model.invoke([kept.secret()], THREAD)
        for _ in range(4):
            answer = kept.model.invoke("And?", THREAD, previous_response_id=id_of(answer))
    assert kept.canaries.leaks


def test_what_is_public_there_may_be_taken_up_by_both() -> None:
    kept = Kept()
    answer = kept.model.invoke("hello", THREAD)
    for _ in range(4):
        answer = kept.model.invoke("And?", THREAD, previous_response_id=id_of(answer))
    assert set(kept.asked) == {"sim-kept", "sim-kept-2"}


def test_it_is_denied_when_clearance_is_lost() -> None:
    kept = Kept()
    answer = kept.model.invoke([kept.secret()], THREAD)
    specs = kept.model.router.models
    kept.model.router.describe({name: spec if name != "kept" else specs["kept-2"] for name, spec in specs.items()})  # type: ignore[index] # names are texts
    with pytest.raises(NoClearedModel):
        kept.model.invoke("And?", THREAD, previous_response_id=id_of(answer))
    assert len(kept.asked) == 1


def test_what_no_session_remembers_goes_nowhere_unless_the_policy_says_what_it_is() -> None:
    kept = Kept()
    answer = kept.model.invoke([kept.secret()], THREAD)
    with pytest.raises(NoClearedModel):
        kept.begun().invoke("And?", {**THREAD, "metadata": {TAG_KEY: PUBLIC}}, previous_response_id=id_of(answer))
    said = Kept(sources={**SOURCES, "provider": INTERNAL})
    begun_elsewhere = id_of(said.begun().invoke([said.secret()], THREAD))
    for _ in range(3):
        said.model.invoke("And?", THREAD, previous_response_id=begun_elsewhere)
    assert said.canaries.leaks == ()
    assert set(said.asked) == {"sim-kept"}


def test_a_conversation_that_grows_keeps_the_label_of_all_that_was_sent_into_it() -> None:
    kept = Kept(sources={**SOURCES, "provider": Tag()}, start=1)
    with patch.object(kept.model.router, "observers", ()):
        calls = [kept.model.router.route(one) for one in _conversation(kept)]
    assert [call.tag for call in calls] == [Tag(), INTERNAL, INTERNAL]
    assert [call.model for call in calls[1:]] == ["kept", "kept"]


def _conversation(kept: Kept) -> Any:
    """Yield calls of one session that refer to one conversation: public, internal, public."""
    from session_router.core.call import Call
    from session_router.core.exposure import Held, id_of
    from session_router.core.need import Question
    from session_router.core.session import SessionId
    from session_router.core.step import Role, Step
    from session_router.core.transcript import Transcript

    kept.model.invoke("hello")
    for at, tag in enumerate((Tag(), INTERNAL, Tag())):
        step = Step(role=Role.HUMAN, digest=bytes([at]) * 16, tokens=9, tag=tag)
        transcript = Transcript().extended([step])
        held = (Held(id_of("conv_1"), grows=True),)
        yield Call(
            transcript=transcript, question=Question(text="?", turn=1), now=kept.clock.now(), session=SessionId("5e" * 32), held=held
        )


@pytest.mark.parametrize("redacted", [False, True])
def test_an_id_from_the_history_is_dropped_where_the_history_was_redacted(redacted: bool) -> None:
    """The client refers to the history by the last answer's id. What was redacted since is still in the provider's copy."""
    kept = Kept(use_previous_response_id=True)
    question = kept.secret()
    answer = kept.model.invoke([question], THREAD)
    sent_before = kept.canaries.marked
    if redacted:
        # Somebody declassified the exchange: what is left of it is public, and says so.
        question = labelled(HumanMessage("Remember (redacted)."), Tag())
        answer = answer.model_copy(update={"content": "(redacted)", "additional_kwargs": {}})
        answer = labelled(answer, Tag())
    for _ in range(4):
        kept.model.invoke([question, answer, HumanMessage("And?")], THREAD)
    assert kept.canaries.leaks == ()
    # The redacted history is sent itself; the other one is referred to.
    assert (kept.canaries.marked > sent_before) is not redacted
    assert set(kept.asked[1:]) == ({"sim-kept", "sim-kept-2"} if redacted else {"sim-kept"})


def test_a_session_and_its_decisions_say_what_is_still_held_elsewhere_until_it_is_not() -> None:
    kept = Kept(names=("eu", "kept"))
    decisions: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            decisions.append(decision)

        def on_outcome(self, *_: Any) -> None: ...

    kept.model.router.observers = (Watch(),)
    for _ in range(2):
        kept.model.invoke([kept.secret()], THREAD)
    first, second = decisions
    assert first.evidence.exposures == ()
    (left,) = second.to_plain()["evidence"]["exposures"]
    until = kept.clock.now() + (CLEARANCES[first.model].retention_seconds or 0.0)
    assert left == {"model": first.model, "tag": "data labelled internal", "until": until}
    kept.clock.advance(366 * 86_400.0)
    kept.model.invoke([kept.secret()], THREAD)
    assert decisions[-1].evidence.exposures == ()
