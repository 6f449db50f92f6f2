"""Encoders of the sentence-transformers library; it is imported when the first of them is made."""

from __future__ import annotations

import importlib
import importlib.util
import os
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from session_router.embedders.encoder_fingerprint import encoder_fingerprint
from session_router.embedders.rows import LONGEST_TEXT, asked_of, unit_rows
from session_router.embedders.worker_thread import WorkerThread
from session_router.errors import ConfigurationError, EmbedderUnavailable, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class SentenceEncoder(Protocol):
    """What a loaded `SentenceTransformer` is to a type checker that does not know the library."""

    def encode(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- it has many forms
        """Return vectors."""
        ...

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- as torch has it
        """Return weights by name."""
        ...


class SentenceTransformerEmbedder:
    """An encoder of sentence-transformers, 5.2 or later and below 7. Passes `testing.EmbedderSuite`.

    Whatever the model does, rows are float32 and of length 1, and an empty text has a zero row. Calls from several threads take turns.
    `aembed` works in a thread of its own.

    The fingerprint is a hash of the weights, the settings of the modules and the tokenizer, `prompt` and `maximum_characters`; see
    `encoder_fingerprint`. Where a model lies is not part of it. The same files may have another fingerprint under the next major
    version of sentence-transformers, and an ONNX export has another than the model that it was made of.

    Args:
        model: A folder, a name on the hub, or a loaded `SentenceTransformer`.
        backend: `"torch"`, or `"onnx"`, which needs optimum and onnxruntime as well.
        device: Such as `"cpu"` or `"cuda:0"`; `None` leaves it to the library.
        batch: Texts that the model reads at once.
        prompt: Put before each text, for models that were trained with one, such as `"query: "`; `None` means the default prompt
            of the model, if it has one.
        revision: Commit, tag or branch on the hub.
        maximum_characters: Longer texts are read by their beginning; the model itself may read less.
        local_files_only: Whether nothing may be downloaded. A name that is not on this machine is then an error at once; where the
            hub cannot be reached, a download ends only after many retries.

    `backend`, `device`, `revision` and `local_files_only` say how a model is loaded; one that is loaded already stays as it is.
    Weights are read from safetensors or ONNX only.

    Raises:
        MissingExtra: sentence-transformers is not installed.
        ConfigurationError: The model is not there or cannot be loaded, or a setting is out of range.
        EmbedderUnavailable: The model was loaded and fails.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | SentenceEncoder,
        *,
        backend: Literal["torch", "onnx"] = "torch",
        device: str | None = None,
        batch: int = 32,
        prompt: str | None = None,
        revision: str | None = None,
        maximum_characters: int = LONGEST_TEXT,
        local_files_only: bool = True,
    ) -> None:
        for key, value in (("batch", batch), ("maximum_characters", maximum_characters)):
            if value < 1:
                raise ConfigurationError(key=key, value=value, rule="give a number above 0.")
        if isinstance(model, (str, os.PathLike)):
            name = os.fspath(model)
            settings = {"device": device, "revision": revision, "local_files_only": local_files_only}
            model = _loaded(name, backend, settings)
        else:
            name = type(model).__qualname__
        self._model, self._name = model, name
        self._batch, self._prompt, self._maximum_characters = batch, prompt, maximum_characters
        # The library promises nothing about threads: they share the settings of the tokenizer, and the memory of the device.
        self._guard = Lock()
        self._thread = WorkerThread()
        self._fingerprint = encoder_fingerprint(model, prompt=_prompt(model, prompt), maximum_characters=maximum_characters)
        # The method that says it has another name in each major version, and may return nothing.
        self._dimension = len(unit_rows(self._vectors(["dimension"]), ["dimension"], dimension=None, model=name)[0])

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and of all that changes vectors, 64 hex digits: vectors of different ones must not be compared."""
        return self._fingerprint

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (len(texts), dimension); rows have L2 norm 1, the row of an empty text is zero.

        Raises:
            EmbedderUnavailable: The model raised something.
            UnusableVectors: It returned numbers that are not finite, or another number of vectors.
        """
        asked = asked_of(texts, maximum_characters=self._maximum_characters)
        if not asked:
            return np.zeros((len(texts), self._dimension), dtype=np.float32)
        return unit_rows(self._vectors(asked), texts, dimension=self._dimension, model=self._name)

    async def aembed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Do what `embed` does without blocking the event loop."""
        return await self._thread.run(self.embed, texts)

    def _vectors(self, asked: list[str]) -> Any:  # noqa: ANN401 -- checked by `unit_rows`
        try:
            with self._guard:
                return self._model.encode(
                    asked, prompt=self._prompt, batch_size=self._batch, show_progress_bar=False, convert_to_numpy=True
                )
        except Exception as error:
            raise EmbedderUnavailable(model=self._name, error=error) from error


def _loaded(name: str, backend: str, settings: dict[str, Any]) -> SentenceEncoder:
    try:
        library: Any = importlib.import_module("sentence_transformers")
    except ModuleNotFoundError as error:
        package = (error.name or "sentence_transformers").replace("_", "-")
        raise MissingExtra(extra="encoders", package=package, feature="SentenceTransformerEmbedder") from error
    if backend not in {"torch", "onnx"}:
        raise ConfigurationError(key="backend", value=backend, rule='it is "torch" or "onnx".')
    if backend == "onnx" and not all(map(importlib.util.find_spec, ("optimum", "onnxruntime"))):
        rule = "it needs optimum and onnxruntime: `pip install 'sentence-transformers[onnx]'`."
        raise ConfigurationError(key="backend", value=backend, rule=rule)
    # Other files of weights are pickles.
    model_kwargs = {"use_safetensors": True} if backend == "torch" else {}
    try:
        loaded: SentenceEncoder = library.SentenceTransformer(name, backend=backend, model_kwargs=model_kwargs, **settings)
    except (OSError, ValueError) as error:
        advice = "; nothing may be downloaded: fetch it beforehand, or set `local_files_only=False`" if settings["local_files_only"] else ""
        rule = (
            f"it cannot be loaded ({type(error).__name__}, the cause of this error). Give a folder that holds a model, or a name{advice}."
        )
        raise ConfigurationError(key="model", value=name, rule=rule) from error
    return loaded


def _prompt(model: Any, prompt: str | None) -> str | None:  # noqa: ANN401 -- the package is optional
    return prompt if prompt is not None else getattr(model, "prompts", {}).get(getattr(model, "default_prompt_name", None))
