"""What `generate` takes and returns, as `invoke` takes and returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_core.outputs import ChatGeneration, LLMResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.callbacks import (
        AsyncCallbackManager,
        AsyncCallbackManagerForLLMRun,
        CallbackManager,
        CallbackManagerForLLMRun,
        Callbacks,
    )
    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableConfig

_RUN = ("tags", "metadata", "run_name", "run_id")


def configs_and_options(count: int, callbacks: Callbacks, kwargs: Mapping[str, Any]) -> tuple[list[RunnableConfig], dict[str, Any]]:
    """Split keyword arguments of `generate` into one config a history, and what the model gets."""
    given: dict[str, Any] = {"callbacks": callbacks, **{name: kwargs[name] for name in _RUN if kwargs.get(name) is not None}}
    # A run id names one run: it goes to the first history only.
    following = {name: value for name, value in given.items() if name != "run_id"}
    options = {key: value for key, value in kwargs.items() if key not in _RUN}
    return [cast("RunnableConfig", following if index else given) for index in range(count)], options


def child_config(
    run: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun, manager: CallbackManager | AsyncCallbackManager
) -> RunnableConfig:
    """Return a config whose runs are children of `run`."""
    manager.set_handlers(run.inheritable_handlers)
    manager.add_tags(run.inheritable_tags)
    manager.add_metadata(run.inheritable_metadata)
    return {"callbacks": manager}


def result_of(answers: Sequence[AIMessage]) -> LLMResult:
    """Return one answer a history in the form of `generate`."""
    return LLMResult(generations=[[ChatGeneration(message=answer)] for answer in answers])
