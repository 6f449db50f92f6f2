"""Another model answers when the chosen one fails, as long as nobody has seen a beginning and nothing is locked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.errors import GraphInterrupt
from pydantic import BaseModel

from session_router.core.call import CANCELLED
from session_router.testing.providers import Fault
from support.agents import DIALECTS, Stage

if TYPE_CHECKING:
    from session_router_langchain import SessionRouterChatModel

pytestmark = pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")

STAMP = "session_router"
LOCKED = [
    HumanMessage("Weather?"),
    AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "c1"}], response_metadata={"model_name": "sim-chat"}),
    ToolMessage("sunny", tool_call_id="c1"),
]


class City(BaseModel):
    """A city."""

    name: str


def weather() -> str:
    """Tell the weather."""
    return "sunny"


async def ask(model: SessionRouterChatModel, way: str, value: Any, config: Any = None) -> Any:  # noqa: C901 -- one branch a way
    """Return the answer with everything that came, or raise after keeping what came in the exception's `seen`."""
    seen: list[Any] = []
    try:
        match way:
            case "invoke":
                seen.append(model.invoke(value, config))
            case "ainvoke":
                seen.append(await model.ainvoke(value, config))
            case "stream":
                for chunk in model.stream(value, config):
                    seen.append(chunk)  # noqa: PERF402 -- what came before an error counts
            case "astream":
                async for chunk in model.astream(value, config):
                    seen.append(chunk)  # noqa: PERF401 -- as above
            case "stream_events":
                events = model.stream_events(value, config, version="v3")
                for event in events:
                    seen.append(event)  # noqa: PERF402 -- as above
                return events.output, seen
            case _:
                aevents = await model.astream_events(value, config, version="v3")
                async for event in aevents:
                    seen.append(event)  # noqa: PERF401 -- as above
                return await aevents.output, seen
    except Exception as error:
        error.seen = seen  # type: ignore[attr-defined]
        raise
    first, *others = seen
    return sum(others, first), seen


