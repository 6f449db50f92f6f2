"""What the leak play is about: labels, models that may see some of them, and replies that repeat what was read."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from session_router import Clearance, Tag
from session_router.core.governance import Level
from session_router.testing.providers import Canaries, Reply, SchemaBehaviour, SimulatedModel, ToolCall

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from session_router.testing.providers import Prompt

YEAR = 365 * 86_400.0
_2026: Final = 1_767_225_600.0


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


LABELS: Final[Mapping[str, Tag]] = {
    "public": Tag(),
    "internal": Tag(level=Level.INTERNAL),
    "pii": Tag(level=Level.CONFIDENTIAL, categories=_names("pii"), regions=_names("eu"), subjects=_names("5" * 64)),
    "code": Tag(level=Level.CONFIDENTIAL, categories=_names("source_code"), no_train=True),
    "secret": Tag(level=Level.RESTRICTED, zero_retention=True),
    "acme": Tag(level=Level.INTERNAL, tenants=_names("acme")),
    "globex": Tag(level=Level.INTERNAL, tenants=_names("globex")),
    # Over after an hour of the simulated clock; some talks go on for longer.
    "brief": Tag(expires_at=_2026 + 3_600.0),
}

CLEARANCES: Final[Mapping[str, Clearance]] = {
    "open": Clearance(tenants=None),
    "eu": Clearance(
        max_level=Level.CONFIDENTIAL,
        categories=_names("pii"),
        processing_regions=_names("eu"),
        trains=False,
        retention_seconds=30 * 86_400.0,
    ),
    "us": Clearance(
        max_level=Level.CONFIDENTIAL,
        categories=_names("source_code"),
        processing_regions=_names("us"),
        tenants=_names("acme"),
        trains=False,
        retention_seconds=0.0,
    ),
    "kept": Clearance(max_level=Level.INTERNAL, processing_regions=_names("us"), trains=False, retention_seconds=YEAR),
    "kept-2": Clearance(processing_regions=_names("us"), retention_seconds=YEAR),
    "own": Clearance(
        max_level=Level.RESTRICTED,
        categories=_names("pii", "source_code"),
        processing_regions=_names("eu"),
        trains=False,
        retention_seconds=0.0,
    ),
}
"""By model name; the simulated model is called `sim-` and this name."""

MAY_SEE: Final[Mapping[str, frozenset[str]]] = {
    "public": _names(*CLEARANCES),
    "internal": _names("eu", "us", "kept", "own"),
    "pii": _names("eu", "own"),
    "code": _names("us", "own"),
    "secret": _names("own"),
    "acme": _names("eu", "us", "kept", "own"),
    "globex": _names("eu", "kept", "own"),
    "brief": _names(*CLEARANCES),
}
"""Written by hand: what the clearances come to for each label by itself, in the first hour."""

_MARKER = re.compile("canary-[0-9a-f]{16}")
_PLAN = re.compile(r"plan-\d+")
_MARKERS_PER_LABEL = 24
_MOST_REPEATED = 3


class Data:
    """Words that stand for data, by label; the witness knows each one's."""

    def __init__(self, canaries: Canaries, rng: random.Random) -> None:
        self._rng = rng
        self._words = {name: [canaries.marker(tag) for _ in range(_MARKERS_PER_LABEL)] for name, tag in LABELS.items()}

    def of(self, label: str) -> str:
        """Return a piece of data that bears `label`."""
        return self._rng.choice(self._words[label])


class Parrot:
    """Plays every model: does what the last plan in the conversation says, and repeats what it has read wherever it can.

    What it repeats stands in its answers and in the arguments of its calls, so that labels have to travel with both.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._plans: dict[str, deque[Sequence[str]]] = {}
        self._otherwise = SchemaBehaviour()

    def plan(self, *steps: Sequence[str]) -> str:
        """Return a word that makes a model call the tools of each step, all of one step at a time, and answer then."""
        name = f"plan-{len(self._plans)}"
        self._plans[name] = deque(steps)
        return name

    def __call__(self, prompt: Prompt, /) -> Reply:
        """Answer one request."""
        if prompt.json_schema is not None or prompt.json_mode or prompt.tool_choice.forced:
            return self._otherwise(prompt)
        read = words_of(prompt)
        said = self._rng.sample(found, min(_MOST_REPEATED, len(found))) if (found := sorted(set(_MARKER.findall(read)))) else []
        text = " ".join(["read:", *said])
        plans = _PLAN.findall(read)
        steps = self._plans.get(plans[-1]) if plans else None
        offered = {tool.name for tool in prompt.tools}
        while steps:
            names = [name for name in steps.popleft() if name in offered]
            if names:
                return Reply(text=text, tool_calls=tuple(ToolCall(name=name, arguments={"note": text}) for name in names))
        answers = [tool for tool in prompt.tools if tool.name == "Verdict"]
        if answers:
            return Reply(tool_calls=(ToolCall(name="Verdict", arguments={"words": text}),))
        return Reply(text=text)


def words_of(prompt: Prompt) -> str:
    """Return all that a model reads."""
    parts = [prompt.system]
    for turn in prompt.turns:
        parts += [turn.text, *(str(dict(call.arguments)) for call in turn.tool_calls), *(result.text for result in turn.tool_results)]
    return "\n".join(parts)


def simulated(behaviour: Any) -> list[SimulatedModel]:
    """Return the models."""
    return [
        SimulatedModel(id=f"sim-{name}", provider="anthropic" if name == "us" else "openai", behaviour=behaviour) for name in CLEARANCES
    ]


def witness() -> Canaries:
    """Return who looks into every request."""
    return Canaries({f"sim-{name}": clearance for name, clearance in CLEARANCES.items()})
