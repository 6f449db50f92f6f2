"""Nobody asks for content unless a test does."""

from __future__ import annotations

import pytest

from session_router_otel.conventions import CAPTURE_CONTENT
from support.telemetry import Exported


@pytest.fixture(autouse=True)
def _no_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAPTURE_CONTENT, raising=False)


@pytest.fixture
def exported() -> Exported:
    return Exported()
