"""`[audit]` of a configuration: which log is opened, with which key, and by whom it is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from session_router import AuditFile, load_router
from session_router.errors import AuditCorrupt, ConfigurationError
from session_router.testing.strategies import MODELS
from values import call_of, human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "0123456789abcdef" * 4
MODEL = '[models.fast]\nmodel = "openai:small"\nprices = {input = 0.25, output = 2}\n'


@pytest.fixture
def write(write: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda text: write(text + MODEL)


@pytest.fixture
def audit_of(write: Any) -> Iterator[Callable[..., Any]]:
    opened: list[AuditFile] = []

    def audit_of(text: str, environment: dict[str, str] | None = None) -> Any:
        audit = load_router(write(text), environment=environment or {}).audit
        if isinstance(audit, AuditFile):
            opened.append(audit)
        return audit

    yield audit_of
    for audit in opened:
        audit.close()


def test_without_a_path_there_is_no_log(audit_of: Any) -> None:
    assert audit_of("") is None
    assert audit_of("[audit]\nsync_seconds = 5\n") is None


def test_the_log_lies_beside_its_configuration(audit_of: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    audit = audit_of('[audit]\npath = "audit.jsonl"\nhead = "elsewhere/head"\nsync_seconds = "none"\n')
    assert (audit.path, audit.head, audit._sync_seconds) == (tmp_path / "audit.jsonl", tmp_path / "elsewhere" / "head", None)
    assert (tmp_path / "audit.jsonl.key").is_file()


def test_the_key_of_the_configuration_seals(audit_of: Any, write: Any, tmp_path: Path) -> None:
    audit = audit_of('[audit]\npath = "audit.jsonl"\n', {"SESSION_ROUTER_KEY": KEY})
    audit.append({})
    assert audit.key == bytes.fromhex(KEY)
    assert not (tmp_path / "audit.jsonl.key").exists()
    with pytest.raises(AuditCorrupt):
        load_router(write('[audit]\npath = "audit.jsonl"\n'), environment={"SESSION_ROUTER_KEY": "ff" * 32})


def test_decisions_are_recorded(write: Any) -> None:
    router = load_router(write('[audit]\npath = "audit.jsonl"\n'), environment={})
    decision = router.route(call_of(human()))
    assert isinstance(router.audit, AuditFile)
    (record,) = router.audit.records()
    assert (record["decision_id"], record["model"], decision.evidence.degraded) == (decision.id, MODELS[0], ())
    router.audit.close()
    # The flow goes on without it, and says so.
    assert router.route(call_of(human())).evidence.degraded == ("audit",)


def test_whoever_wants_none_opens_none(write: Any, tmp_path: Path) -> None:
    path = write('[audit]\npath = "audit.jsonl"\n')
    assert load_router(path, environment={}, audited=False).audit is None
    with AuditFile(tmp_path / "other.jsonl") as other:
        assert load_router(path, environment={}, audit=other).audit is other
    assert not (tmp_path / "audit.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "key", "rule"),
    [
        ('[audit]\nhead = "head"\n', "audit.path", "`audit.head` needs it"),
        ('[audit]\npath = "no/where.jsonl"\n', "audit.path", "must exist"),
        ('[audit]\npath = "audit.jsonl"\nhead = "no/where"\n', "audit.head", "must exist"),
        ('[audit]\npath = "audit.jsonl"\nsync_seconds = -1\n', "audit.sync_seconds", "give a number >= 0"),
    ],
)
def test_a_wrong_setting_is_named(write: Any, text: str, key: str, rule: str) -> None:
    path = write(text)
    with pytest.raises(ConfigurationError, match=rule) as caught:
        load_router(path, environment={})
    assert (caught.value.key, caught.value.source) == (key, str(path))
