"""A support desk that does not exist: its handbook, its tools, what its customers type and what the models answer, by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.tools import tool

from session_router.testing.providers import Reply
from support.agents import asks, call

if TYPE_CHECKING:
    from session_router.testing.providers import ToolCall

SEED = 20_260
RULES = 55  # of the handbook: some 3,500 tokens
SHARE_OF_HARD_TURNS = 0.4
SHARE_OF_SHORT_PAUSES = 0.7
SHORT_PAUSE, LONG_PAUSE = (10.0, 285.0), (315.0, 3_000.0)  # seconds: on either side of the five minutes that a cache lives
HARD = "Please investigate why, compare it with the known faults, find the root cause and plan the repair of {}."
EASY = "Where is {}?"
WORDS = """account board bulb cable café carrier customer depot driver event firmware Größe hinge invoice lamp order parcel reading
refund region ribbon sample shade supply voltage warranty""".split()  # noqa: SIM905 -- a list of them takes a line each


def prose(chance: random.Random, words: int) -> str:
    """Return words that mean nothing."""
    return " ".join(chance.choice(WORDS) for _ in range(words))


HANDBOOK = "You are the support agent of a maker of lamps.\n" + "\n".join(
    f"{number}. {prose(random.Random(f'{SEED} rule {number}'), 38)}." for number in range(RULES)
)


@tool
def look_up(order: str, fields: list[str]) -> str:
    """Return the record of an order, as far as `fields` ask for it: items, serial numbers, prices, state, parcels, notes."""
    return f"{order}: {prose(random.Random(order), 40 * len(fields))}"


@tool
def read_log(device: str, lines: int) -> str:
    """Return the last lines of the log of a device: supply voltage, driver temperature, ring channel and event."""
    chance = random.Random(device)
    sample = "19:{:02}:07 supply 24.{} V driver {} C ring 0x{:02X} {}"
    return "\n".join(
        sample.format(line % 60, chance.randrange(10), chance.randrange(40, 60), chance.randrange(256), chance.choice(WORDS))
        for line in range(lines)
    )


@tool
def search(query: str, limit: int = 5) -> str:
    """Search the known faults and the handbook of the workshop; return at most `limit` passages."""
    return "\n\n".join(prose(random.Random(f"{query} {number}"), 60) for number in range(limit))


TOOLS = (look_up, read_log, search)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn.

    Attributes:
        text: What the user types.
        pause: Seconds since the last answer.
        replies: What the models answer, call by call.
    """

    text: str
    pause: float
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One session as it is played."""

    number: int
    turns: tuple[Turn, ...]


def conversation(number: int) -> Conversation:
    """Draw one session: five to eight turns, with tool loops of up to four rounds of up to three parallel calls."""
    chance = random.Random(f"{SEED} {number}")
    return Conversation(number, tuple(_turn(chance, f"order {number:03}-{turn:02}") for turn in range(chance.randint(5, 8))))


def _turn(chance: random.Random, order: str) -> Turn:
    text = (HARD if chance.random() < SHARE_OF_HARD_TURNS else EASY).format(order)
    pause = chance.uniform(*(SHORT_PAUSE if chance.random() < SHARE_OF_SHORT_PAUSES else LONG_PAUSE))
    rounds = [
        asks(
            *(_call(chance, f"{order}-{number}-{place}") for place in range(chance.choice([1, 1, 2, 3]))),
            text=chance.choice(["", prose(chance, 15)]),
            thinking=prose(chance, chance.randint(10, 80)),
        )
        for number in range(chance.choice([0, 1, 1, 2, 3, 4]))
    ]
    answer = Reply(text=prose(chance, chance.randint(20, 150)), thinking=prose(chance, chance.randint(10, 60)))
    return Turn(text, pause, (*rounds, answer))


def _call(chance: random.Random, key: str) -> ToolCall:
    which = chance.randrange(3)
    if which == 0:
        return call("look_up", order=key, fields=chance.sample(["items", "prices", "state", "parcels", "notes"], chance.randint(1, 5)))
    if which == 1:
        return call("read_log", device=key, lines=chance.randint(5, 60))
    return call("search", query=f"{key} {prose(chance, 6)}", limit=chance.randint(1, 6))
