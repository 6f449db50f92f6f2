"""Embeddings of LangChain, without LangChain: any object that has its methods."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from session_router.embedders.rows import LONGEST_TEXT, asked_of, unit_rows
from session_router.embedders.worker_thread import WorkerThread
from session_router.errors import ConfigurationError, EmbedderUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_VERSION: Final = "session-router langchain embedder 1"
"""Counts up whenever the same embeddings would give other vectors."""
_MODEL_NAMES: Final = ("model", "model_name", "model_id", "deployment")
_SETTINGS: Final = ("dimensions", "output_dimensionality", "task_type")
_PROBE: Final = "dimension"


class DocumentEmbeddings(Protocol):
    """What is used of LangChain's `Embeddings`; `aembed_documents` too, where there is one."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector for each text."""
        ...


class LangChainEmbedder:
    """LangChain's embeddings as an embedder. Passes `testing.EmbedderSuite` where the model behind them is deterministic.

    All texts are embedded as documents, so that any two of them can be compared. Async requests go to `aembed_documents`; embeddings
    that have none run in a thread, one request at a time. `embed` is as safe for threads as the embeddings are.

    Args:
        embeddings: An object with `embed_documents`, and `aembed_documents` if it can.
        name: Names the model and its version; the fingerprint is made of it. Without one it is made of the class and of what the
            embeddings say of their model, such as `model` and `dimensions`. **The risk:** the weights are not seen. A provider
            that changes a model under the same name, or a server behind another address, keeps its fingerprint, and thresholds
            and entries of caches then meet vectors that they were not made for. Give a name, and change it with the model.
        dimension: Length of a vector. Without it the first answer says; reading `dimension` before that asks the model, and
            blocks until it answers.
        maximum_characters: Longer texts are embedded by their beginning. Set it to what the provider takes.

    Raises:
        ConfigurationError: There is no `embed_documents`, or neither a name nor a model to make the fingerprint of.
    """

    def __init__(
        self,
        embeddings: DocumentEmbeddings,
        *,
        name: str | None = None,
        dimension: int | None = None,
        maximum_characters: int = LONGEST_TEXT,
    ) -> None:
        if not callable(getattr(embeddings, "embed_documents", None)):
            raise ConfigurationError(key="embeddings", value=type(embeddings).__qualname__, rule="it must have `embed_documents`.")
        for key, value in (("dimension", dimension), ("maximum_characters", maximum_characters)):
            if value is not None and value < 1:
                raise ConfigurationError(key=key, value=value, rule="give a number above 0.")
        self._embeddings = embeddings
        self._asynchronous: Any = getattr(embeddings, "aembed_documents", None)
        self._dimension = dimension
        self._maximum_characters = maximum_characters
        self._thread = WorkerThread()
        identity = _identity(embeddings) if name is None else {"name": name}
        self._name = next(iter(identity.values()))
        known = json.dumps([_VERSION, identity, maximum_characters], sort_keys=True)
        self._fingerprint = hashlib.sha256(known.encode()).hexdigest()

    @property
    def dimension(self) -> int:
        """Length of a vector; asks the model if no answer has come yet."""
        return self._learn(self._vectors([_PROBE])) if self._dimension is None else self._dimension

    @property
    def fingerprint(self) -> str:
        """Hash of the name, or of class and model name, 64 hex digits: vectors of different fingerprints must not be compared."""
        return self._fingerprint

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension); rows have L2 norm 1, the row of an empty text is zero.

        Raises:
            EmbedderUnavailable: The embeddings raised something.
            UnusableVectors: They returned another number or length of vectors, or numbers that are not finite.
        """
        asked = asked_of(texts, maximum_characters=self._maximum_characters)
        if not asked:
            return np.zeros((len(texts), self.dimension), dtype=np.float32)
        return self._rows(self._vectors(asked), texts)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop."""
        asked = asked_of(texts, maximum_characters=self._maximum_characters)
        if not asked:
            dimension = self._learn(await self._avectors([_PROBE])) if self._dimension is None else self._dimension
            return np.zeros((len(texts), dimension), dtype=np.float32)
        return self._rows(await self._avectors(asked), texts)

    def _vectors(self, asked: list[str]) -> list[list[float]]:
        try:
            return self._embeddings.embed_documents(asked)
        except Exception as error:
            raise EmbedderUnavailable(model=self._name, error=error) from error

    async def _avectors(self, asked: list[str]) -> list[list[float]]:
        if self._asynchronous is None:
            return await self._thread.run(self._vectors, asked)
        try:
            vectors: list[list[float]] = await self._asynchronous(asked)
        except Exception as error:
            raise EmbedderUnavailable(model=self._name, error=error) from error
        return vectors

    def _rows(self, vectors: list[list[float]], texts: Sequence[str]) -> NDArray[np.float32]:
        rows = unit_rows(vectors, texts, dimension=self._dimension, model=self._name)
        self._dimension = len(rows[0])
        return rows

    def _learn(self, vectors: list[list[float]]) -> int:
        return len(self._rows(vectors, [_PROBE])[0])


def _identity(embeddings: DocumentEmbeddings) -> dict[str, str]:
    stated = {key: getattr(embeddings, key, None) for key in (*_MODEL_NAMES, *_SETTINGS)}
    plain = {key: str(value) for key, value in stated.items() if isinstance(value, (str, int)) and value}
    if not any(key in plain for key in _MODEL_NAMES):
        raise ConfigurationError(
            key="name",
            value=None,
            rule=f"`{type(embeddings).__qualname__}` does not say which model it is; name the model and its version.",
        )
    kind = type(embeddings)
    return plain | {"class": f"{kind.__module__}.{kind.__qualname__}"}