WAYS = ["invoke", "ainvoke", "stream", "astream", "stream_events", "astream_events"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", range(3))
@pytest.mark.parametrize(
    "fault", [Fault.overloaded(), Fault.rate_limited(), Fault.broken("before_first_token")], ids=["503", "429", "broken"]
)
async def test_the_next_model_answers(build: Any, stage: Stage, observed: Any, way: str, start: int, fault: Fault) -> None:
    stage.providers.faults.next(fault)
    answer, seen = await ask(build(start=start), way, "Hello")
    assert answer.text == "You said: Hello"
    failed, answered = observed.outcomes
    assert failed.error is not None
    assert answered.model != observed.decisions[0].model
    assert (answer.response_metadata[STAMP]["model"], answer.response_metadata[STAMP]["reason"]) == (answered.model, "fallback")
    assert answer.response_metadata["model_name"].startswith(f"sim-{answered.model}")
    assert answer.usage_metadata["output_tokens"] == stage.providers.ledger.rows[-1].output
    # Nothing of the first model's stream is left: not its id, not its beginning.
    assert len({item.id for item in seen if isinstance(item, AIMessage) and str(item.id).startswith("lc_run")}) <= 1
    assert sum(isinstance(item, dict) and item["event"] == "message-start" for item in seen) == way.endswith("events")


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("bound", [False, True])
async def test_events_of_version_2_tell_the_answer_once(build: Any, stage: Stage, fails: bool, bound: bool) -> None:
    model = build()
    model = model.bind_tools([weather]) if bound else model
    if fails:
        stage.providers.faults.next(Fault.overloaded())
    events = [event async for event in model.astream_events("Hello to everybody", version="v2")]
    told = "".join(event["data"]["chunk"].text for event in events if event["event"] == "on_chat_model_stream")
    (ended,) = [event["data"]["output"].text for event in events if event["event"] == "on_chat_model_end"]
    assert told == ended != ""
    assert sum(event["event"] == "on_chat_model_start" for event in events) == 1 + fails


@pytest.mark.parametrize("way", ["stream", "astream", "stream_events", "astream_events"])
@pytest.mark.parametrize("start", range(3))
async def test_nothing_is_spliced_to_an_answer_that_has_begun(build: Any, stage: Stage, way: str, start: int) -> None:
    stage.providers.faults.next(Fault.broken("after_text", text_deltas=1))
    with pytest.raises(Exception, match=r"connection|peer closed|incomplete|Connection") as raised:
        await ask(build(start=start), way, "Hello to everybody out there")
    assert len(stage.providers.ledger.rows) == 1
    assert all(STAMP not in getattr(item, "response_metadata", {}) for item in raised.value.seen)  # type: ignore[attr-defined]


@pytest.mark.parametrize("way", WAYS)
async def test_under_a_lock_the_error_goes_up(build: Any, stage: Stage, way: str) -> None:
    stage.providers.faults.next(Fault.overloaded())
    with pytest.raises(Exception, match=r"503|overloaded"):
        await ask(build(start=1), way, LOCKED)
    assert [row.model for row in stage.providers.ledger.rows] == ["sim-chat"]
    # The framework may ask again: the model that holds the lock answers.
    assert (await ask(build(start=1).bind_tools([weather]), "invoke", LOCKED))[0].response_metadata[STAMP]["model"] == "chat"


@pytest.mark.parametrize("way", WAYS)
async def test_the_model_that_is_insisted_on_has_no_substitute(build: Any, stage: Stage, way: str) -> None:
    stage.providers.faults.next(Fault.overloaded())
    with pytest.raises(Exception, match=r"503|overloaded"):
        await ask(build(model="chat"), way, "Hello")
    assert [row.model for row in stage.providers.ledger.rows] == ["sim-chat"]


@pytest.mark.parametrize("way", WAYS)
async def test_when_all_fail_the_first_failure_goes_up(build: Any, stage: Stage, way: str) -> None:
    stage.providers.faults.next(Fault.rate_limited(), times=1)
    stage.providers.faults.next(Fault.overloaded(), times=9)
    with pytest.raises(Exception, match=r"429|[Rr]ate"):
        await ask(build(), way, "Hello")
    assert len(stage.providers.ledger.rows) == len(DIALECTS)


@pytest.mark.parametrize("way", WAYS)
async def test_control_flow_is_no_failure(build: Any, stage: Stage, observed: Any, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    from langchain_openai import ChatOpenAI

    def interrupt(*_: Any, **__: Any) -> Any:
        raise GraphInterrupt

    for name in ("_generate", "_agenerate", "_stream", "_astream", "stream_events", "astream_events"):
        monkeypatch.setattr(ChatOpenAI, name, interrupt)
    model = build("chat", "claude")
    with pytest.raises(GraphInterrupt):
        await ask(model, way, "Hello")
    assert stage.asked == []
    # Nor is it told as one, to health, audit or telemetry: once, that nobody waits for it any more.
    model.router._aside.wait()
    assert len(observed.decisions) == 1
    assert [(outcome.error, outcome.failure, outcome.model) for outcome in observed.outcomes] == [(CANCELLED, None, None)]


@pytest.mark.parametrize("is_async", [False, True])
async def test_structured_output_falls_back(build: Any, stage: Stage, *, is_async: bool) -> None:
    structured = build().with_structured_output(City)
    stage.providers.faults.next(Fault.overloaded(), times=2)
    city = await structured.ainvoke("The city is 'Oslo'") if is_async else structured.invoke("The city is 'Oslo'")
    assert city == City(name="Oslo")
    stage.providers.faults.next(Fault.overloaded())
    values = [v async for v in structured.astream("It is 'Bonn'")] if is_async else list(structured.stream("It is 'Bonn'"))
    assert values[-1] == City(name="Bonn")


def test_each_attempt_is_a_run_of_its_own(build: Any, stage: Stage, runs: Any) -> None:
    from uuid import uuid4

    stage.providers.faults.next(Fault.overloaded())
    run_id = uuid4()
    build().invoke("Hello", {"callbacks": [runs], "run_id": run_id, "run_name": "mine"})
    first, second = runs.started
    assert first["run_id"] == run_id != second["run_id"]
    assert (first["name"], second["name"]) == ("mine", "mine")
    assert (len(runs.errors), len(runs.answers)) == (1, 1)
