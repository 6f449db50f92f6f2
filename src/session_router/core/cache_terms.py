"""On which terms a stored answer may stand for a new one: what the policy says, what the caller knows, and the question made of both."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import NoneType
from typing import TYPE_CHECKING, Literal

from session_router.core.cached import GENERAL, CacheQuestion
from session_router.core.checking import check_kind
from session_router.core.governance import PUBLIC, Clearance
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.governance import Tag
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.rewritten import Conversation

_UNGOVERNED = Clearance()
"""Of readers where governance is not in use: everything is public then."""


class Sharing(StrEnum):
    """With whom answers are shared, within a tenant."""

    PRINCIPAL = "principal"
    """Each user or service has its own; whoever is not named has none."""
    TENANT = "tenant"
    """All users of a deployment share them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """What a policy says of stored answers.

    Attributes:
        sharing: With whom answers are shared.
        reader: What those who read a session's answers may see. Where governance is in use and nobody said so, the cache is not asked.
        policy_epoch: Change it when rules have changed and old answers must not be served.
        knowledge_epoch: Change it when what the answers rest on has changed.
        locale: Language and country of the deployment, such as `en-GB`; empty for not known.
        category: Kind of question that is asked here; has a time to live and certificates of its own.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    sharing: Sharing | Literal["principal", "tenant"] = Sharing.PRINCIPAL
    reader: Clearance | None = None
    policy_epoch: str = "1"
    knowledge_epoch: str = "1"
    locale: str = ""
    category: str = GENERAL

    def __post_init__(self) -> None:
        """Check the values."""
        try:
            object.__setattr__(self, "sharing", Sharing(self.sharing))
        except ValueError:
            known = ", ".join(repr(one.value) for one in Sharing)
            raise ConfigurationError(key="policy.cache.sharing", value=self.sharing, rule=f"choose among {known}.") from None
        check_kind(self.reader, (Clearance, NoneType), key="policy.cache.reader", rule="give a `Clearance`.")
        check_kind(self.locale, str, key="policy.cache.locale", rule="give a text such as 'en-GB'.")
        for name in ("policy_epoch", "knowledge_epoch", "category"):
            key, rule = f"policy.cache.{name}", "give a text that is not empty."
            check_kind(getattr(self, name), str, key=key, rule=rule)
            if not getattr(self, name):
                raise ConfigurationError(key=key, value="", rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTerms:
    """What the caller knows of the terms on which a stored answer may stand for a new one.

    Digests are 16 bytes or more.

    Attributes:
        text: The last user text.
        before: Digest of everything before it.
        system: Digest of the system prompt.
        tools: Digest of tools and tool choice.
        settings: Digest of sampling and of how the routes are set up.
        principal: Who asks; `None` when nobody said.
        tenant: Whose deployment; `None` when there is one.
        conversation: What may be shown to a rewriter; `None` when the question stands alone as it is, or nobody may rewrite it.
        untold: What of the rest cannot be told, so that its digest is missing; empty when all is told.
        recent: What was asked in the turns before, oldest first.
    """

    text: str
    before: bytes
    system: bytes
    tools: bytes
    settings: bytes
    principal: str | None = None
    tenant: str | None = None
    conversation: Conversation | None = None
    untold: str = ""
    recent: tuple[str, ...] = ()


def cache_question(
    terms: CacheTerms,
    rules: CacheRules,
    *,
    tag: Tag | None,
    session: str | None,
    specs: Mapping[ModelName, ModelSpec],
    purpose: str | None,
    now: float,
) -> CacheQuestion | None:
    """Return what to ask the cache, or `None` when nobody said who may read its answers.

    Args:
        terms: What the caller knows.
        rules: What the policy says.
        tag: The label of the payload; `None` when governance is not in use.
        session: Within what is untrusted stays.
        specs: The routes: any of them may have answered.
        purpose: What the call is for.
        now: POSIX seconds.
    """
    reader = _UNGOVERNED if tag is None else rules.reader
    if reader is None:
        return None
    return CacheQuestion(
        text=terms.text,
        now=now,
        tag=PUBLIC if tag is None else tag,
        reader=reader,
        scope=_scope(terms, rules),
        policy_epoch=rules.policy_epoch,
        knowledge_epoch=rules.knowledge_epoch,
        model_class=_model_class(specs),
        system=terms.system,
        tools=terms.tools,
        settings=terms.settings,
        before=terms.before,
        tenant=terms.tenant,
        session=session,
        locale=rules.locale,
        purpose=purpose,
        category=rules.category,
        untold=terms.untold,
        recent=terms.recent,
    )


def _scope(terms: CacheTerms, rules: CacheRules) -> str | None:
    if rules.sharing is Sharing.TENANT:
        return "tenant"
    return f"principal:{terms.principal}" if terms.principal else None


def _model_class(specs: Mapping[ModelName, ModelSpec]) -> str:
    """Name the models that may have answered: another set of routes, or other models behind them, are another class."""
    return repr([(str(name), sorted(specs[name].provider_ids)) for name in sorted(specs)])
