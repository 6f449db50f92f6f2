"""The README and the documentation are run, and what they list is what there is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

import session_router
import session_router_langchain
import session_router_langgraph
import session_router_otel
from session_router import Prices, Router, errors, ports
from session_router.core.binding import BindingKind
from session_router.core.boundary import LockKind
from session_router.core.cached import CacheMiss, MissReason
from session_router.core.decision import Action, Candidate, Evidence, Reason
from session_router.core.exposure import Exposure
from session_router.core.governance import Level, Tag
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.need import Alarm
from session_router.core.offer import Offer
from session_router.core.pricing import USD
from session_router.core.risk import Certificate
from session_router.core.segment import Forecast
from session_router.core.switching import Standing
from session_router.core.upgrades import Upgrades, Watched
from session_router.recordings import recording_from_openai
from session_router.replay import Pace, replay_session
from support.pages import OUTPUT, ROOT, Block, blocks_of, matches, pages, run_page
from support.settings_table import setting_rows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import StrEnum
    from pathlib import Path

DOCS = ROOT / "docs"
DECISIONS = DOCS / "reference" / "decisions.md"
LANGUAGES = {"python", "text", "console", "toml", "yaml", "mermaid"}
MAXIMUM_NOT_RUN = 8
"""Blocks that install packages, cost money, set secrets, or replace a part of the package."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in pages() if blocks_of(page)], ids=named)
def test_page_runs_and_prints_what_it_shows(page: Path, tmp_path: Path) -> None:
    wrong = [f"{one.block} shows\n{one.shown}\nand there was\n{one.really}" for one in run_page(page, tmp_path) if not one.true]
    assert not wrong, "\n\n".join(wrong) + "\nRun tools/refresh_docs.py, and read what changed."


def test_no_block_escapes() -> None:
    blocks = [block for page in pages() for block in blocks_of(page)]
    assert {block.language for block in blocks} <= LANGUAGES
    assert sum(block.language == "python" for block in blocks) > 40
    skipped = [block for block in blocks if block.not_run]
    assert len(skipped) <= MAXIMUM_NOT_RUN, [f"{block}: {block.not_run}" for block in skipped]
    assert not [str(block) for block in skipped if block.language != "console"]
    for page in pages():
        # A fence that the pattern of `blocks_of` does not see would not be run.
        assert len(re.findall(r"^\s*(?:`{3,}|~{3,})", page.read_text(encoding="utf-8"), re.MULTILINE)) == 2 * len(blocks_of(page)), page


def test_every_output_follows_python() -> None:
    for page in pages():
        before: Block | None = None
        for block in blocks_of(page):
            if block.language == "text" and block.title == OUTPUT:
                assert before is not None
                assert before.language == "python", block
                assert block.code.strip(), f"{block} shows nothing"
            before = block


def test_shortened_output_still_bites() -> None:
    assert matches("a\n...\nc\n", "a\nb\nb\nc\n")
    assert matches("...\nc\n", "c \n\n")
    assert not matches("a\n...\nc\n", "a\nb\n")
    assert not matches("a\nb\n", "a\nb\nc\n")


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 10
    assert not [link for link in links if not (ROOT / link).is_file()]


def test_every_page_is_in_the_navigation() -> None:
    navigation = re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(navigation) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_every_setting_is_documented() -> None:
    text = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    documented = [tuple(map(str.strip, line.strip("|").split("|"))) for line in text.splitlines() if line.startswith("| `")]
    assert sorted(row[:4] for row in documented) == sorted(setting_rows())
    assert all(len(row) == 5 and row[4] for row in documented)


@pytest.mark.parametrize(("heading", "words"), [("Actions", Action), ("Reasons", Reason), ("Locks", LockKind)])
def test_every_decision_is_documented(heading: str, words: type[StrEnum]) -> None:
    assert first_column(DECISIONS, heading) == [word.value for word in words]


def test_every_kind_of_binding_is_documented() -> None:
    page = DOCS / "explanation" / "portability.md"
    assert sorted(first_column(page, "What is stripped, rewritten, refused")) == sorted(kind.value for kind in BindingKind)


