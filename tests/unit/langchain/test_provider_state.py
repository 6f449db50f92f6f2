"""What a request refers to: which settings say so, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI

from session_router import Prices, Router
from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.session import Session, SessionId
from session_router_langchain.calls import Calls
from session_router_langchain.provider_state import ids_in

RESPONSE, CONTAINER = BindingKind.PREVIOUS_RESPONSE, BindingKind.CONTAINER
ACCOUNT, DIALECT, MODEL = BindingReach.ACCOUNT, BindingReach.DIALECT, BindingReach.MODEL
QUESTION: list[BaseMessage] = [HumanMessage("And?")]


def gpt(name: str = "gpt-a", *, key: str = "one", responses: bool | None = True, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model=name, api_key=key, use_responses_api=responses, **settings)  # type: ignore[arg-type] # a plain key is taken


def claude(**settings: Any) -> ChatAnthropic:
    return ChatAnthropic(**{"model_name": "claude-a", "api_key": "one", **settings})


def calls_of(**routes: Any) -> Calls:
    calls = Calls(Router(routes, prices=dict.fromkeys(routes, Prices(input=1.0, output=1.0))))
    calls.models.build()
    return calls


def bound(calls: Calls, settings: Any = None, messages: Any = QUESTION, carried: Any = None) -> set[tuple[BindingKind, BindingReach, str]]:
    """Return the bindings of a call; an account is told by the first route that has it."""
    accounts: dict[str, str] = {}
    for name, spec in calls.models.specs.items():
        accounts.setdefault(spec.account, name)
    call = calls.call(messages, calls.read(messages), settings=settings or {}, carried=carried)
    assert all(isinstance(one, Binding) for one in call.bindings)
    return {(one.kind, one.reach, accounts.get(one.holder, one.holder)) for one in call.bindings}


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_1"}),
        ({"conversation": "conv_1"}, {"conversation": "conv_1"}),
        ({"conversation": {"id": "conv_1"}}, {"conversation": "conv_1"}),
        ({"container": "container_1"}, {"container": "container_1"}),
        ({"container": {"id": "container_1", "skills": []}}, {"container": "container_1"}),
        ({"extra_body": {"previous_response_id": "resp_1"}}, {"previous_response_id": "resp_1"}),
        ({"model_kwargs": {"extra_body": {"conversation": "conv_1"}}}, {"conversation": "conv_1"}),
        # These ask for something new, or for nothing.
        ({"container": {"skills": [{"skill_id": "pdf"}]}}, {}),
        ({"previous_response_id": None, "conversation": "", "container": None, "extra_body": None}, {}),
        ({"temperature": 0.0, "extra_body": {"top_k": 1}}, {}),
    ],
)
def test_settings_that_refer_to_what_a_provider_keeps(settings: dict[str, Any], ids: dict[str, str]) -> None:
    assert ids_in(settings) == ids


def test_the_only_account_of_the_provider_holds_it() -> None:
    calls = calls_of(chat=gpt(responses=None), responses=gpt("gpt-b"), claude=claude(), other=FakeListChatModel(responses=["Hi."]))
    expected = {(RESPONSE, ACCOUNT, "chat"), (RESPONSE, DIALECT, "openai-responses")}
    assert bound(calls, {"previous_response_id": "resp_1"}) == expected
    assert bound(calls, {"container": "container_1"}) == {(CONTAINER, ACCOUNT, "claude"), (CONTAINER, DIALECT, "anthropic")}
    assert bound(calls) == set()


def test_a_client_that_moves_to_the_responses_api_by_itself_may_hold_it() -> None:
    calls = calls_of(chat=gpt(responses=None), claude=claude())
    decision = calls.router.route(calls.call(QUESTION, calls.read(QUESTION), settings={"previous_response_id": "resp_1"}))
    assert decision.chosen() == "chat"


def test_a_client_that_is_not_known_may_hold_it() -> None:
    calls = calls_of(claude=claude(), other=FakeListChatModel(responses=["Hi."]))
    assert bound(calls, {"previous_response_id": "resp_1"}) == {(RESPONSE, ACCOUNT, "other")}


def answer(author: str, identifier: str) -> AIMessage:
    return AIMessage("Yes.", response_metadata={"model_name": author, "model_provider": "openai", "id": identifier})


def test_of_two_accounts_the_history_tells_which() -> None:
    calls = calls_of(one=gpt(), two=gpt("gpt-b", key="two"), claude=claude())
    by_claude = AIMessage("Yes.", response_metadata={"model_name": "claude-a", "model_provider": "anthropic"})
    history = [HumanMessage("1"), answer("gpt-a", "resp_1"), answer("gpt-b", "resp_2"), by_claude, *QUESTION]
    spoken = (RESPONSE, DIALECT, "openai-responses")
    assert bound(calls, {"previous_response_id": "resp_1"}, history) == {(RESPONSE, ACCOUNT, "one"), spoken}
    assert bound(calls, {"previous_response_id": "resp_2"}, history) == {(RESPONSE, ACCOUNT, "two"), spoken}
    # An id that no answer bears goes to the last that could have given it; never to Claude.
    assert bound(calls, {"conversation": "conv_1"}, history) == {(RESPONSE, ACCOUNT, "two"), spoken}
    assert bound(calls, {"conversation": "conv_1"}) == {(RESPONSE, ACCOUNT, ""), spoken}


@pytest.mark.parametrize(("current", "chosen"), [("one", "one"), ("two", "two"), ("claude", None), (None, None)])
def test_without_a_history_the_session_tells_which(current: Any, chosen: str | None) -> None:
    calls = calls_of(one=gpt(), two=gpt("gpt-b", key="two"), claude=claude())
    session = Session(id=SessionId("s"), current=current)
    call = calls.call(QUESTION, calls.read(QUESTION), carried=session, settings={"conversation": "conv_1"})
    decision = calls.router.route(call)
    assert decision.model == chosen
    if chosen is None:
        assert (decision.reason.value, decision.evidence.blocked_by) == ("unportable", ("previous_response",))


def test_a_routes_own_settings_bind_the_session_that_is_on_it() -> None:
    own = {"conversation": "conv_1"}
    calls = calls_of(one=gpt(model_kwargs=own), two=gpt("gpt-b", key="two"), claude=claude(container="container_1"))
    on = {name: Session(id=SessionId("s"), current=name) for name in calls.models.specs}
    # A conversation that was begun elsewhere begins where it is held; an empty container has nothing yet.
    assert bound(calls) == {(RESPONSE, ACCOUNT, "one")}
    assert bound(calls, carried=on["one"]) == {(RESPONSE, ACCOUNT, "one")}
    assert bound(calls, carried=on["two"]) == set()
    assert bound(calls, carried=on["claude"]) == {(CONTAINER, ACCOUNT, "claude")}
    assert bound(calls, messages=[HumanMessage("1"), answer("gpt-a", "resp_1"), *QUESTION], carried=on["two"]) == {
        (RESPONSE, ACCOUNT, "one")
    }


def test_a_route_of_the_same_account_without_the_setting_does_not_have_it() -> None:
    own = {"previous_response_id": "resp_1"}
    apart = calls_of(one=gpt(model_kwargs=own), two=gpt("gpt-b"))
    assert bound(apart) == {(RESPONSE, MODEL, "one")}
    together = calls_of(one=gpt(model_kwargs=own), two=gpt("gpt-b", model_kwargs=own))
    assert bound(together) == {(RESPONSE, ACCOUNT, "one")}
    strangers = calls_of(one=gpt(model_kwargs=own), two=gpt("gpt-b", key="two", model_kwargs=own))
    assert bound(strangers) == set()
