"""A part of its provider's prompt cache for each label: named by a salt in the request, where the provider has a parameter for that."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from session_router.identity import prompt_cache_salt
from session_router_langchain.dialects import OPENAI_RESPONSES, family_of
from session_router_langchain.endpoints import endpoint_of, is_within
from session_router_langchain.vocabulary import is_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models import BaseChatModel

    from session_router.core.decision import Decision
    from session_router.core.model import ModelSpec

CACHE_KEY: Final = "prompt_cache_key"
"""OpenAI's: requests with another key are kept apart as far as they are routed to other machines."""

NOWHERE: Final = "none"
"""There is no such parameter."""

_OPENAI: Final = "https://api.openai.com"
_BODY: Final = "extra_body"


def with_partition(spec: ModelSpec, model: BaseChatModel) -> ModelSpec:
    """Return `spec` with the name of the parameter, where nobody gave one: OpenAI's, at its own address."""
    if spec.prompt_cache.salt is not None:
        return spec
    known = family_of(spec.dialect) == family_of(OPENAI_RESPONSES) and is_within(endpoint_of(model), _OPENAI)
    return replace(spec, prompt_cache=replace(spec.prompt_cache, salt=CACHE_KEY if known else NOWHERE))


def salt_for(
    decision: Decision, spec: ModelSpec, model: BaseChatModel, settings: Mapping[str, Any], *, key: bytes, tenant: str | None
) -> dict[str, Any]:
    """Return the settings that name the part of the cache; none where governance is not in use, or the application names one itself.

    Args:
        decision: Says what label the request bears.
        spec: The chosen model's.
        model: The chosen model.
        settings: Those of the request.
        key: The router's.
        tenant: Whose deployment.
    """
    name = spec.prompt_cache.salt
    if name is None or name == NOWHERE or decision.tag is None:
        return {}
    body: Any = settings.get(_BODY, getattr(model, _BODY, None))
    nested: dict[str, Any] = dict(body) if is_block(body) else {}
    if name in settings or name in nested:
        return {}
    salt = prompt_cache_salt(key, decision.tag, tenant=tenant, session=decision.session_id)
    # What the SDK has no name for goes beside what it has.
    return {name: salt} if name == CACHE_KEY else {_BODY: {**nested, name: salt}}
