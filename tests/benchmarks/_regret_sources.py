"""Recorded sessions, the models that they may be routed over, and what is known of how well each model serves each task."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from statistics import mean
from typing import TYPE_CHECKING, Any

from session_router import ModelSpec, Prices
from session_router.core.model import ModelName
from session_router.recordings import recording_from_openai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from session_router.recordings import Recording

ERROR_MARKERS = ("error", "traceback", "exception", "failed")
"""What langchain-router 0.1.4 takes for an error in a tool's result."""

CACHED_SHARE = 0.25
"""Of the input price: what OpenAI asks for cached input of gpt-4.1 and its fine-tuned form. Assumed wherever `CACHED` says nothing."""

CACHED = {"gpt-5-chat-latest": 0.125, "gpt-4o": 1.25}
"""US dollars per 1,000,000 cached input tokens, as OpenAI lists them."""

FINE_TUNED = Prices(input=3.0, output=12.0, cached_input=0.75)
"""What OpenAI lists for a fine-tuned gpt-4.1; `prices.json` has no fine-tuned models."""

TAU2_NAMES = {"toolorchestra-gpt-5": "gpt-5-chat-latest", "gpt-4.1": "gpt-4.1", "gpt-4o": "gpt-4o"}
"""Recorded models, and their names in `prices.json`."""

MINT_NAMES = {
    "Mistral-7B-Instruct-v0.2": "mistralai/mistral-7b-instruct",
    "Mixtral-8x7B-Instruct-v0.1": "mistralai/mixtral-8x7b-instruct",
    "gpt-3.5-turbo-0613": "gpt-3.5-turbo",
    "gpt-4-0613": "gpt-4",
}
"""Four models that ran every task, of four prices."""

TIER_NAMES = {"low": "gpt-4.1-nano", "middle": "gpt-4.1-mini", "high": "gpt-4.1"}
"""Three tiers for sessions that nobody ran on a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """One recorded session.

    Attributes:
        recording: Its messages.
        part: Which part of its source it belongs to.
        task: Names what was to be done, within all sources.
        outcomes: By model, how well it served the task, in [0, 1]; empty when nobody knows.
        measured: Models whose outcome was recorded; that of the others is their own mean.
        failures: Indices of the messages that hold a tool's result which looks like an error.
    """

    recording: Recording
    part: str
    task: str
    outcomes: Mapping[ModelName, float] = field(default_factory=dict[ModelName, float])
    measured: frozenset[ModelName] = frozenset()
    failures: frozenset[int] = frozenset()

    @property
    def fold(self) -> int:
        """0 or 1: what is learned in one fold is tried on the other."""
        return digest_of(self.task)[-1] % 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Sessions of one kind.

    Attributes:
        name: Stands in figures.
        models: The routes.
        sessions: The sessions.
    """

    name: str
    models: Mapping[ModelName, ModelSpec]
    sessions: Sequence[RecordedSession]

    @property
    def has_outcomes(self) -> bool:
        """Whether an oracle can be asked."""
        return all(session.outcomes for session in self.sessions)

    @property
    def measured(self) -> str:
        """Say how much of it was recorded."""
        if not self.has_outcomes:
            return "no outcomes recorded"
        known = {(session.task, name) for session in self.sessions for name in session.measured}
        tasks = {session.task for session in self.sessions}
        return f"{len(known)} of {len(tasks) * len(self.models)} outcomes recorded, any other is the mean of its model"

    def sampled(self, tasks: int) -> Source:
        """Return the sessions of at most so many tasks, the same ones every time, in their order."""
        names = sorted({session.task for session in self.sessions}, key=digest_of)[:tasks]
        return replace(self, sessions=[session for session in self.sessions if session.task in set(names)])


def digest_of(*parts: str) -> bytes:
    """Return bytes that are as good as random and always the same."""
    return blake2b("\n".join(parts).encode(), digest_size=8).digest()


def sources(data: Path) -> list[Source]:
    """Read all of them.

    Raises:
        OSError: A file is missing.
    """
    prices = prices_of(data)
    rows = list(_rows(data / "sessions_tau2_retail_telecom.jsonl.gz"))
    fine_tuned = {ModelName("ft-gpt-4.1-tau2-sft"): ModelSpec(model="ft:gpt-4.1", prices=FINE_TUNED)}
    return [
        _tau2(rows, "retail", ("toolorchestra-gpt-5", "gpt-4.1"), prices, fine_tuned),
        _tau2(rows, "telecom", ("gpt-4o", "gpt-4.1"), prices, fine_tuned),
        _mint(data, prices),
        _sgd(data, prices),
    ]


