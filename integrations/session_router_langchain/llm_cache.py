"""The response cache as LangChain's own, for those who wrap chat models themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from langchain_core.caches import BaseCache
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from session_router.core.cache_terms import CacheRules, CacheTerms, cache_question
from session_router.core.cached import CachedAnswer, CacheHit
from session_router.core.checking import check_kind, check_methods
from session_router.core.model import ModelName
from session_router.core.pricing import Prices
from session_router.core.transcript import EMPTY_DIGEST
from session_router.errors import ConfigurationError
from session_router.router import SystemClock
from session_router_langchain.authors import STAMP, provider_id_of
from session_router_langchain.checking import check_names
from session_router_langchain.completions import completions_answer, completions_in
from session_router_langchain.exact import ExactReader, digest
from session_router_langchain.leads import Leads
from session_router_langchain.messages import MessageReader
from session_router_langchain.names import current_config, names_of
from session_router_langchain.outcomes import usage_of
from session_router_langchain.prompts import messages_in, set_up_in, tells_all
from session_router_langchain.stored_answers import answer_in, is_told_whole, message_of
from session_router_langchain.terms import LastQuestion, last_question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from session_router.core.cached import CacheMiss, CacheQuestion
    from session_router.identity import SessionNames
    from session_router.ports import Clock, ResponseCache

logger = logging.getLogger("session_router.cache")

_UNKNOWN: Final = "unknown"
"""Stands for a model whose provider does not name it."""


class _Asked(NamedTuple):
    """A question, and whether it is a text to be completed rather than a conversation."""

    question: CacheQuestion
    completes: bool


class SessionRouterCache(BaseCache):
    """A response cache for chat models that no router chooses: `ChatOpenAI(cache=...)`, `set_llm_cache(...)`.

    A stored answer stands for a new one where all of this is equal: tenant, principal (unless the tenant shares), the model with its
    settings and its address, tools, response format, and everything before the last user message. Only the text of the last user
    message may differ, as the cache allows. What is replayed is a new message: with a fresh id, no usage, nothing of a provider's
    state, and what the cache knows of it in `response_metadata["session_router"]["cache"]`.

    Neither stored nor replayed: tool calls, conversations in which a tool has answered, refusals, answers that are cut off or do not
    say how they ended, several answers to one question, log probabilities, parsed and spoken answers, questions about the moment;
    and whatever LangChain's description of the model does not tell in full. All counts as public: where governance is in use, let
    `Router(cache=...)` ask the cache.

    LangChain describes a chat model once. What is changed in the model after its first call, or in a copy of it (`model_copy`), is not in
    that description, and no cache of LangChain's sees it: build another model instead.

    Models that complete a text get what they said exactly as it came, and only for the very same text: of each completion the text
    and its `generation_info`, if that is JSON. LangChain asks no cache for `stream` and `astream` of a chat model itself; it does for
    one that runs in an agent or a chain that is streamed.

    Args:
        cache: Such as `SemanticCache()`.
        rules: With whom answers are shared, and the epochs. Unless told otherwise, each principal has its own, and who is not named
            has none.
        tenant: Whose deployment, if there are several.
        principal: The user or service; else the one that LangGraph Server authenticated, as far as the running config tells.
        names: Says who asks, in place of `tenant` and `principal`. Called at every look-up, in its context.
        prices: By the id under which a provider answers: what a hit saves.
        clock: The only source of time.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    def __init__(
        self,
        cache: ResponseCache,
        *,
        rules: CacheRules | None = None,
        tenant: str | None = None,
        principal: str | None = None,
        names: Callable[[], SessionNames] | None = None,
        prices: Mapping[str, Prices] | None = None,
        clock: Clock | None = None,
    ) -> None:
        rule = "give a response cache, such as `SemanticCache()`."
        check_methods(cache, "look_up", "alook_up", "store", "astore", "abandon", "veto", "aveto", key="cache", rule=rule)
        rules = CacheRules() if rules is None else rules
        check_kind(rules, CacheRules, key="rules", rule="give a `CacheRules`.")
        for name, one in (prices or {}).items():
            check_kind(one, Prices, key=f"prices.{name}", rule="give `Prices`.")
        if names is not None:
            check_methods(names, "__call__", key="names", rule="give a function without arguments that returns `SessionNames`.")
            if tenant is not None or principal is not None:
                raise ConfigurationError(key="names", value=names, rule="give either `names`, or `tenant` and `principal`.")
        check_names(tenant=tenant, principal=principal)
        self._cache, self._rules, self._prices = cache, rules, dict(prices or {})
        self._names = names or (lambda: names_of(current_config(), tenant=tenant, principal=principal))
        self._clock: Clock = clock or SystemClock()
        self._reader = MessageReader(dict)
        self._exact = ExactReader()
        self._leads = Leads(cache.abandon)

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Return what to replay, or `None`; waits while somebody else asks the same."""
        self._leads.left()
        asked = self._asked(prompt, llm_string)
        if asked is None:
            return None
        try:
            return self._found(asked, self._cache.look_up(asked.question))
        except Exception as error:  # noqa: BLE001 -- a cache that breaks its promise may not cost the answer
            _failed("look up", error)
            return None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Take notice of what a model said, and keep it if it may be replayed."""
        told = self._told(prompt, llm_string, return_val)
        if told is not None:
            try:
                self._cache.store(*told)
            except Exception as error:  # noqa: BLE001 -- as above
                _failed("store", error)

    def veto(self, message: AIMessage) -> bool:
        """Take notice that a replayed answer was wrong: its entry never answers such a question again.

        Args:
            message: As it was replayed, also after it was written down and read back.

        Returns:
            Whether it is a replayed answer.
        """
        hit = _hit_in(message)
        if hit is not None:
            self._cache.veto(hit)
        return hit is not None

    def clear(self, **kwargs: Any) -> None:  # noqa: ANN401, ARG002 -- signature of the base
        """Remove everything from the cache, also what others have put there.

        Raises:
            StoreError: It is not certain that all was removed.
            ConfigurationError: This cache cannot be cleared.
        """
        self._leads.left()
        check_methods(self._cache, "clear", key="cache", rule="clear it by its own means, or count up `CacheRules.knowledge_epoch`.")
        clear: Callable[[], object] = getattr(self._cache, "clear")  # noqa: B009 -- the port does not promise it
        clear()

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """Do what `lookup` does without blocking the event loop."""
        self._leads.left()
        asked = self._asked(prompt, llm_string)
        if asked is None:
            return None
        try:
            return self._found(asked, await self._cache.alook_up(asked.question))
        except Exception as error:  # noqa: BLE001 -- as above
            _failed("look up", error)
            return None

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Do what `update` does without blocking the event loop."""
        told = self._told(prompt, llm_string, return_val)
        if told is not None:
            try:
                await self._cache.astore(*told)
            except Exception as error:  # noqa: BLE001 -- as above
                _failed("store", error)

    async def aveto(self, message: AIMessage) -> bool:
        """Do what `veto` does without blocking the event loop."""
        hit = _hit_in(message)
        if hit is not None:
            await self._cache.aveto(hit)
        return hit is not None

    async def aclear(self, **kwargs: Any) -> None:  # noqa: ANN401 -- signature of the base
        """Do what `clear` does without blocking the event loop."""
        await asyncio.to_thread(self.clear, **kwargs)

    def _asked(self, prompt: str, llm_string: str) -> _Asked | None:
        """Return what to ask the cache; `None` where no stored answer may stand for the answer."""
        if not tells_all(llm_string):
            return None
        messages = messages_in(prompt)
        last = _whole(prompt) if messages is None else last_question(messages, self._reader.read(messages), self._exact)
        if last is None:
            return None
        try:
            names = self._names()
        except Exception as error:  # noqa: BLE001 -- who is not known has no answers
            _failed("find out who asks", error)
            return None
        terms = CacheTerms(
            text=last.text,
            before=last.before,
            system=EMPTY_DIGEST,
            tools=EMPTY_DIGEST,
            # Tools and response format stand in the same string.
            settings=digest(b"", [llm_string, messages is None]),
            principal=names.principal,
            tenant=names.tenant,
            recent=last.recent,
        )
        question = cache_question(terms, self._rules, tag=None, session=None, specs={}, purpose=None, now=self._clock.now())
        if question is None:
            return None
        # What is bound for a call does not make another model of it: certificates hold for all of them.
        return _Asked(replace(question, model_class=digest(b"", set_up_in(llm_string)).hex()), messages is None)

    def _found(self, asked: _Asked, found: CacheHit | CacheMiss) -> list[Generation] | None:
        if not isinstance(found, CacheHit):
            self._leads.begun(asked.question)
            return None
        if asked.completes:
            return completions_in(found.answer)
        message = message_of(found.answer)
        message.response_metadata = {STAMP: {"model": None, "cache": found.to_plain()}}
        return [ChatGeneration(message=message)]

    def _told(self, prompt: str, llm_string: str, generations: Sequence[Generation]) -> tuple[CacheQuestion, CachedAnswer] | None:
        """Return what the cache is told; where that is nothing, nobody waits for it any more."""
        asked = self._asked(prompt, llm_string)
        if asked is None:
            self._leads.left()
            return None
        question = self._leads.taken(asked.question)
        at = self._clock.now()
        if asked.completes:
            answer = completions_answer(generations, asked_at=question.now, at=at)
        else:
            answer = self._answer(generations, asked_at=question.now, at=at)
        if answer is None:
            self._cache.abandon(question)
            return None
        return question, answer

    def _answer(self, generations: Sequence[Generation], *, asked_at: float, at: float) -> CachedAnswer | None:
        only = generations[0] if len(generations) == 1 else None
        message = only.message if isinstance(only, ChatGeneration) else None
        if not isinstance(message, AIMessage) or not is_told_whole(message):
            return None
        model = provider_id_of(message) or _UNKNOWN
        prices, usage = self._prices.get(model), usage_of(message)
        return answer_in(message, model=ModelName(model), prices=prices, usage=usage, asked_at=asked_at, at=at)


def _whole(prompt: str) -> LastQuestion:
    """A text to be completed may differ in nothing: a blank at its end may mean something."""
    return LastQuestion(prompt, digest(b"", prompt))


def _hit_in(message: AIMessage) -> CacheHit | None:
    facts: object = message.response_metadata.get(STAMP)
    found = cast("Mapping[str, object]", facts).get("cache") if isinstance(facts, Mapping) else None
    return None if found is None else CacheHit.from_plain(found)


def _failed(what: str, error: Exception) -> None:
    # Its text may hold what was asked.
    logger.warning("the cache failed to %s, and the model is asked: %s", what, type(error).__name__)
