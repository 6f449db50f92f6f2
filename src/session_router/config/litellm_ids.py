"""A provider string, such as `azure_openai:gpt-5-mini` -> the ids under which LiteLLM may have the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "anthropic_bedrock": ("bedrock",),
    "azure_openai": ("azure",),
    "bedrock_converse": ("bedrock",),
    "bedrock_mantle_anthropic": ("bedrock_mantle",),
    "bedrock_mantle_openai": ("bedrock_mantle",),
    "fireworks": ("fireworks_ai",),
    "google_anthropic_vertex": ("vertex_ai",),
    "google_genai": ("gemini",),
    "google_vertexai": ("vertex_ai",),
    "ibm": ("watsonx",),
    "meta": ("meta", "meta_llama"),
    "mistralai": ("mistral",),
    "nvidia": ("nvidia_nim",),
    "together": ("together_ai",),
}
"""LangChain's names of providers -> LiteLLM's, where they differ."""


def litellm_ids(model: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield ids, the likeliest first, each with the providers one of which must own it; none where any may.

    A bare name belongs to one provider, and the others' prices differ: `gpt-5-mini` is OpenAI's, not Azure's.

    Args:
        model: A provider string of LangChain, or an id of LiteLLM.
    """
    provider, colon, name = model.partition(":")
    if provider == "litellm" and colon:
        yield name, ()
        return
    if colon:
        owners = PROVIDERS.get(provider, (provider,))
        for owner in owners:
            yield f"{owner}/{name}", ()
        yield name, owners
    # An id may have a colon of its own: `anthropic.claude-haiku-4-5-20251001-v1:0`.
    yield model, ()


def name_in(model: str) -> str:
    """Return the name of a model without that of its provider."""
    return re.sub(r"^[a-z_]+:", "", model).rpartition("/")[2]
