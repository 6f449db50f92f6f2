"""Cedar policies of a configuration are asked about every request that is about to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cedarpy
import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from session_router import MemorySessionStore, load_router
from session_router.errors import ConfigurationError, MissingExtra, NoClearedModel
from session_router_langchain import SessionRouterChatModel, SessionRouterMiddleware
from session_router_langchain.tagging import tagged_tool
from support.agents import CHAT, CLAUDE, RestlessScorer, Stage, agent_of, asks, call
from support.pages import run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from session_router import Router

MARK = "CANARY-7"
SEES = 'clearance = {max_level = "confidential", categories = ["phi"], trains = false}'
CONFIGURATION = f"""
[policy]
stake = 1.0
margin = 0.0
RULES
sources = {{system = {{}}, human = {{}}, tool = {{}}, schemas = {{}}}}
[models.{CHAT}]
prices = {{input = 1.0, output = 4.0}}
{SEES}
[models.{CLAUDE}]
prices = {{input = 1.0, output = 4.0}}
{SEES}
"""
PERMIT = 'permit (principal, action == Action::"see", resource);\n'
PHI_STAYS = f"""{PERMIT}
forbid (principal, action, resource) when {{ resource.categories.contains("phi") && principal == Model::"{CHAT}" }};
"""
ERRS = PERMIT + "forbid (principal, action, resource) when { principal.retention_seconds > 0 };"
"""No model's clearance states a retention: Cedar itself would leave this policy out, and allow."""

CONFIG: Any = {"configurable": {"thread_id": "a"}}


@tagged_tool(level=2, categories={"phi"})
def read_patient(number: int) -> str:
    """Read a patient's file."""
    return f"{MARK}: the file of patient {number}"


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., Any]:
    def configured(stage: Stage, rules: str | None, *, more: str = "", **settings: Any) -> Router:
        path = tmp_path / "router.toml"
        stated = "" if rules is None else 'rules = "rules.cedar"'
        path.write_text(CONFIGURATION.replace("RULES", f"{stated}\n{more}"), encoding="utf-8")
        (tmp_path / "rules.cedar").write_text(rules or "", encoding="utf-8")
        models = {CHAT: stage.chat(), CLAUDE: stage.claude(thinking=None)}
        return load_router(path, models=models, scorer=RestlessScorer(start=0), store=MemorySessionStore(), environment={}, **settings)

    return configured


async def talk(stage: Stage, router: Router, *texts: str) -> list[Any]:
    stage.witness.script = {"file": [asks(call("read_patient", number=7)), "The file is there."]}
    subject = agent_of(stage, router=SessionRouterMiddleware(router, principal="ada"), tools=[read_patient], checkpointer=InMemorySaver())
    for text in texts:
        await subject.ainvoke({"messages": [HumanMessage(text)]}, CONFIG)
    messages: list[Any] = subject.get_state(CONFIG).values["messages"]
    return messages


def leaks(stage: Stage) -> int:
    return sum(MARK in repr(prompt.turns) for prompt in stage.witness.prompts if prompt.model.startswith("sim-chat"))


TEXTS = ("hello", "the file please", "hello again", "and again")


async def test_what_a_policy_forbids_does_not_reach_the_model(astage: Stage, configured: Any) -> None:
    await talk(astage, configured(astage, PHI_STAYS), *TEXTS)
    assert leaks(astage) == 0
    assert {prompt.model for prompt in astage.witness.prompts} == {"sim-chat", "sim-claude"}
    assert any(MARK in repr(prompt.turns) for prompt in astage.witness.prompts)


@pytest.mark.parametrize("rules", [None, PERMIT])
async def test_without_that_policy_the_same_talk_leaks(astage: Stage, configured: Any, rules: str | None) -> None:
    await talk(astage, configured(astage, rules), *TEXTS)
    assert leaks(astage) > 0


@pytest.mark.parametrize("rules", [ERRS, 'permit (principal == Model::"nobody", action, resource);'])
async def test_what_errs_or_is_not_permitted_goes_nowhere(astage: Stage, configured: Any, rules: str) -> None:
    with pytest.raises(NoClearedModel, match="Cedar"):
        await talk(astage, configured(astage, rules), "hello")
    with pytest.raises(NoClearedModel, match="Cedar"):
        SessionRouterChatModel(router=configured(astage, rules), principal="ada").invoke("hello")
    assert astage.witness.prompts == []


async def test_a_cedar_that_fails_lets_nothing_pass(astage: Stage, configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    router = configured(astage, PERMIT)

    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cedarpy, "is_authorized", fails)
    with pytest.raises(NoClearedModel, match=r"Cedar failed \(MemoryError\)"):
        await talk(astage, router, "hello")
    assert astage.witness.prompts == []


async def test_rules_do_not_permit_what_a_clearance_forbids(astage: Stage, configured: Any) -> None:
    router = configured(astage, PERMIT, more='unlabelled = {level = "restricted"}')
    with pytest.raises(NoClearedModel, match="level restricted is above"):
        await (
            SessionRouterChatModel(router=router, principal="ada")
            .bind_tools([read_patient])
            .ainvoke([HumanMessage("hello", additional_kwargs={"session_router_tag": {"level": "broken"}})])
        )
    assert astage.witness.prompts == []


async def test_a_smaller_request_is_asked_about_as_well(astage: Stage, configured: Any) -> None:
    router = configured(astage, PHI_STAYS, more='on_denied = ["withhold"]')
    router.models = {CHAT: router.models[CHAT]}
    history = await talk(astage, router, *TEXTS)
    assert leaks(astage) == 0
    assert "withheld" in repr(astage.witness.prompts[-1].turns)
    assert history[-1].text


async def test_decisions_name_the_rule_and_the_version(astage: Stage, configured: Any) -> None:
    seen: list[Any] = []

    class Watch:
        def on_decision(self, decision: Any) -> None:
            seen.append(decision)

        def on_outcome(self, *_: Any) -> None: ...

    router = configured(astage, PHI_STAYS, observers=(Watch(),))
    await talk(astage, router, "the file please")
    excluded = {one.model: one.excluded for one in seen[-1].evidence.candidates}
    assert excluded[CHAT].startswith("forbidden by Cedar: policy")
    assert {one.policy for one in seen} == {router.policy.version}
    assert configured(astage, PERMIT).policy.version != router.policy.version


@pytest.mark.parametrize(
    ("rules", "told"), [("permit (", "they cannot be read"), ("", "nothing is permitted"), (None, "name a file with Cedar policies")]
)
def test_policies_that_cannot_be_used_are_told(stage: Stage, configured: Any, tmp_path: Path, rules: str | None, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        configured(stage, rules, more="" if rules is not None else 'rules = "nowhere.cedar"')
    assert (caught.value.key, caught.value.source) == ("policy.rules", str(tmp_path / "router.toml"))


def test_without_cedarpy_the_extra_is_named(stage: Stage, configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    load = importlib.import_module

    def missing(name: str, *rest: Any) -> Any:
        if name == "cedarpy":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"session-router\[cedar\]"):
        configured(stage, PERMIT)


def test_check_policy_tells_what_cedar_forbids(stage: Stage, configured: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    router = configured(stage, PHI_STAYS)
    monkeypatch.setenv("COLUMNS", "200")
    for name in router.models:
        monkeypatch.setenv(f"SESSION_ROUTER__MODELS__{name.upper()}__MODEL", "openai:gpt-5-mini")
    code, shown = run_command(f"session-router check-policy {tmp_path / 'router.toml'}")
    assert code == 0, shown
    assert "forbidden by Cedar" in next(line for line in shown.splitlines() if "phi" in line)
