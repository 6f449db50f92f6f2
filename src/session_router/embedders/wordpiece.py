"""WordPiece in plain Python: for short texts a dictionary of known words is quicker than a call into a tokeniser library."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, cast

from session_router.embedders.bert_characters import split_words
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

READ_CHARACTERS = 65_536
"""A text is read up to here: bounded work for any input."""
READ_TOKENS = 4_096
"""Of what was read, this many tokens count, unless the tokeniser's file sets another limit."""

_REMEMBERED_CHUNKS = 16_384
_REMEMBERED_LENGTH = 64  # characters: bounds the memory of the cache, not only its entries
# `str.split` ends a word at these; BERT removes them, and the word goes on.
_REMOVED_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85]")
_NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True}


class WordPiece:
    """Text to token ids: the same ids as `tokenizers` gives for the same file, without special tokens.

    Args:
        vocabulary: Token to id; ids count from 0 without a gap. Tokens inside a word begin with `##`.
        unknown: The token for a word that cannot be put together from tokens, or has more than 100 characters.
        limit: Tokens after this many are dropped.

    Raises:
        ConfigurationError: The vocabulary has no `unknown`, or its ids have gaps.
    """

    def __init__(self, vocabulary: Mapping[str, int], *, unknown: str = "[UNK]", limit: int = READ_TOKENS) -> None:
        if unknown not in vocabulary or sorted(vocabulary.values()) != list(range(len(vocabulary))):
            raise ConfigurationError(
                key="embedder.vocabulary",
                value=f"{len(vocabulary)} tokens",
                rule=f"it must hold {unknown!r}, and its ids must count from 0 without a gap.",
            )
        self.size = len(vocabulary)
        self.limit = limit
        self._chunks = _Chunks(vocabulary, vocabulary[unknown])

    def encode(self, text: str) -> list[int]:
        """Return the ids of the first `limit` tokens of the first `READ_CHARACTERS` characters of `text`."""
        if len(text) > READ_CHARACTERS:
            text = text[:READ_CHARACTERS]
        if not text.isprintable():
            text = _REMOVED_SPACES.sub("", text)
        chunks = self._chunks
        ids: list[int] = []
        for chunk in text.split():
            ids += chunks[chunk]
        return ids if len(ids) <= self.limit else ids[: self.limit]


class _Chunks(dict[str, tuple[int, ...]]):
    """Ids of what stands between two spaces, worked out once.

    Threads may share it: each operation on it is atomic, and what two threads work out is the same.
    """

    def __init__(self, vocabulary: Mapping[str, int], unknown: int) -> None:
        self._unknown = (unknown,)
        self._first = {piece: number for piece, number in vocabulary.items() if not piece.startswith("##") or piece == "##"}
        self._later = {piece[2:]: number for piece, number in vocabulary.items() if piece.startswith("##") and piece != "##"}
        self._longest = max(map(len, vocabulary))

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        numbers: list[int] = []
        first, (unknown,) = self._first, self._unknown
        for word in split_words(chunk):
            # Scripts without blanks have a word a character, thousands in a chunk: no call for each.
            if len(word) == 1:
                numbers.append(first.get(word, unknown))
            else:
                numbers += self._pieces(word)
        ids = tuple(numbers)
        if len(chunk) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED_CHUNKS:
                self.clear()
            self[chunk] = ids
        return ids

    def _pieces(self, word: str) -> tuple[int, ...]:
        """Take the longest token that the rest of `word` begins with, until nothing is left."""
        if len(word) > 100:  # noqa: PLR2004 -- BERT's limit
            return self._unknown
        pieces: list[int] = []
        start = 0
        tokens = self._first
        while start < len(word):
            for end in range(min(len(word), start + self._longest), start, -1):
                number = tokens.get(word[start:end])
                if number is not None:
                    break
            else:
                return self._unknown
            pieces.append(number)
            start = end
            tokens = self._later
        return tuple(pieces)


def read_wordpiece(path: Path) -> WordPiece:
    """Return the tokeniser that a `tokenizer.json` of the `tokenizers` library describes.

    Raises:
        ConfigurationError: The file cannot be read, or describes another tokeniser than an uncased BERT WordPiece.
    """
    try:
        written: object = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _wrong(path, f"it cannot be read as JSON ({error}).") from error
    settings = _object(written)
    model, truncation = _object(settings.get("model")), _object(settings.get("truncation"))
    normalizer = _object(settings.get("normalizer"))
    vocabulary = _object(model.get("vocab"))
    limit = truncation.get("max_length", READ_TOKENS)
    fits = (
        model.get("type") == "WordPiece"
        and model.get("continuing_subword_prefix") == "##"
        and model.get("max_input_chars_per_word") == 100  # noqa: PLR2004 -- BERT's limit
        and {**normalizer, "strip_accents": None} == {**_NORMALIZER, "strip_accents": None}
        and normalizer.get("strip_accents") in {None, True}
        and _object(settings.get("pre_tokenizer")) == {"type": "BertPreTokenizer"}
        and not settings.get("added_tokens")
        and (not truncation or truncation.get("direction") == "Right")
    )
    sound = isinstance(limit, int) and limit > 0 and vocabulary and all(isinstance(number, int) for number in vocabulary.values())
    if not (fits and sound):
        raise _wrong(path, "it must describe an uncased BERT WordPiece without added tokens.")
    return WordPiece(cast("dict[str, int]", vocabulary), unknown=str(model.get("unk_token")), limit=cast("int", limit))


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _wrong(path: Path, rule: str) -> ConfigurationError:
    return ConfigurationError(key="embedder.folder", value=str(path), rule=rule)
