"""Our WordPiece gives the ids that `tokenizers` gives."""

from __future__ import annotations

import gzip
import json
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from session_router.embedders import bert_characters, wordpiece
from session_router.embedders.bert_characters import split_words
from session_router.embedders.static import BUILT_IN
from session_router.embedders.wordpiece import READ_CHARACTERS, READ_TOKENS, WordPiece, read_wordpiece
from session_router.errors import ConfigurationError
from support.nasty_texts import NASTY
from support.shared_data import shared_data

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = BUILT_IN / "tokenizer.json"
OURS = read_wordpiece(FILE)
THEIRS = Tokenizer.from_file(str(FILE))
NO_SURROGATES = st.characters(exclude_categories=["Cs"])
WORDS = st.sampled_from(
    ["order", "Über", "don't", "ΣΑΣ", "中文", "\u200b", "\x0b", "##a", "[UNK]", "e\u0301", "x" * 99, "\n", " ", "🙂", "_"]
)
TEXTS = st.text(NO_SURROGATES, max_size=60) | st.lists(WORDS | st.text(NO_SURROGATES, max_size=3), max_size=12).map("".join)


def differing(ours: WordPiece, texts: Sequence[str]) -> list[str]:
    """The texts whose ids differ from those of `tokenizers`."""
    return [
        text
        for text, theirs in zip(texts, THEIRS.encode_batch(list(texts), add_special_tokens=False), strict=True)
        if ours.encode(text) != theirs.ids
    ]


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(TEXTS)
def test_any_text_has_the_ids_of_tokenizers(text: str) -> None:
    assert OURS.encode(text) == THEIRS.encode(text, add_special_tokens=False).ids


def test_nasty_texts_have_the_ids_of_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert differing(OURS, NASTY) == []
    monkeypatch.setattr(wordpiece, "split_words", lambda text: text.lower().split())
    assert len(differing(read_wordpiece(FILE), NASTY)) > len(NASTY) / 3


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("intents_clinc150", ("text",)),
        ("pairs_tldr_cmd", ("a", "b")),
        ("cache_qqp", ("a", "b")),
        ("pii_presidio_generated_large", ("text",)),
    ],
)
def test_recorded_texts_have_the_ids_of_tokenizers(name: str, keys: tuple[str, ...]) -> None:
    with gzip.open(shared_data(f"{name}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [row[key] for number, row in enumerate(map(json.loads, lines)) if number % 4 == 0 for key in keys]
    assert len(texts) > 500
    assert differing(OURS, texts) == []


def test_every_character_is_treated_as_by_tokenizers(monkeypatch: pytest.MonkeyPatch) -> None:
    normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def wrong(characters: Sequence[str]) -> list[str]:
        return [
            character
            for character in characters
            for text in [f"a{character}b"]
            if split_words(text) != [word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))]
        ]

    every = [chr(code) for code in range(0x20000) if not 0xD800 <= code <= 0xDFFF]
    every += [chr(code) for code in range(0x20000, sys.maxunicode + 1, 13)]
    # Which letters have a lower case, and what a character is composed of, the newer of the two tables knows for more characters.
    decompose, lower = normalizers.NFD().normalize_str, normalizers.Lowercase().normalize_str
    unlike = [one for one in every if decompose(one) != unicodedata.normalize("NFD", one) or lower(one) != one.lower()]
    assert len(unlike) < 200
    assert all(OURS.encode(f"a{one}b") == THEIRS.encode(f"a{one}b", add_special_tokens=False).ids for one in unlike)
    assert set(wrong(every)) <= set(unlike)
    monkeypatch.setattr(bert_characters, "_FOLDING", bert_characters._Folding("", bert_characters._PUNCTUATION))
    assert len(wrong(every[:0x400])) > 10


def test_lone_surrogates_are_removed() -> None:
    assert OURS.encode("or\ud800der \udfff") == OURS.encode("order")


def test_only_so_many_tokens_count() -> None:
    assert len(OURS.encode("word " * (READ_TOKENS - 1))) == READ_TOKENS - 1
    assert OURS.encode("word " * (READ_TOKENS + 1)) == OURS.encode("word " * READ_TOKENS)
    assert len(OURS.encode("word " * (READ_TOKENS + 1))) == READ_TOKENS


def test_only_so_many_characters_are_read() -> None:
    blank = " " * (READ_CHARACTERS - 5)
    assert OURS.encode(f"{blank}order") == OURS.encode("order")
    assert OURS.encode(f"{blank} order") == OURS.encode("orde")


def test_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordpiece, "_REMEMBERED_CHUNKS", 10)
    ours = read_wordpiece(FILE)
    texts = [f"word{number} {'y' * number}" for number in range(100)]
    assert differing(ours, texts) == []
    assert 0 < len(ours._chunks) <= 10
    assert max(map(len, ours._chunks)) <= wordpiece._REMEMBERED_LENGTH


def test_threads_share_the_memory_of_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordpiece, "_REMEMBERED_CHUNKS", 50)
    ours = read_wordpiece(FILE)
    texts = [f"thread{number % 97} order{number} is late" for number in range(4000)]
    expected = [OURS.encode(text) for text in texts]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ours.encode, texts)) == expected


@pytest.mark.parametrize("vocabulary", [{}, {"a": 0}, {"[UNK]": 1}, {"[UNK]": 0, "a": 2}, {"[UNK]": 0, "a": 0}])
def test_vocabulary_must_be_whole(vocabulary: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="vocabulary"):
        WordPiece(vocabulary)


BREAKAGES: list[dict[str, Any]] = [
    {"model": {"type": "BPE"}},
    {"model": {"continuing_subword_prefix": "@@"}},
    {"model": {"max_input_chars_per_word": 200}},
    {"model": {"vocab": {}}},
    {"model": {"vocab": {"[UNK]": "0"}}},
    {"model": {"unk_token": "?!"}},
    {"normalizer": {"lowercase": False}},
    {"normalizer": {"strip_accents": False}},
    {"normalizer": {"clean_text": False}},
    {"pre_tokenizer": {"type": "Whitespace"}},
    {"truncation": {"direction": "Left"}},
    {"truncation": {"max_length": 0}},
    {"truncation": {"max_length": "many"}},
    {"added_tokens": [{"id": 0, "content": "[UNK]", "special": True}]},
]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=str)
def test_tokeniser_of_another_kind_is_refused(breakage: dict[str, Any], tmp_path: Path) -> None:
    settings = json.loads(FILE.read_bytes())
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    assert read_wordpiece(path).size == OURS.size
    for key, change in breakage.items():
        settings[key] = settings[key] | change if isinstance(change, dict) else change
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="embedder"):
        read_wordpiece(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b'{"model": 3}', b"\xff\xfe"])
def test_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"embedder\.folder"):
        read_wordpiece(path)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"embedder\.folder"):
        read_wordpiece(tmp_path / "tokenizer.json")
