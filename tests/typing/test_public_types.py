"""Type-checked, never run: the public names as a typed application uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

from langchain_core.messages import AIMessage, HumanMessage

from session_router import Action, Decision, MemorySessionStore, ModelSpec, Policy, Prices, Reason, Router, SQLiteSessionStore, load_router
from session_router.cache.judge import AnswerJudge
from session_router.cache.semantic import SemanticCache
from session_router.core.call import Outcome
from session_router.core.model import ModelName
from session_router.ports import QuestionRewriter, Scorer, SessionStore
from session_router.scorers.lexical import LexicalScorer
from session_router_langchain import ChatModelJudge, SessionRouterCache, SessionRouterChatModel, SessionRouterMiddleware

if TYPE_CHECKING:
    from langchain_core.caches import BaseCache
    from langchain_core.language_models import BaseChatModel

router = Router(
    {"fast": "openai:gpt-5-mini", "strong": ModelSpec(model="anthropic:claude-sonnet-4-6", prices=Prices(input=3, output=15))},
    prices={"fast": Prices(input=0.25, output=2.0)},
    policy=Policy(default="fast", stake=0.02),
    store=MemorySessionStore(),
)
assert_type(load_router("router.toml"), Router)


def stores(path: str) -> list[SessionStore]:
    return [MemorySessionStore(), SQLiteSessionStore(path)]


def scorers() -> list[Scorer]:
    return [LexicalScorer()]


def read(decision: Decision) -> None:
    assert_type(decision.action, Action)
    assert_type(decision.reason, Reason)
    assert_type(decision.chosen(), ModelName)


assert_type(SessionRouterChatModel(router=router).invoke([HumanMessage("hello")]), AIMessage)
middleware = SessionRouterMiddleware(router)


def caches(principal: str) -> list[BaseCache]:
    return [SessionRouterCache(SemanticCache(), principal=principal)]


def judges(model: BaseChatModel) -> list[AnswerJudge]:
    return [ChatModelJudge(model, prices=Prices(input=0.25, output=2.0))]


def rewriting(rewriter: QuestionRewriter) -> Router:
    return Router({"fast": "openai:gpt-5-mini"}, cache=SemanticCache(), rewriter=rewriter)


def values_stay_what_they_are(decision: Decision, outcome: Outcome) -> None:
    # Should one of them become mutable, the checkers complain of a comment that nobody needs.
    decision.reason = Reason.PINNED  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    outcome.error = "none"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
