"""What users may import. A name that comes or goes is a decision, and is made here."""

from __future__ import annotations

import pytest

import session_router
import session_router_langchain
import session_router_langgraph
import session_router_otel

PUBLIC = {
    session_router: {
        "Action",
        "CacheRules",
        "AuditFile",
        "Call",
        "Clearance",
        "Decision",
        "Feedback",
        "MemorySessionStore",
        "ModelSpec",
        "Outcome",
        "Policy",
        "Prices",
        "Reason",
        "Router",
        "SQLiteSessionStore",
        "SemanticCache",
        "SessionRouterError",
        "Tag",
        "load_router",
        "prices_from_litellm",
    },
    session_router_langchain: {
        "ChatModelJudge",
        "SessionRouterCache",
        "SessionRouterCallbackHandler",
        "SessionRouterChatModel",
        "SessionRouterMiddleware",
        "Sighting",
        "convert",
        "labelled",
        "portability_report",
        "repair",
        "tagged_tool",
        "target_of",
    },
    session_router_otel: {
        "Exporting",
        "SessionSampler",
        "SessionSpanProcessor",
        "exporting",
        "instrument",
        "session",
        "uninstrument",
    },
    session_router_langgraph: {"RouterState", "create_router_node", "model_selector"},
}


@pytest.mark.parametrize(("package", "names"), PUBLIC.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_the_public_names_are_these(package: object, names: set[str]) -> None:
    stated = package.__all__
    assert sorted(stated) == sorted(names)
    assert names <= set(dir(package))
    assert all(getattr(package, name) is not None for name in names)


def test_a_user_learns_twenty_names_at_most() -> None:
    assert len(session_router.__all__) <= 20


@pytest.mark.parametrize("package", [session_router, session_router_langchain, session_router_otel], ids=lambda one: one.__name__)
def test_what_is_not_public_is_no_attribute(package: object) -> None:
    with pytest.raises(AttributeError, match="no attribute 'Routre'"):
        package.Routre  # noqa: B018 -- looking it up is the test
