"""What ties a message, or a request, to a model, an account or a dialect."""

from __future__ import annotations

from enum import StrEnum

from session_router.core.value import value


class BindingKind(StrEnum):
    """A part of a message that not every model can take back."""

    SIGNED_THINKING = "signed_thinking"  # Anthropic `signature`, `redacted_thinking`
    THOUGHT_SIGNATURE = "thought_signature"  # Gemini
    ENCRYPTED_REASONING = "encrypted_reasoning"  # OpenAI `encrypted_content`
    SERVER_TOOL_BLOCK = "server_tool_block"  # a provider's own tool and its result
    CLIENT_TOOL_BLOCK = "client_tool_block"  # OpenAI computer_call and its kin
    ITEM_ID = "item_id"  # OpenAI rs_*, msg_*, fc_*: known to the account that made them
    CACHE_MARKER = "cache_marker"  # Anthropic `cache_control`
    FOREIGN_BLOCK = "foreign_block"  # a content block of one provider's own dialect
    PREVIOUS_RESPONSE = "previous_response"  # history that only the provider holds
    CONTAINER = "container"  # Anthropic code-execution container
    FILE_ID = "file_id"  # an uploaded file, by id


class BindingReach(StrEnum):
    """How far a bound part can travel."""

    MODEL = "model"  # only the model that wrote it
    ACCOUNT = "account"  # any model of the same endpoint and account
    DIALECT = "dialect"  # any model that speaks the same API, or one of the same house


KEPT_BY_PROVIDER: frozenset[BindingKind] = frozenset({BindingKind.PREVIOUS_RESPONSE, BindingKind.CONTAINER, BindingKind.FILE_ID})
"""Kinds whose content we do not hold: no conversion can carry them to another account."""


@value
class Binding:
    """Ties a step to a model, an account or a dialect.

    Attributes:
        kind: What is bound.
        reach: How far it can travel.
        holder: The model name, the account or the dialect that `reach` speaks of; `openai` stands for `openai-chat` and
            `openai-responses`. Empty when unknown, in which case no target accepts it.
    """

    kind: BindingKind
    reach: BindingReach
    holder: str

    @property
    def convertible(self) -> bool:
        """Whether stripping or rewriting can carry the message elsewhere."""
        return self.kind not in KEPT_BY_PROVIDER
