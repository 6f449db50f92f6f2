"""Sessions that were exported as traces come back, and are decided again as they were."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.json_format import MessageToDict
from langchain_core.messages import HumanMessage
from openinference.semconv.trace import SpanAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from typer.testing import CliRunner

from session_router import Policy, Prices, Router
from session_router.cli.app import app
from session_router.core.decision import Reason
from session_router.core.step import Role
from session_router.errors import RecordingError
from session_router.recordings import Recording, TraceFile, otlp
from session_router.replay import RecordedNeeds, replay_session
from session_router.testing.providers import Fault
from session_router_langchain import SessionRouterMiddleware
from session_router_otel import Exporting, conventions
from session_router_otel.conventions import CAPTURE_CONTENT
from support.agents import RestlessScorer, agent_of, asks, call
from support.telemetry_sessions import happen

if TYPE_CHECKING:
    from pathlib import Path

    from support.agents import Stage
    from support.telemetry import Exported

TURNS = 3


def played(stage: Stage, exported: Exported, *sessions: str) -> list[dict[str, Any]]:
    """Run agents, and return what each decision was, in order."""
    stage.witness.script = {"go": [asks(call("weather", city="Rome"), call("clock", city="Rome")), "Done."]}
    router = stage.router(scorer=RestlessScorer())
    with exported.of(router):
        for name in sessions:
            agent = agent_of(stage, router=SessionRouterMiddleware(router))
            for turn in range(TURNS):
                agent.invoke({"messages": [HumanMessage(f"go {turn}")]}, {"configurable": {"thread_id": name}})
    return [dict(span.attributes or {}) for span in exported.routes]


def document(exported: Exported) -> dict[str, Any]:
    return dict(MessageToDict(encode_spans(exported.spans)))


def written(path: Path, exported: Exported, *, form: str = "document") -> Path:
    """Write the traces as an exporter does."""
    whole = document(exported)
    if form == "lines":
        text = "\n".join(json.dumps({"resourceSpans": [one]}) for one in whole["resourceSpans"]) + "\n\n"
    else:
        text = json.dumps(whole, indent=1)
    path.write_bytes(gzip.compress(text.encode()) if form == "gzip" else text.encode())
    return path


def recordings(path: Path) -> list[Recording]:
    found = list(TraceFile(path))
    assert all(isinstance(one, Recording) for one in found), found
    return [one for one in found if isinstance(one, Recording)]


def again(recording: Recording, stage: Stage) -> list[dict[str, Any]]:
    router = stage.router(scorer=None, policy=Policy(stake=1.0, margin=0.0))
    router.scorer = RecordedNeeds(recording.needs, router.scorer)
    return [one.decision.to_plain() for one in replay_session(recording, router)]


RESTATED = {
    "ROUTE": conventions.ROUTE,
    "SESSION": conventions.SESSION_ID,
    "AGENT": conventions.AGENT_NAME,
    "TURN": conventions.TURN_INDEX,
    "TOKENS": conventions.TOKENS,
    "MODEL": conventions.MODEL_SELECTED,
    "REASON": conventions.REASON,
    "INTERNAL": conventions.INTERNAL,
    "CANDIDATES": conventions.CANDIDATES,
    "SCORES": conventions.SCORES,
    "MESSAGES": conventions.INPUT_MESSAGES,
    "ERROR": conventions.ERROR_TYPE,
    "COUNTED": (
        (conventions.INPUT_TOKENS, conventions.OUTPUT_TOKENS),
        (SpanAttributes.LLM_TOKEN_COUNT_PROMPT, SpanAttributes.LLM_TOKEN_COUNT_COMPLETION),
    ),
    "_FALLBACK": Reason.FALLBACK.value,
}
"""What the reader states again, since the library may not import what writes it."""


def test_names_are_those_that_are_exported() -> None:
    stated = {
        name: value
        for name, value in vars(otlp).items()
        if name.isupper() and isinstance(value, str | tuple) and name not in {"TYPE_CHECKING", "DIGEST_BYTES"}
    }
    assert stated == RESTATED


@pytest.mark.parametrize("form", ["document", "lines", "gzip"])
def test_yesterdays_sessions_are_decided_as_they_were(stage: Stage, exported: Exported, tmp_path: Path, form: str) -> None:
    told = played(stage, exported, "one", "two")
    found = recordings(written(tmp_path / "traces.json", exported, form=form))
    assert [one.session_id for one in found] == ["one", "two"]
    for one in found:
        replayed, were = again(one, stage), [span for span in told if span["session.id"] == one.session_id]
        assert len(replayed) == len(were) == 2 * TURNS
        assert [row["model"] for row in replayed] == [span["session_router.model.selected"] for span in were]
        assert [row["decision"] for row in replayed] == [span["session_router.decision"] for span in were]
        assert [(row["turn"], row["call"]) for row in replayed] == [
            (span["session_router.turn.index"], span["session_router.call.index"]) for span in were
        ]
        assert [row["evidence"]["tokens"] for row in replayed] == [span["session_router.tokens"] for span in were]


def test_what_providers_counted_comes_back(stage: Stage, exported: Exported, tmp_path: Path) -> None:
    played(stage, exported, "one")
    (recording,) = recordings(written(tmp_path / "traces.json", exported))
    counted = [message.usage for message in recording.messages if message.step.role is Role.AI]
    ledger = stage.providers.ledger.rows
    assert [usage and usage.input for usage in counted] == [row.uncached_input + row.cached_input + row.cache_written for row in ledger]
    assert [usage and usage.output for usage in counted] == [row.output for row in ledger]
    assert [message.text for message in recording.messages] == [""] * len(recording.messages)


def test_words_come_back_where_they_were_asked_for(
    stage: Stage, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, "span_only")
    played(stage, exported, "one")
    (recording,) = recordings(written(tmp_path / "traces.json", exported))
    assert [message.text for message in recording.messages if message.step.role is Role.HUMAN] == ["go 0", "go 1", "go 2"]


def test_a_fallback_is_one_call(stage: Stage, exported: Exported, tmp_path: Path) -> None:
    stage.providers.faults.next(Fault.overloaded())
    played(stage, exported, "one")
    assert len(exported.routes) == 2 * TURNS + 1
    (recording,) = recordings(written(tmp_path / "traces.json", exported))
    assert len(again(recording, stage)) == 2 * TURNS


def test_a_stored_answer_is_a_call_like_any(stage: Stage, exported: Exported, tmp_path: Path) -> None:
    happened = happen(stage, Exporting(tracers=exported.tracers, meters=None))
    found = {one.session_id: one for one in recordings(written(tmp_path / "traces.json", exported))}
    assert {name: len([one for one in it.messages if one.step.role is Role.HUMAN]) for name, it in found.items()} == happened.turns
    usages = [message.usage for message in found[happened.repeated].messages if message.step.role is Role.AI]
    assert [usage is None for usage in usages] == [False, True]
    assert len(again(found[happened.repeated], stage)) == 2


def test_another_policy_decides_otherwise(stage: Stage, exported: Exported, tmp_path: Path) -> None:
    played(stage, exported, "one")
    (recording,) = recordings(written(tmp_path / "traces.json", exported))
    prices = {"chat": Prices(input=0.1, output=0.1), "claude": Prices(input=50, output=50), "responses": Prices(input=50, output=50)}
    router = Router({name: f"openai:{name}" for name in prices}, prices=prices, policy=Policy(stake=0.0))
    router.scorer = RecordedNeeds(recording.needs, router.scorer)
    assert {call.decision.model for call in replay_session(recording, router)} == {"chat"}


CONFIGURATION = """
[models.chat]
model = "openai:sim-chat"
prices = {input = 1.0, output = 4.0}
[models.responses]
model = "openai:sim-responses"
prices = {input = 1.0, output = 4.0}
[models.claude]
model = "anthropic:sim-claude"
prices = {input = 1.0, output = 4.0}
"""


def test_the_command_replays_traces(stage: Stage, exported: Exported, tmp_path: Path) -> None:
    told = played(stage, exported, "one")
    traces, config, rows = written(tmp_path / "traces.json", exported), tmp_path / "router.toml", tmp_path / "rows.jsonl"
    config.write_text(CONFIGURATION + "[policy]\nstake = 1.0\nmargin = 0.0\n")
    ran = CliRunner().invoke(app, ["replay", "--from-otlp", str(traces), "--config", str(config), "--json", str(rows)])
    assert ran.exit_code == 0, ran.output
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [row["model"] for row in found] == [span["session_router.model.selected"] for span in told]


@pytest.mark.parametrize("arguments", [[], ["a.jsonl", "--from-otlp", "b.json"]], ids=["none", "both"])
def test_the_command_takes_one_source(arguments: list[str]) -> None:
    ran = CliRunner().invoke(app, ["replay", *arguments])
    assert "--from-otlp" in str(ran.exception)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "no JSON"),
        ("[1]", "resourceSpans"),
        ("{}", "resourceSpans"),
        ('{"resourceSpans": 1}', "resourceSpans"),
        ("\xff", "UTF-8"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordingError, match=told):
        TraceFile(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read"):
        TraceFile(tmp_path / "x.json")


@pytest.mark.parametrize("packed", [False, True])
def test_a_document_that_breaks_off_costs_only_itself(tmp_path: Path, *, packed: bool) -> None:
    documents = [{"resourceSpans": [{"scopeSpans": [{"spans": [span(session__id=f"s{number}\u2028")]}]}]} for number in range(3)]
    lines = [json.dumps(document, ensure_ascii=False).encode() for document in documents]
    raw = b"\xef\xbb\xbf" + b"\n".join([lines[0], b'{"resourceSpans": [\xff]}', b"{}", lines[1], lines[2]])
    path = tmp_path / "traces.jsonl"
    path.write_bytes(gzip.compress(raw)[:-9] if packed else raw[:-9])
    found = list(TraceFile(path))
    assert [one.session_id for one in found if isinstance(one, Recording)][:2] == ["s0\u2028", "s1\u2028"]
    errors = [str(one) for one in found if isinstance(one, RecordingError)]
    assert ["line 2: it is not UTF-8" in errors[0], "line 3: expected OTLP" in errors[1]] == [True, True]
    assert any(("gzip stream" if packed else "line 5: it is no JSON") in one for one in errors[2:])
    config = tmp_path / "router.toml"
    config.write_text(CONFIGURATION)
    ran = CliRunner().invoke(app, ["replay", "--from-otlp", str(path), "--config", str(config)])
    assert (ran.exit_code, "could not be replayed" in ran.output) == (1, True)


def span(name: str = "session_router.route", **attributes: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    told = [{"key": key.replace("__", "."), "value": {kinds[type(value)]: value}} for key, value in attributes.items()]
    return {"name": name, "startTimeUnixNano": "1", "attributes": told}


def file_of(path: Path, *spans: Any) -> TraceFile:
    path.write_text(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}, 3, {"scopeSpans": "x"}]}))
    return TraceFile(path)


@pytest.mark.parametrize(("read", "written"), RESTATED["COUNTED"])
def test_tokens_are_read_by_either_convention(tmp_path: Path, read: str, written: str) -> None:
    asked = span(session__id="s", session_router__turn__index=1, session_router__tokens=90)
    answered = span("ask", session__id="s", **{read.replace(".", "__"): 100, written.replace(".", "__"): 7})
    (found,) = file_of(tmp_path / "x.json", asked, answered)
    assert isinstance(found, Recording)
    usage = found.messages[-1].usage
    assert usage is not None
    assert (usage.input, usage.output) == (100, 7)


def test_decisions_without_a_session_are_counted(tmp_path: Path) -> None:
    found = list(file_of(tmp_path / "x.json", span(), span(session__id=""), span("chat")))
    assert ["2 decisions" in str(one) for one in found if isinstance(one, RecordingError)] == [True, False]


@pytest.mark.parametrize(
    "odd",
    [
        {"session_router__turn__index": "x"},
        {"session_router__turn__index": -1, "session_router__tokens": -5},
        {"session_router__tokens": 10**30},
        {"session_router__scores": 1.0, "session_router__candidates": "fast"},
        {},
    ],
)
def test_odd_values_count_as_unknown(tmp_path: Path, odd: dict[str, Any]) -> None:
    (found,) = file_of(tmp_path / "x.json", span(session__id="s", **odd))
    assert isinstance(found, Recording)
    assert [message.step.role for message in found.messages] == [Role.SYSTEM, Role.AI]
    assert found.needs == {}


def test_agents_of_one_thread_are_sessions_of_their_own(tmp_path: Path) -> None:
    spans = [span(session__id="s", gen_ai__agent__name=name, session_router__turn__index=1) for name in ("a", "b", "a")]
    found = list(file_of(tmp_path / "x.json", *spans))
    assert [one.session_id for one in found if isinstance(one, Recording)] == ["s/a", "s/b"]
