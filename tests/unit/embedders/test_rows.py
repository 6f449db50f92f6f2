"""Any numbers to unit rows, and any text to one that can be sent."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from session_router.embedders.rows import asked_of, unit_rows, well_formed

FINITE = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(allow_nan=False, allow_infinity=False))


@given(FINITE)
def test_rows_are_unit_or_zero_and_point_the_same_way(vectors: np.ndarray) -> None:
    texts = ["text"] * len(vectors)
    rows = unit_rows(vectors, texts, dimension=None, model="m")
    for row, vector in zip(rows.astype(np.float64), vectors, strict=True):
        if vector.any():
            assert abs(np.linalg.norm(row) - 1) < 1e-6
            scaled = vector / np.abs(vector).max()
            np.testing.assert_allclose(row, scaled / np.linalg.norm(scaled), atol=1e-6)
        else:
            assert not row.any()


@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1).filter(any))
def test_empty_texts_have_rows_of_their_own(texts: list[str]) -> None:
    asked = asked_of(texts, maximum_characters=10)
    vectors = [[1.0, float(number)] for number in range(len(asked))]
    rows = unit_rows(vectors, texts, dimension=2, model="m")
    assert [bool(row.any()) for row in rows] == [bool(text) for text in texts]
    np.testing.assert_allclose([row[1] / row[0] for row in rows if row.any()], range(len(asked)), rtol=1e-6)


@given(st.text(st.characters()))
def test_any_text_can_be_sent(text: str) -> None:
    sent = well_formed(text)
    assert sent.encode().decode() == sent
    if text.isprintable():
        assert sent == text


@given(st.text(), st.integers(0, 5))
def test_only_lone_surrogates_change(text: str, place: int) -> None:
    assert well_formed(text) == text
    broken = f"{text[:place]}\ud800{text[place:]}"
    assert well_formed(broken) == f"{text[:place]}\ufffd{text[place:]}"
    assert well_formed("\ud83d\ude00") == "😀"
