"""Makes a new vocabulary. Not a part of every training: ties are broken by hash order, so two runs differ; one result is committed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

UNKNOWN = "[UNK]"
_SEEN_LEAST = 2
_ALPHABET = 256  # characters: letters that the sources hardly use would be tokens without a trained vector


def write_vocabulary(texts: Iterable[str], path: Path, *, size: int, limit: int) -> None:
    """Write a `tokenizer.json`: an uncased BERT WordPiece of `size` tokens that reads `limit` tokens of a text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=_SEEN_LEAST, limit_alphabet=_ALPHABET, special_tokens=[UNKNOWN], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.enable_truncation(limit)
    settings = json.loads(tokenizer.to_str())
    # A special token would be found in the text of a user who types it.
    settings["added_tokens"] = []
    path.write_text(json.dumps(settings, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def tokens_of(tokenizer: bytes) -> list[str]:
    """Return the tokens of a `tokenizer.json`, in the order of their ids."""
    vocabulary: dict[str, int] = json.loads(tokenizer)["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)
