"""Stores answers from a process of its own, for ever, and says each once it is stored.

Arguments: path, key in hex. Every question is about the subject "s1" and in one of three partitions.
"""

from __future__ import annotations

import itertools
import sys

from session_router.cache.semantic import SemanticCache
from session_router.cache.sqlite_rows import SQLiteEntryRows
from session_router.core.governance import Tag
from session_router.testing.cached import a_question, an_answer
from support.word_embedder import WordEmbedder


def main(path: str, key: str) -> None:
    with SemanticCache(SQLiteEntryRows(path, busy_timeout_seconds=30.0), key=bytes.fromhex(key), embedder=WordEmbedder(256)) as cache:
        for number in itertools.count():
            question = a_question(f"What is number {number}?", tenant=f"tenant{number % 3}", tag=Tag(subjects=frozenset({"s1"})))
            if cache.store(question, an_answer(f"{number} of tenant{number % 3}")) is None:
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
