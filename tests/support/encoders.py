"""Small encoders of the real library, made here: random weights, and a tokenizer trained on a few lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

try:
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding, Transformer
except ImportError:  # before version 6
    from sentence_transformers.models import Pooling, StaticEmbedding, Transformer

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    "where is my order and why does the second query take longer than the first one",
    "write a function that reverses a list and test it",
    "the invoice of last month is wrong please correct the address hello",
]
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
LONGEST = 64
"""Tokens that the transformer reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Saved models, by what they are."""

    bert: Path
    other_bert: Path
    static: Path
    other_static: Path


@cache
def _trained() -> str:
    # Once: the trainer breaks ties by the order of a hash table, so that a second run gives another vocabulary.
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=list(SPECIAL.values()), show_progress=False)
    made.train_from_iterator(LINES, trainer)
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made.to_str()


def tokenizer(*, lowercase: bool = True) -> Tokenizer:
    made = Tokenizer.from_str(_trained())
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    return made


def bert(folder: Path, pieces: Tokenizer, *, seed: int) -> SentenceTransformer:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=LONGEST,
        # The usual 0.02 makes vectors of random weights all but equal.
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=pieces, model_max_length=LONGEST, **SPECIAL).save_pretrained(folder)
    return SentenceTransformer(modules=[Transformer(str(folder)), Pooling(32)], device="cpu")


def static(pieces: Tokenizer, *, seed: int, then: tuple[Any, ...] = ()) -> SentenceTransformer:
    torch.manual_seed(seed)
    return SentenceTransformer(modules=[StaticEmbedding(pieces, embedding_dim=16), *then], device="cpu")


def saved(directory: Path) -> Folders:
    """Save two models of each kind; each two differ in nothing but their weights."""
    pieces = tokenizer()
    folders = Folders(
        bert=directory / "bert", other_bert=directory / "other_bert", static=directory / "static", other_static=directory / "other_static"
    )
    bert(directory / "parts_0", pieces, seed=0).save(str(folders.bert))
    bert(directory / "parts_1", pieces, seed=1).save(str(folders.other_bert))
    static(pieces, seed=0).save(str(folders.static))
    static(pieces, seed=1).save(str(folders.other_static))
    return folders
