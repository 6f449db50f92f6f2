"""Public questions as requests to a cache: what lies in it, what is asked, and which answers would be right."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from session_router.cache.text_forms import exact_form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SESSIONS = {
    "mint": "sessions_mint_gsm8k_mmlu_mbpp_alfworld",
    "sgd": "sessions_sgd_train_sample",
    "tau2": "sessions_tau2_retail_telecom",
    "taubench": "sessions_taubench_v1_retail",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question, and what stands for its answer: questions with one answer are the same question.

    Attributes:
        text: The question.
        answer: Of it; `None` where no stored answer is right.
        partition: Only questions of one partition may share an answer.
    """

    text: str
    answer: str | None
    partition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUps:
    """A cache that is filled, and requests to it.

    Attributes:
        name: Of the set.
        stored: What lies in the cache.
        asked: The requests.
        closed: Whether answers are closed, so that those of neighbours can be compared.
        same_text: Whether a request that reads the same, but for capitals, blanks and marks at its ends, is the same request. It is
            where the model sees nothing else; people who sort questions into intents sometimes sort one question into two.
    """

    name: str
    stored: Sequence[Item]
    asked: Sequence[Item]
    closed: bool
    same_text: bool = False

    def right(self, asked: Item, number: int) -> bool:
        """Whether stored item `number` answers `asked`; none does below 0."""
        if number < 0:
            return False
        stored = self.stored[number]
        return stored.answer == asked.answer or (self.same_text and _bare(stored.text) == _bare(asked.text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of questions: the first lies in the cache, the second is asked.

    Attributes:
        name: Of the set.
        pairs: The texts.
        right: By pair, whether people say that they are the same question.
    """

    name: str
    pairs: Sequence[tuple[str, str]]
    right: Sequence[bool]

    def items(self) -> Iterator[tuple[Item, Item]]:
        """Yield what is stored, and what is asked."""
        for one, other in self.pairs:
            yield Item(text=one, answer=None), Item(text=other, answer=None)


def intents(folder: Path, name: str, *, limit: int) -> LookUps:
    """Return a set of questions with intents: all questions of an intent have one canned answer, and the training split is cached."""
    rows = list(_rows(folder / f"intents_{name}.jsonl.gz"))
    stored = [Item(text=row["text"], answer=row["intent"]) for row in rows if row["split"] == "train"]
    asked = [
        Item(text=row["text"], answer=None if row["intent"] == "oos" else row["intent"])
        for row in rows
        if row["split"] in {"test", "oos_test"}
    ]
    return LookUps(name=name, stored=stored, asked=_shuffled(asked)[:limit], closed=True)


def mock(folder: Path) -> LookUps:
    """Return GPTCache's own test data: sentences, and the same reworded. What lies in the cache is the first of each pair."""
    rows = list(_rows(folder / "cache_gptcache_mock.jsonl.gz"))
    stored = [Item(text=row["a"], answer=exact_form(row["a"])) for row in rows]
    asked = [Item(text=row["b"], answer=exact_form(row["a"])) for row in rows]
    return LookUps(name="gptcache_mock", stored=stored, asked=_shuffled(asked), closed=False)


def sessions(folder: Path, name: str, *, limit: int) -> LookUps:
    """Return the first requests of recorded sessions; every other one is cached.

    Two are the same if they read the same, or if their task is the same; where there are no tasks (people who follow a script), if what
    was answered is the same. That is strict: whoever needs a rental car in other words counts as somebody with another request.
    A request whose first answer calls a tool is not cacheable. Later turns have a conversation before them, which is part of the
    partition, and share theirs with nobody.
    """
    found: list[Item] = []
    for row in _rows(folder / f"{name}.jsonl.gz"):
        messages = row["messages"]
        place = next((number for number, one in enumerate(messages) if one["role"] == "user"), len(messages))
        if place + 1 >= len(messages) or messages[place + 1].get("tool_calls") or not isinstance(messages[place + 1]["content"], str):
            continue
        before = "".join(str(one["content"]) for one in messages[:place])
        answer = exact_form(messages[place + 1]["content"]) if "sgd" in name else row["task_id"]
        found.append(Item(text=messages[place]["content"], answer=answer, partition=before))
    found = _shuffled(found)[:limit]
    half = len(found) // 2
    return LookUps(name=name.split("_")[1], stored=found[:half], asked=found[half:], closed="sgd" in name, same_text=True)


def duplicates(folder: Path, *, limit: int) -> Pairs:
    """Return questions of Quora with what people said of them."""
    rows = _shuffled(list(_rows(folder / "cache_qqp.jsonl.gz")))[:limit]
    return Pairs(name="qqp", pairs=[(row["a"], row["b"]) for row in rows], right=[row["label"] == 1 for row in rows])


def read_aloud(text: str) -> str:
    """Return what texts have in common that are the same to who hears them: all but capitals, blanks, marks at the ends, contractions."""
    text = _bare(text)
    for short, full in _SHORT.items():
        text = re.sub(short, full, text)
    return text


_SHORT = {
    r"\bcan(?:'t|not)\b": "can not",
    r"\bwon't\b": "will not",
    r"n't\b": " not",
    r"'re\b": " are",
    r"\bi'm\b": "i am",
    r"'ve\b": " have",
    r"'ll\b": " will",
    r"\b(who|what|where|when|how|why|it|that|there|here)'s\b": r"\1 is",
}


def _bare(text: str) -> str:
    # By other rules than those of the cache, which is what is judged.
    return " ".join(text.replace("\u2019", "'").casefold().split()).strip(" .,;:!?")


def _shuffled(rows: list[Any]) -> list[Any]:
    Random(0).shuffle(rows)
    return rows


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
