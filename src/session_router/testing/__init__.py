"""For tests: laws that implementations must pass, values to test with, and strict provider simulators.

Needs the extra `testing`. Each name is imported on first use, so that one needs only its own packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from session_router.testing.audit_log_suite import AuditLogSuite, ErasableAuditLogSuite
    from session_router.testing.detector_suite import DetectorSuite
    from session_router.testing.embedder_suite import EmbedderSuite
    from session_router.testing.recalling_store_suite import RecallingStoreSuite
    from session_router.testing.response_cache_suite import ResponseCacheSuite
    from session_router.testing.session_store_suite import SessionStoreSuite, SharedSessionStoreSuite
    from session_router.testing.shared_health_suite import SharedHealthSuite

_HOME = {
    "AuditLogSuite": "audit_log_suite",
    "DetectorSuite": "detector_suite",
    "EmbedderSuite": "embedder_suite",
    "ErasableAuditLogSuite": "audit_log_suite",
    "RecallingStoreSuite": "recalling_store_suite",
    "ResponseCacheSuite": "response_cache_suite",
    "SessionStoreSuite": "session_store_suite",
    "SharedHealthSuite": "shared_health_suite",
    "SharedSessionStoreSuite": "session_store_suite",
}

__all__ = [
    "AuditLogSuite",
    "DetectorSuite",
    "EmbedderSuite",
    "ErasableAuditLogSuite",
    "RecallingStoreSuite",
    "ResponseCacheSuite",
    "SessionStoreSuite",
    "SharedHealthSuite",
    "SharedSessionStoreSuite",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- each name has its own type, stated above for type checkers
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