def test_every_key_of_the_evidence_is_documented() -> None:
    name, dollar = ModelName("fast"), USD(1.0)
    offer = Offer(model=name, ingest=dollar, loop=dollar, risk=dollar, handoff=dollar, afterwards=dollar, refresh=dollar, arrival=dollar)
    certificate = Certificate(reference=name, least_chance=0.5, under_served=1, segments=9, bound=0.1, delta=0.1)
    full = Candidate(
        model=name,
        excluded="why",
        uncleared=True,
        unportable=True,
        unhealthy=True,
        cached=1,
        cost=dollar,
        p_success=1.0,
        certificate=certificate,
        offer=offer,
    )
    forecast = Forecast(calls=1.0, pairs=0.0, growth=0.0, output=0.0)
    ledger = Ledger(anchor=name, spent=dollar, unmoved=dollar)
    standing = Standing(
        current=name, trusted=True, since_switch=1, ledger=ledger, unmoved=dollar, reserve=dollar, work={name: dollar}, quiet=1
    )
    evidence = Evidence(
        candidates=(full,),
        tag="t",
        narrowed="withhold",
        exposures=(Exposure(model=name, tag=Tag(level=Level.INTERNAL), until=None),),
        blocked_by=("b",),
        degraded=("d",),
        waited=1.0,
        healthy_in=1.0,
        forecast=forecast,
        standing=standing,
        alarm=Alarm(window="first half", jump=0.6, limit=0.3),
        upgrades=Watched(asked_for=name, costs={name: dollar}, session=Upgrades()),
        spent=(dollar, dollar),
        cache=CacheMiss(reason=MissReason.NOTHING),
    ).to_plain()
    own = {*first_column(DECISIONS, "Evidence")}
    assert own == {*evidence, *full.to_plain()} - {"model", "uncleared", "unportable", "unhealthy"}
    section = section_of(DECISIONS, "Evidence")
    assert all(f"`{key}`" in section for key in (*full.to_plain(), *forecast.to_plain(), *standing.to_plain(), *certificate.to_plain()))


def test_every_key_of_a_row_is_documented() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    recording = recording_from_openai({"session_id": "s", "messages": messages})
    router = Router({"fast": "openai:gpt-5-mini"}, prices={"fast": Prices(input=1.0, output=1.0)})
    row = next(iter(replay_session(recording, router, pace=Pace()))).to_plain()
    assert set(first_column(DOCS / "reference" / "command-line.md", "Rows")) == {*row, "stored"}
    assert json.loads(json.dumps(row)) == row


def test_every_attribute_of_a_route_span_is_documented() -> None:
    schema = json.loads((ROOT / "integrations" / "session_router_otel" / "schema.json").read_text(encoding="utf-8"))
    rows = {
        name: about
        for line in section_of(DOCS / "how-to" / "telemetry.md", "What a decision says").splitlines()
        if line.startswith("| `")
        for name, about in [[cell.strip(" `") for cell in line.strip("|").split("|")]]
    }
    assert rows == {name: told["description"] for name, told in schema["spans"]["session_router.route"]["properties"].items()}


def test_every_metric_is_documented() -> None:
    schema = json.loads((ROOT / "integrations" / "session_router_otel" / "schema.json").read_text(encoding="utf-8"))
    assert first_column(DOCS / "how-to" / "telemetry.md", "Metrics") == list(schema["metrics"])


def test_every_public_name_is_in_the_python_reference() -> None:
    text = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    documented = {line.rpartition(".")[2] for line in text.splitlines() if line.startswith(":::")}
    # Errors and ports are documented as whole modules.
    whole = {name for module in (errors, ports) for name in vars(module)}
    packages = (session_router, session_router_langchain, session_router_langgraph, session_router_otel)
    names = {name for package in packages for name in package.__all__}
    assert not names - documented - whole


def first_column(page: Path, heading: str) -> list[str]:
    """Return what stands in back quotes in the first cells of the table below `heading`."""
    return list(_cells(section_of(page, heading).splitlines()))


def _cells(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if line.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", line.split("|")[1].partition(":")[0])


def section_of(page: Path, heading: str) -> str:
    """Return the text below `heading`, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {heading!r}"
    return found[1]
