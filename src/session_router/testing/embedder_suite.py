"""The laws of an embedder, as tests that any implementation can run."""

# ruff: noqa: S101 -- a law is asserted

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from session_router.ports import Embedder

ORDINARY: Final = (
    "Where is my order?",
    "Write a function that reverses a list, and test it.",
    "The invoice of last month is wrong; please correct the address.",
    "Why does the second query take longer than the first one?",
    "hello",
)
"""Texts in which an embedder of English knows something."""

SCRIPTS: Final = (
    "我的订单在哪里",
    "أين طلبي؟",
    "मेरा ऑर्डर कहाँ है?",
    "Где мой заказ?",
    "ご注文はどこですか",
    "naïve Straße, e\u0301te\u0301",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "def f(x):\n\treturn {'a': x ** 2}  # ok",
    "\x00\x01\x7f\u200b\u202e\ufeff",
    " \t\r\n",
)
LONE_SURROGATES: Final = ("\ud800", "order \udfff here", "\udc00\ud800", "\ud83d\ude00 in halves")
HUGE: Final = ("one word and another " * 50_000, "x" * 1_000_000, "\n" * 1_000_000)
THREADS: Final = 8
_SEARCH = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    # The embedder has no state that an example could leave behind; that is one of the laws.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)
_ANY_TEXT = st.text(st.characters(), max_size=80) | st.text(st.characters(categories=["Cs", "Ll"]), max_size=8)


