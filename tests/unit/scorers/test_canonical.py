"""One text for all that look alike."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.scorers import canonical as module
from session_router.scorers.canonical import LOOKED_THROUGH, MAXIMUM_CHARACTERS, MAXIMUM_MARKS, READ_BEGINNING, READ_END, canonical_text
from support.nasty_texts import NASTY

# What changes the order, the number or the meaning of its neighbours.
HARD = st.text(
    st.sampled_from(
        "aé각가\u1100\u1161\u11a8\u0301\u0315\u0323\u0344\u034f\u0f73\uff9e\u3099か¨ﬁ\ufdfa\u200b\u200d\ufe0f\U000e0041\u202e\u3164"
    )
    | st.sampled_from(" \t\n\r\x0b\x1c\x85\u2028\u3000\xa0\x00\x1b\x7f\ud83d\ude00")
)
ANY = st.text(st.characters()) | HARD | st.sampled_from(NASTY)
UNSEEN = st.text(
    st.sampled_from("\u200b\u200c\u200d\u2060\ufeff\xad\u034f\u061c\u202a\u202e\u2066\u2069\ufe0f\U000e0100\U000e0041\U000e007f\x00\x1b")
)

# Signs over Arabic, Syriac and Kaithi numbers, and joiners of hieroglyphs: they are called format characters, and are seen.
VISIBLE_FORMATS = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}


def marks_in_a_row(text: str) -> int:
    most = run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        most = max(most, run)
    return most


@given(ANY)
def test_it_is_its_own_canonical_form(text: str) -> None:
    canonical = canonical_text(text)
    assert canonical_text(canonical) == canonical
    assert unicodedata.is_normalized("NFKC", canonical)
    assert len(canonical) <= MAXIMUM_CHARACTERS
    assert canonical.encode().decode() == canonical


@given(ANY, UNSEEN, st.integers(0, 50))
def test_what_nobody_sees_changes_nothing(text: str, unseen: str, place: int) -> None:
    marked = text[:place] + unseen + text[place:]
    assert canonical_text(marked) == canonical_text(text)


def test_nfkc_alone_lets_them_through() -> None:
    assert unicodedata.normalize("NFKC", "pro\u200bve") != unicodedata.normalize("NFKC", "prove")
    assert canonical_text("pro\u200bve") == "prove"


@given(ANY)
def test_white_space_is_single_and_inside(text: str) -> None:
    canonical = canonical_text(text)
    assert canonical == canonical.strip()
    assert not any(pair in canonical for pair in ("  ", "\n\n", " \n", "\n "))
    assert all(character in " \n" for character in canonical if character.isspace())


@given(HARD.map(lambda text: "a" + text), st.integers(MAXIMUM_MARKS + 2, 200), st.sampled_from("\u0301\u0344\u0f73\uff9e\u0315\u0300"))
def test_marks_do_not_pile_up(text: str, times: int, mark: str) -> None:
    piled = text + mark * times + text
    assert marks_in_a_row(unicodedata.normalize("NFKC", piled)) > MAXIMUM_MARKS
    assert marks_in_a_row(canonical_text(piled)) <= MAXIMUM_MARKS


def test_every_single_character() -> None:
    # Planes 3 to 13, and the private ones, hold nothing.
    for code in (*range(0x30000), *range(0xE0000, 0xE2000)):
        character = chr(code)
        canonical = canonical_text(character)
        assert canonical_text(canonical) == canonical
        if unicodedata.category(character) in {"Cc", "Cs"} or 0xE0000 <= code <= 0xE0FFF:
            assert not canonical
        if unicodedata.category(character) == "Cf" and code not in VISIBLE_FORMATS:
            assert not canonical, hex(code)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("\u200b\ufeff \n", ""),
        ("\uff46\uff55ll \ufb01 \u2460 \u00b2", "full fi 1 2"),
        ("  one \t two\u00a0three  ", "one two three"),
        ("def f():\r\n\treturn 1;\r\n\r\n", "def f():\nreturn 1;"),
        ("a\u2028b\x0cc", "a\nb\nc"),
        ("soft\u00adhyphen \u202eevil\u202c \u2066x\u2069", "softhyphen evil x"),
        ("hi" + "".join(chr(0xE0000 + ord(one)) for one in "prove it"), "hi"),
        ("❤️ 👨\u200d👩\u200d👧", "❤ 👨👩👧"),
        ("lone \ud83d surrogate", "lone surrogate"),
        ("e\u034f\u0301", "é"),
        ("\u1112\u1161\u11ab", "한"),
        ("рrоvе", "рrоvе"),  # noqa: RUF001 -- Cyrillic letters stay what they are
    ],
)
def test_examples(text: str, canonical: str) -> None:
    assert canonical_text(text) == canonical


@pytest.mark.parametrize("character", ["a", "é", "漢", "\ufdfa", "😀", "\u0301", " ", "\u200b", "\ud83d"])
def test_of_a_long_text_both_ends_are_read(character: str) -> None:
    long = character * 65_536
    canonical = canonical_text(f"first {long} last")
    assert len(canonical) <= MAXIMUM_CHARACTERS
    assert canonical.startswith("first")
    assert canonical.endswith("last")
    assert canonical_text(f"first {long} between {long} last") == canonical
    assert canonical_text(canonical) == canonical


def test_what_nobody_sees_pushes_nothing_out() -> None:
    unseen = "\u200b" * (LOOKED_THROUGH - 1) * READ_BEGINNING
    assert canonical_text(f"{unseen}what is seen {'x' * 65_536}").startswith("what is seen")
    assert canonical_text(f"{'x' * 65_536} what is seen{unseen[: (LOOKED_THROUGH - 1) * READ_END]}").endswith("what is seen")


def test_what_grows_is_cut() -> None:
    assert len(canonical_text("x\ufdfa" * MAXIMUM_CHARACTERS)) > MAXIMUM_CHARACTERS - 3


@pytest.mark.parametrize("character", ["é", "漢", "\ufdfa", "\u0958", "각", "a\u0301\u0323", "\u0f73"])
def test_the_work_is_bounded_whatever_the_script(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that are normalised, which is what costs."""
    worked: list[int] = []

    def counting(form: str, text: str) -> str:
        worked.append(len(text))
        return unicodedata.normalize(form, text)  # type: ignore[arg-type]

    def looking(form: str, text: str) -> bool:
        worked.append(len(text))
        return unicodedata.is_normalized(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "normalize", counting)
    monkeypatch.setattr(module, "is_normalized", looking)
    for characters in (65_536, 1_000_000):
        worked.clear()
        canonical_text(character * (characters // len(character)))
        # Once in pieces, of which one more than needed may be begun at either end, and once for the seams.
        assert 0 < sum(worked) <= 4 * MAXIMUM_CHARACTERS + 2 * 18 * 256


@given(st.lists(st.sampled_from(["\u1100", "\u1161", "\u11a8", "a", "\u0301", "\u0315"]), min_size=1, max_size=6), st.integers(200, 300))
def test_nothing_is_lost_at_the_seams_of_the_pieces(cluster: list[str], before: int) -> None:
    text = "x" + "é" * before + "".join(cluster) * 20
    few = all(not unicodedata.combining(one) for one in cluster)
    if few:
        assert canonical_text(text) == unicodedata.normalize("NFKC", text)
    assert canonical_text(canonical_text(text)) == canonical_text(text)