def prices_of(data: Path) -> Mapping[str, Any]:
    """Return US dollars per 1,000,000 tokens of input and of output, by model.

    Raises:
        OSError: The file is missing.
    """
    prices: Mapping[str, Any] = json.loads((data / "prices.json").read_text(encoding="utf-8"))["routerarena"]
    return prices


def _tau2(
    rows: Sequence[dict[str, Any]], domain: str, names: Iterable[str], prices: Mapping[str, Any], fine_tuned: Mapping[ModelName, ModelSpec]
) -> Source:
    """Every session of a domain. Without a user to talk to (`telecom-solo`) the same task is another one: its outcomes are its own."""
    models = {**specs_of({name: TAU2_NAMES[name] for name in names}, prices), **fine_tuned}
    read = [_session(row, line, part=row["source"].removeprefix("tau2-bench/")) for line, row in enumerate(rows, start=1)]
    own = [session for session in read if session.part.split("-")[0] == domain]
    recorded = {(one.task, ModelName(one.recording.model or "")): float(rows[one.recording.line - 1]["success"]) for one in own}
    return Source(name=f"tau2_{domain}", models=models, sessions=_with_outcomes(own, recorded, models))


def _mint(data: Path, prices: Mapping[str, Any]) -> Source:
    """The sessions of the routes themselves, without the user who comments: it is their outcomes that are known."""
    models = specs_of(MINT_NAMES, prices)
    recorded: dict[tuple[str, ModelName], float] = {}
    sessions: list[RecordedSession] = []
    for line, row in enumerate(_rows(data / "sessions_mint_gsm8k_mmlu_mbpp_alfworld.jsonl.gz"), start=1):
        if row["model"] in models and not row["source"].endswith("+gpt4-feedback-user"):
            session = _session(row, line, part=row["source"].rpartition("/")[2])
            sessions.append(session)
            recorded[session.task, ModelName(row["model"])] = float(row["success"])
    return Source(name="mint", models=models, sessions=_with_outcomes(sessions, recorded, models))


def _sgd(data: Path, prices: Mapping[str, Any]) -> Source:
    """Dialogues of people: no model ran them, no outcome is known."""
    rows = _rows(data / "sessions_sgd_train_sample.jsonl.gz")
    sessions = [_session(row, line, part="sgd") for line, row in enumerate(rows, start=1)]
    return Source(name="sgd", models=specs_of(TIER_NAMES, prices), sessions=sessions)


def specs_of(names: Mapping[str, str], prices: Mapping[str, Any]) -> dict[ModelName, ModelSpec]:
    """Return routes with real prices.

    Args:
        names: By route, its name in `prices`.
        prices: US dollars per 1,000,000 tokens: of input and of output.
    """

    def spec(listed: str) -> ModelSpec:
        read, written = prices[listed]
        return ModelSpec(model=listed, prices=Prices(input=read, output=written, cached_input=CACHED.get(listed, read * CACHED_SHARE)))

    return {ModelName(name): spec(listed) for name, listed in names.items()}


def _session(row: dict[str, Any], line: int, *, part: str) -> RecordedSession:
    failures = [
        index
        for index, message in enumerate(row["messages"])
        if message["role"] == "tool" and any(marker in str(message["content"]).lower() for marker in ERROR_MARKERS)
    ]
    recording = recording_from_openai(row, line=line)
    return RecordedSession(recording=recording, part=part, task=f"{part}/{row['task_id']}", failures=frozenset(failures))


def _with_outcomes(
    sessions: Sequence[RecordedSession], recorded: Mapping[tuple[str, ModelName], float], models: Iterable[ModelName]
) -> list[RecordedSession]:
    means = {name: mean(score for (_, model), score in recorded.items() if model == name) for name in models}
    given: list[RecordedSession] = []
    for session in sessions:
        known = {name: recorded[session.task, name] for name in means if (session.task, name) in recorded}
        given.append(replace(session, outcomes={**means, **known}, measured=frozenset(known)))
    return given


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def failed_before(sessions: Iterable[RecordedSession]) -> Callable[[int, int], bool]:
    """Return who says whether message `index` of the recording of a line is a tool's result that looks like an error."""
    failures = {session.recording.line: session.failures for session in sessions}
    return lambda line, index: index in failures[line]