class EmbedderSuite:
    """Subclass it in a test module, and say which embedder is meant.

    A fixture `embedder` gives one. `made_again` returns the same model, loaded or built once more, and `another_model` one whose
    vectors must not be compared with the first one's.

    ```python
    class TestMyEmbedder(EmbedderSuite):
        @pytest.fixture
        def embedder(self):
            return MyEmbedder("small")

        def made_again(self):
            return MyEmbedder("small")

        def another_model(self):
            return MyEmbedder("large")
    ```

    Attributes:
        tolerance: Largest difference, in any number of a unit vector, that rounding may make. Raise it for half precision.
    """

    tolerance: float = 1e-4

    def made_again(self) -> Embedder:
        """Return another embedder of the same model."""
        raise NotImplementedError

    def another_model(self) -> Embedder:
        """Return an embedder of another model."""
        raise NotImplementedError

    # What comes back.

    def test_shape_and_type(self, embedder: Embedder) -> None:
        """One float32 row of the stated length for each text, lists and tuples alike."""
        assert embedder.dimension >= 1
        for texts in (ORDINARY[:1], list(ORDINARY), ORDINARY * 20):
            rows = embedder.embed(texts)
            assert rows.shape == (len(texts), embedder.dimension)
            assert rows.dtype == np.float32

    def test_no_texts_no_rows(self, embedder: Embedder) -> None:
        """The answer to nothing has the right shape too."""
        for rows in (embedder.embed([]), asyncio.run(embedder.aembed([]))):
            assert rows.shape == (0, embedder.dimension)
            assert rows.dtype == np.float32

    def test_ordinary_texts_have_unit_rows(self, embedder: Embedder) -> None:
        """Cosines are then products, and a threshold means what it says."""
        np.testing.assert_allclose(_lengths(embedder.embed(ORDINARY)), 1, atol=self.tolerance)

    def test_empty_text_has_a_zero_row(self, embedder: Embedder) -> None:
        """It is similar to nothing, alone and among others."""
        assert not embedder.embed([""]).any()
        texts = ["", ORDINARY[0], "", "", ORDINARY[1]]
        for rows in (embedder.embed(texts), asyncio.run(embedder.aembed(texts))):
            assert list(_lengths(rows) > 0) == [bool(text) for text in texts]
        assert not asyncio.run(embedder.aembed([""])).any()

    def test_different_texts_differ(self, embedder: Embedder) -> None:
        """An embedder that says the same of everything says nothing."""
        rows = embedder.embed(ORDINARY)
        cosines = rows @ rows.T
        assert np.all(cosines[~np.eye(len(rows), dtype=bool)] < 1 - 1e-6)

    def test_answer_belongs_to_the_caller(self, embedder: Embedder) -> None:
        """Writing into it changes no later answer."""
        first = embedder.embed(ORDINARY)
        kept = first.copy()
        if first.flags.writeable:
            first[:] = 7
        self._same(embedder.embed(ORDINARY), kept)

    # A text has one vector.

    def test_same_texts_have_the_same_rows(self, embedder: Embedder) -> None:
        """Asked twice, and asked for twice in one request."""
        rows = embedder.embed(ORDINARY)
        self._same(embedder.embed(ORDINARY), rows)
        self._same(embedder.embed([text for text in ORDINARY for _ in range(2)]), np.repeat(rows, 2, axis=0))

    def test_order_of_texts_is_irrelevant(self, embedder: Embedder) -> None:
        """Rows follow their texts, whatever the model sorts by."""
        texts = [*ORDINARY, "", *SCRIPTS, " ".join(ORDINARY) * 3]
        rows = embedder.embed(texts)
        self._same(embedder.embed(texts[::-1]), rows[::-1])

    def test_company_of_a_text_is_irrelevant(self, embedder: Embedder) -> None:
        """A text has the same row alone as beside longer, shorter, strange and many others."""
        alone = np.concatenate([embedder.embed([text]) for text in ORDINARY])
        for company in (SCRIPTS, HUGE, ("",), ("a",) * 300):
            self._same(embedder.embed([*company, *ORDINARY, *company])[len(company) : -len(company)], alone)

    def test_async_equals_sync(self, embedder: Embedder) -> None:
        """One request, and many at the same time."""
        texts = [*ORDINARY, "", *SCRIPTS, *LONE_SURROGATES]
        rows = embedder.embed(texts)

        async def main() -> list[NDArray[np.float32]]:
            return [
                await embedder.aembed(texts),
                np.concatenate(await asyncio.gather(*(embedder.aembed([text]) for text in texts))),
                *await asyncio.gather(*(embedder.aembed(texts[::-1]) for _ in range(3))),
            ]

        for whole, expected in zip(asyncio.run(main()), [rows, rows, *[rows[::-1]] * 3], strict=True):
            self._same(whole, expected)

    def test_threads_do_not_disturb_each_other(self, embedder: Embedder) -> None:
        """Each gets the rows of its own texts."""
        requests = [[f"{text} {number}" for text in (*ORDINARY, " ".join(ORDINARY) * number)] for number in range(THREADS)]
        expected = [embedder.embed(texts) for texts in requests]
        start = threading.Barrier(THREADS)

        def embed(texts: Sequence[str]) -> list[NDArray[np.float32]]:
            start.wait()
            return [embedder.embed(texts) for _ in range(5)]

        with ThreadPoolExecutor(THREADS) as threads:
            for answers, rows in zip(threads.map(embed, requests), expected, strict=True):
                for answer in answers:
                    self._same(answer, rows)

    # Any text.

    def test_other_scripts(self, embedder: Embedder) -> None:
        """Scripts that the model may not know, emoji, code, control characters and blanks."""
        self._sound(embedder, SCRIPTS)

    def test_lone_surrogates(self, embedder: Embedder) -> None:
        """They are what is left of broken JSON, and cannot be encoded."""
        self._sound(embedder, LONE_SURROGATES)

    def test_huge_texts(self, embedder: Embedder) -> None:
        """A million characters are a text like others."""
        self._sound(embedder, HUGE)
        self._sound(embedder, HUGE[:1])

    def test_any_text(self, embedder: Embedder) -> None:
        """Whatever Hypothesis finds."""

        @_SEARCH
        @given(st.lists(_ANY_TEXT, max_size=4))
        def sound(texts: list[str]) -> None:
            self._sound(embedder, texts)

        sound()

    # Which model it is.

    def test_fingerprint_is_that_of_the_model(self, embedder: Embedder) -> None:
        """It stays the same while texts are embedded, and when the model is loaded again; so do the vectors."""
        fingerprint = embedder.fingerprint
        assert fingerprint
        rows = embedder.embed(ORDINARY)
        asyncio.run(embedder.aembed(ORDINARY))
        assert embedder.fingerprint == fingerprint
        again = self.made_again()
        assert again.fingerprint == fingerprint
        assert again.dimension == embedder.dimension
        self._same(again.embed(ORDINARY), rows)

    def test_another_model_has_another_fingerprint(self, embedder: Embedder) -> None:
        """Vectors of the two are never compared."""
        assert self.another_model().fingerprint != embedder.fingerprint

    def _sound(self, embedder: Embedder, texts: Sequence[str]) -> None:
        rows = embedder.embed(texts)
        assert rows.shape == (len(texts), embedder.dimension)
        assert rows.dtype == np.float32
        lengths = _lengths(rows)
        assert np.all((lengths == 0) | (np.abs(lengths - 1) < self.tolerance)), f"rows have the lengths {lengths}"
        self._same(embedder.embed(texts), rows)

    def _same(self, rows: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        np.testing.assert_allclose(rows, expected, rtol=0, atol=self.tolerance)


def _lengths(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.linalg.norm(rows.astype(np.float64), axis=1)
    return lengths
