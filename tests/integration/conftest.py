"""One set of simulated providers a module, cleared before every test."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from support.agents import Stage, staged


@pytest.fixture(scope="session", autouse=True)
def interrupts_reach_our_commands() -> None:
    """A shell has its jobs in the background ignore interrupts, and whoever they start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def served_stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage


@pytest.fixture
def stage(served_stage: Stage) -> Stage:
    served_stage.clear()
    return served_stage


@pytest.fixture
async def astage(served_stage: Stage) -> AsyncIterator[Stage]:
    served_stage.clear()
    stage = served_stage.on_a_loop_of_its_own()
    yield stage
    await stage.aclose()
