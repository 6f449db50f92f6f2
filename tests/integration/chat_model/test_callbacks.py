"""What callbacks see: the runs of the chosen models, under their own names."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.runnables import RunnableLambda

from support.agents import DIALECTS, Stage

STAMP = "session_router"
WAYS = ["invoke", "ainvoke", "stream", "astream", "batch", "generate", "v2", "v3"]


async def run(model: Any, way: str, config: Any) -> None:
    match way:
        case "invoke":
            model.invoke("Hi", config)
        case "ainvoke":
            await model.ainvoke("Hi", config)
        case "stream":
            list(model.stream("Hi", config))
        case "astream":
            [chunk async for chunk in model.astream("Hi", config)]
        case "batch":
            model.batch(["Hi"], config)
        case "generate":
            model.generate_prompt([RunnableLambda(model._convert_input).invoke("Hi")], **config)
        case "v2":
            [event async for event in model.astream_events("Hi", config, version="v2")]
        case _:
            list(model.stream_events("Hi", config, version="v3"))


@pytest.mark.filterwarnings("ignore:The method .* is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("start", range(3))
async def test_one_run_under_the_name_of_the_model_that_answers(build: Any, stage: Stage, runs: Any, way: str, start: int) -> None:
    usage = UsageMetadataCallbackHandler()
    config = {"callbacks": [runs, usage], "tags": ["mine"], "metadata": {"customer": "7"}}
    await run(build(start=start, tags=["standing"], metadata={"customer": "0", "region": "eu"}), way, config)
    (started,) = runs.started
    assert runs.names == [f"sim-{DIALECTS[start]}"]
    assert len(runs.answers) == 1
    assert runs.errors == []
    metadata = started["metadata"]
    assert metadata[STAMP]["model"] == DIALECTS[start]
    assert (metadata["customer"], metadata["region"]) == ("7", "eu")
    assert {"mine", "standing"} <= set(started["tags"])
    # Usage is counted once, under the provider's own id.
    ((name, counted),) = usage.usage_metadata.items()
    (row,) = stage.providers.ledger.rows
    assert name.startswith(f"sim-{DIALECTS[start]}")
    assert (counted["input_tokens"], counted["output_tokens"]) == (row.uncached_input, row.output)


def test_callbacks_of_the_instance_see_every_call(build: Any, runs: Any) -> None:
    model = build(callbacks=[runs])
    model.invoke("Hi")
    list(model.stream("Hi"))
    model.with_structured_output({"title": "A", "description": "b", "type": "object", "properties": {}}).invoke("Hi")
    assert len(runs.started) == 3


def test_a_calls_own_config_wins_over_the_surrounding_runs(build: Any, runs: Any, observed: Any) -> None:
    model = build()

    def inside(_: Any) -> Any:
        return model.invoke("Hi", {"metadata": {"customer": "inner"}, "configurable": {"thread_id": "inner"}})

    outer = {"callbacks": [runs], "metadata": {"customer": "outer"}, "configurable": {"thread_id": "outer"}}
    RunnableLambda(inside).invoke(None, outer)
    (started,) = runs.started
    assert started["parent_run_id"] is not None
    assert started["metadata"]["customer"] == "inner"
    model.invoke("Hi", {"configurable": {"thread_id": "inner"}})
    assert observed.decisions[0].session.id == observed.decisions[1].session.id
