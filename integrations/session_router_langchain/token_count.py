"""Counting tokens for a model that is not known yet, without downloading anything."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages.utils import count_tokens_approximately

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

logger = logging.getLogger("session_router")


def count_tokens(model: BaseChatModel, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
    """Count as `model` counts, or approximately.

    Counters of providers load a tokenizer, or ask the provider: where they cannot, an estimate is better than an
    error. A model without a counter of its own would download GPT-2's tokenizer, which is no better.
    """
    if _counts_itself(model):
        try:
            return model.get_num_tokens_from_messages(messages, tools)
        except Exception as error:  # noqa: BLE001 -- a count is never worth the call
            logger.debug("tokens are estimated: %s cannot count them (%r)", type(model).__name__, error)
    return count_tokens_approximately(messages, tools=list(tools) if tools else None)


def _counts_itself(model: BaseChatModel) -> bool:
    counters = ("get_num_tokens_from_messages", "get_token_ids", "get_num_tokens")
    return model.custom_get_token_ids is not None or any(
        getattr(type(model), name) is not getattr(BaseLanguageModel, name) for name in counters
    )
