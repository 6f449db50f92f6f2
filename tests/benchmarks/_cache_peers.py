"""Caches that people use, as they come, with the embedder of the others."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from langchain_core.caches import InMemoryCache
from langchain_core.outputs import Generation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks._cache_sets import Item
    from session_router.ports import Embedder

GPTCACHE_COSINE: Final = 0.6
"""`init_similar_cache` of GPTCache 0.1.44 serves an entry if 4 minus the squared distance of unit vectors is 0.8 * 4 or more."""

GPTCACHE_MISSING: Final = "GPTCache is not installed: its rule stands for it (the nearest entry, cosine >= 0.6)"

_folders: list[TemporaryDirectory[str]] = []
"""GPTCache writes its files at the end of the program: its folders must last as long."""


class ExactCache:
    """langchain-core's `InMemoryCache`, filled: the prompt must be the same, and what describes the model."""

    def __init__(self, stored: Sequence[Item]) -> None:
        self._cache = InMemoryCache()
        for number, item in enumerate(stored):
            self._cache.update(item.text, item.partition, [Generation(text=str(number))])

    def look_up(self, item: Item) -> int:
        """Return the number of the stored item that would answer, or -1."""
        found = self._cache.lookup(item.text, item.partition)
        return int(found[0].text) if found else -1


class GPTCache:
    """GPTCache with its default rule, store and index (SQLite and flat FAISS), and with our embedder in place of its own.

    Its own default embedder is a model from a hub, which cannot be had offline. Its limit of 1,000 entries is lifted.

    Args:
        embedder: Of all.

    Raises:
        ImportError: It is not installed. It would install what it lacks by itself; that is looked for first.
    """

    def __init__(self, embedder: Embedder) -> None:
        import faiss  # noqa: F401 -- GPTCache would ask pip for it
        import sqlalchemy  # noqa: F401 -- likewise
        from gptcache import Cache
        from gptcache.manager import CacheBase, VectorBase, get_data_manager
        from gptcache.processor.pre import get_prompt
        from gptcache.similarity_evaluation import SearchDistanceEvaluation

        _folders.append(TemporaryDirectory(ignore_cleanup_errors=True))
        folder = Path(_folders[-1].name)
        self._cache: Any = Cache()
        vectors = VectorBase("faiss", dimension=embedder.dimension, index_path=str(folder / "vectors.index"))
        rows = CacheBase("sqlite", sql_url=f"sqlite:///{folder / 'rows.db'}")
        self._cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: embedder.embed([text])[0],
            data_manager=get_data_manager(rows, vectors, max_size=sys.maxsize),
            similarity_evaluation=SearchDistanceEvaluation(),
        )

    def fill(self, texts: Sequence[str]) -> None:
        """Keep each text, with its number for an answer."""
        self._cache.import_data(list(texts), [str(number) for number in range(len(texts))])

    def look_up(self, text: str) -> int:
        """Return the number of the text that would answer, or -1."""
        from gptcache.adapter.api import get

        found = get(text, cache_obj=self._cache)
        return -1 if found is None else int(found)
