"""Text that forces upgrades: a black-box hill climb that sees the score and the alarm, and what it gets.

Who attacks controls a block of words before, behind or inside somebody else's question, asks the scorer as often as the
budget allows, and keeps what makes the stronger model look more worth its price. They see whether an alarm is raised, and avoid it.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from benchmarks._figure import SHARED
from session_router.core.need import Question

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.ports import Scorer

LURES = (
    *("why prove proof derive debug compare analyze design evaluate investigate migrate optimize plan refactor tradeoffs".split()),  # noqa: SIM905 -- one line
    *(
        "race condition",
        "root cause",
        "first",
        "then",
        "finally",
        "step",
        "```",
        "Traceback",
        "=>",
        "def f(x):",
        "x = 1;",
        "class A",
        "SELECT",
    ),
    *("?", "$x^2$", "1.", "- a", "theorem", "integral", "17", "{", "}", "\n", "No, that's wrong."),
)
"""Words that any reader of the source would try."""

_MOST_CHANGES = 3  # words of a block that one step changes


class Place(StrEnum):
    """Where the block stands."""

    PREPEND = "prepend"
    APPEND = "append"
    INSERT = "insert"


class Answer(NamedTuple):
    """What one query shows: by how much the strong model leads the cheap one in `p_success`, and whether there was an alarm."""

    lead: float
    alarm: bool


class Asks(Protocol):
    """A scorer, as who attacks sees it."""

    def __call__(self, text: str) -> Answer:
        """Score one text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HillClimb:
    """A random hill climb over blocks of words.

    Attributes:
        place: Where the block stands; one that is inserted may move.
        words: Of the block.
        queries: Texts that may be scored for one prompt.
        vocabulary: Words to choose from; a third of the choices are `LURES`.
    """

    place: Place
    words: int
    queries: int
    vocabulary: Sequence[str]

    def run(self, prompt: str, asks: Asks, least_lead: float, *, seed: int) -> bool:
        """Attack one prompt.

        Returns:
            Whether a text was found that upgrades, with an alarm or without: an upgrade is what costs.
        """
        noise = random.Random(seed)
        around = prompt.split(" ")
        block, position = [self._word(noise) for _ in range(self.words)], noise.randrange(len(around) + 1)
        best: tuple[bool, float] | None = None
        for _ in range(self.queries):
            tried, there = list(block), position
            if best is not None:
                for _ in range(noise.randint(1, _MOST_CHANGES)):
                    tried[noise.randrange(self.words)] = self._word(noise)
                there = noise.randrange(len(around) + 1) if noise.random() < 0.2 else position
            answer = asks(self._placed(around, tried, there))
            if answer.lead > least_lead:
                return True
            # First of all without an alarm, then the lead.
            worth = (not answer.alarm, answer.lead)
            if best is None or worth > best:
                best, block, position = worth, tried, there
        return False

    def _word(self, noise: random.Random) -> str:
        return noise.choice(LURES) if noise.random() < 1 / 3 else noise.choice(self.vocabulary)

    def _placed(self, around: list[str], block: list[str], position: int) -> str:
        cut = {Place.PREPEND: 0, Place.APPEND: len(around), Place.INSERT: position}[self.place]
        return " ".join([*around[:cut], *block, *around[cut:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two models between which an upgrade is.

    Attributes:
        cheap: Its name.
        strong: Its name.
        models: Both, with their prices.
    """

    cheap: ModelName
    strong: ModelName
    models: Mapping[ModelName, ModelSpec]

    def asks(self, scorer: Scorer) -> Asks:
        """Return `scorer` as who attacks sees it, with the alarm that its needs bear."""

        def asks(text: str) -> Answer:
            needs = scorer.score(Question(text=text, turn=1), self.models)
            lead = needs[self.strong].p_success - needs[self.cheap].p_success
            return Answer(lead, alarm=any(need.alarm is not None for need in needs.values()))

        return asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """What share of the prompts is upgraded, and how many raise an alarm.

    Attributes:
        prompts: How many there were.
        clean: Upgraded without attack and without guard.
        clean_guarded: Upgraded without attack, with the guard; less than `clean` is what the guard costs honest users.
        attacked: Upgraded under attack, without guard.
        attacked_guarded: Upgraded under attack, with the guard.
        false_alarms: Alarms without attack.
    """

    prompts: int
    clean: float
    clean_guarded: float
    attacked: float
    attacked_guarded: float
    false_alarms: float


def least_lead_of(asks: Asks, prompts: Iterable[str], *, upgraded: float) -> float:
    """Return the lead that an upgrade is worth where a share of `upgraded` of clean prompts gets one."""
    return float(np.quantile([asks(prompt).lead for prompt in prompts], 1 - upgraded))


def shares_under(climb: HillClimb, prompts: Sequence[str], *, unguarded: Asks, guarded: Asks, least_lead: float) -> Shares:
    """Attack each prompt, without and with the guard.

    A prompt that is upgraded anyway counts as upgraded under attack: nobody need attack it.

    Args:
        climb: The attack.
        prompts: Clean ones.
        unguarded: The scorer.
        guarded: The same scorer with its guard.
        least_lead: The lead that an upgrade is worth, the same for all.
    """
    plain, watched = [unguarded(prompt) for prompt in prompts], [guarded(prompt) for prompt in prompts]

    def share(answers: Sequence[Answer], asks: Asks | None) -> float:
        upgraded = [
            answer.lead > least_lead or (asks is not None and climb.run(prompt, asks, least_lead, seed=number))
            for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True))
        ]
        return sum(upgraded) / len(prompts)

    return Shares(
        prompts=len(prompts),
        clean=share(plain, None),
        clean_guarded=share(watched, None),
        attacked=share(plain, unguarded),
        attacked_guarded=share(watched, guarded),
        false_alarms=sum(answer.alarm for answer in watched) / len(prompts),
    )


def shares_behind(templates: Sequence[str], prompts: Sequence[str], *, unguarded: Asks, guarded: Asks, least_lead: float) -> Shares:
    """Put known attack texts before the prompts, each before as many, without asking the scorer first."""
    pairs = [f"{templates[number % len(templates)]}\n{prompt}" for number, prompt in enumerate(prompts)]

    def share(asks: Asks, texts: Sequence[str]) -> float:
        return sum(asks(text).lead > least_lead for text in texts) / len(texts)

    return Shares(
        prompts=len(prompts),
        clean=share(unguarded, prompts),
        clean_guarded=share(guarded, prompts),
        attacked=share(unguarded, pairs),
        attacked_guarded=share(guarded, pairs),
        false_alarms=sum(guarded(prompt).alarm for prompt in prompts) / len(prompts),
    )


def vocabulary_of(texts: Iterable[str], *, least: int = 2) -> list[str]:
    """Return the words that `texts` use at least so often, in order."""
    counts = Counter(word for text in texts for word in text.split())
    return sorted(word for word, count in counts.items() if count >= least)


def clean_prompts(*, seed: int = 0) -> list[str]:
    """Return the questions of MMLU and GSM8K, shuffled."""
    return _shuffled("routing_routellm_mmlu_gsm8k", "prompt", seed)


def known_attacks(*, seed: int = 0) -> list[str]:
    """Return published jailbreaks and extractions of system prompts, shuffled."""
    return _shuffled("security_attacks_sample", "text", seed)


def _shuffled(name: str, key: str, seed: int) -> list[str]:
    with gzip.open(SHARED / "data" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)[key]) for line in lines]
    random.Random(seed).shuffle(texts)
    return texts
