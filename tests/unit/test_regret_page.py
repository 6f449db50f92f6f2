from __future__ import annotations

import json
import re
import sys
from copy import deepcopy
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from session_router.core.governance import Level, Tag
from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Need
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices
from session_router.errors import MissingExtra
from session_router.recordings import RecordedMessage, Recording
from session_router.regret import Evaluation, page
from session_router.regret.axis import Axis
from session_router.regret.frontier_chart import BOTTOM, LEFT, RIGHT, TOP, frontier_chart
from session_router.regret.page import render
from session_router.regret.timeline_chart import CALLS_A_STRIP, MOST_CALLS, timeline_chart
from session_router.regret.written import dollars
from session_router.replay import Pace, replay_session
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from values import ai, human, tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.need import Question
    from session_router.regret import SessionCosts, Terms
    from session_router.regret.frontier_chart import FrontierChart
    from session_router.replay import ReplayedCall

SMALL, LARGE = ModelName("small"), ModelName("large")
CACHE = PromptCache(minimum_tokens=0)
MODELS = {
    SMALL: ModelSpec(model="x", prices=Prices(input=1, output=4, cached_input=0.1), prompt_cache=CACHE),
    LARGE: ModelSpec(model="y", prices=Prices(input=10, output=40, cached_input=1), prompt_cache=CACHE),
}
FREE = {name: ModelSpec(model="x", prices=Prices(input=0, output=0)) for name in MODELS}


class Varies:
    """Finds every third turn hard for the small model, or knows nothing at all."""

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        if not self.knows:
            raise RuntimeError
        return {name: Need(p_success=0.99 if name == LARGE or question.turn % 3 else 0.5) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def session(name: str = "s", *, turns: int = 4, loop: int = 2, **fields: Any) -> Recording:
    steps: list[Any] = []
    for turn in range(turns):
        steps.append(human(f"question {turn}", tokens=2_000))
        for number in range(loop):
            steps += [ai(f"{turn}.{number}", by=None, tokens=100), tool(f"{turn}.{number}", tokens=500)]
        steps.append(ai(by=None, tokens=300))
    return Recording(session_id=name, messages=tuple(RecordedMessage(step=step) for step in steps), **{"source": "shop", **fields})


def report_of(*sessions: Recording, knows: bool = True, stake: float = 0.3, handoff: float = 0.001, **options: Any) -> dict[str, Any]:
    router = Router(
        dict(options.pop("models", MODELS)),
        scorer=Varies(knows=knows),
        policy=Policy(stake=stake, handoff=handoff, unlabelled=Tag(level=Level.PUBLIC)),
        store=MemorySessionStore(),
        key=b"k" * 32,
    )
    evaluation = Evaluation(router, pace=Pace(), **options)
    for one in sessions:
        evaluation.add(list(replay_session(one, router)))
    return evaluation.report().to_plain()


SESSIONS = (session("first"), session("second", turns=7, source="bank"), session("third", turns=1, source="bank"))
REPORT = report_of(*SESSIONS)


class Page(HTMLParser):
    """What a browser sees: tags with the names of their attributes, words, rows of tables, and tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.unmatched: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.unmatched += self._open

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._open[-1:] == [tag]:
            self._open.pop()
        else:
            self.unmatched.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def drawings(text: str) -> list[ET.Element]:
    """Return the drawings of a page; raises where one is not well-formed XML."""
    return [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314 -- our own page


def drawn(text: str, kind: str) -> list[ET.Element]:
    """Return what is drawn of a kind, keys left out."""
    charts = [drawing for drawing in drawings(text) if drawing.get("role") == "img"]
    return [one for drawing in charts for one in drawing.iter() if kind in one.get("class", "").split()]


def test_the_figures_are_on_the_page() -> None:
    total = REPORT["total"]
    shown = Page(render(REPORT))
    router = total["routings"]["session-router"]
    assert router["regret"] > 0
    assert f"{router['ratio']:.4f} \N{MULTIPLICATION SIGN}" in shown.words
    assert f"{dollars(router['regret'])}regret" in shown.words
    assert f"3 sessions, 12 segments, 36 calls, a lock at {total['locked_calls']} of them" in shown.words
    rows = {row[0]: row[1:] for row in shown.rows}
    for name, bill in total["routings"].items():
        assert rows[name][5].rstrip("†") == f"{bill['ratio']:.4f}"
        assert [int(cell) for cell in rows[name][-3:]] == [bill["switches"], bill["unsafe_switches"], bill["impossible"]]
    for source in REPORT["sources"]:
        assert rows[source["source"]][:2] == [str(source["sessions"]), str(source["calls"])]
    worst = REPORT["worst_sessions"]
    assert [row[0].split()[0] for row in shown.rows[-len(worst) :]] == [one["session_id"] for one in worst]


def test_the_page_names_the_best_fair_routing() -> None:
    report = deepcopy(REPORT)
    bills = report["total"]["routings"]
    for place, bill in enumerate(bills.values()):
        bill.update(total=10.0 + place, unsafe_switches=0)
    assert "nearest to the optimum is session-router." in Page(render(report)).words
    bills["session-router"]["unsafe_switches"] = 1
    bills["sticky"]["total"] = bills["single turn"]["total"]
    assert "nearest to the optimum is, with equal sums, single turn and sticky." in Page(render(report)).words


def test_the_page_says_what_was_measured() -> None:
    def known(_: Any) -> dict[ModelName, float]:
        return {SMALL: 0.6, LARGE: 0.9}

    modelled, unknown = Page(render(REPORT)).words, Page(render(report_of(*SESSIONS, knows=False))).words
    measured = Page(render(report_of(*SESSIONS, chances_of=known, chances_measured=True))).words
    assert "Modelled: the token counts of 36 calls, cached tokens everywhere" in modelled
    assert ["a scorer predicted" in words for words in (modelled, measured, unknown)] == [True, False, False]
    assert ["Measured: the chances." in words for words in (modelled, measured, unknown)] == [False, True, False]
    assert ["nobody scored the chances" in words for words in (modelled, measured, unknown)] == [False, False, True]


def test_the_page_says_what_it_leaves_out() -> None:
    def shown(**left_out: Any) -> str:
        return Page(render(REPORT | {"left_out": {"interrupted": None, "unread_sessions": 0} | left_out})).words

    assert "Not the whole file" not in shown()
    assert "this was interrupted in the session of line 7, and the figures cover the sessions before." in shown(
        interrupted="in the session of line 7"
    )
    assert ["1 session could not be replayed." in shown(unread_sessions=number) for number in (0, 1)] == [False, True]


def test_the_page_is_whole_and_needs_nothing_else() -> None:
    text = render(REPORT)
    shown = Page(text)
    assert shown.unmatched == []
    assert len(drawings(text)) > 2
    tags, attributes = {tag for tag, *_ in shown.tags}, {name for _, *names in shown.tags for name in names}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "base", "form", "a"})
    assert attributes.isdisjoint({"src", "href", "xlink:href", "action", "srcset"})
    assert re.findall(r"url\((.*?)\)|@import|https?:", text) == ["#hatch"]
    # The same questions find what is wrong where something is.
    assert Page(text.replace("</div>", "", 1)).unmatched != []
    with pytest.raises(ET.ParseError):
        drawings(text.replace("</g>", "", 1))


def test_the_same_report_gives_the_same_page() -> None:
    assert render(REPORT) == render(report_of(*SESSIONS)) == render(json.loads(json.dumps(REPORT)))
    assert render(REPORT) != render(report_of(*SESSIONS, stake=0.2))


def problems(text: str, ordinary: str) -> list[str]:
    """Say where a page differs in structure from one with ordinary names, and what no encoding and no reader of XML takes."""
    shown = Page(text)
    found = ["other tags"] if shown.tags != Page(ordinary).tags else []
    found += ["tags that do not match"] if shown.unmatched else []
    try:
        drawings(text.encode().decode())
    except (ET.ParseError, UnicodeEncodeError) as error:
        found.append(repr(error))
    return found


def page_with(name: str) -> str:
    """Return a page on which everything that somebody else named is called `name`."""
    names = {"first": name, "shop": name, "written": name, "small": name, "large": f"{name}2"}

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed(key): renamed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [renamed(one) for one in value]
        if isinstance(value, str) and value.startswith("always "):
            return f"always {names[value.removeprefix('always ')]}"
        return names.get(value, value) if isinstance(value, str) else value

    return render(renamed(NAMED))


NAMED = report_of(session("first", model="written"), SESSIONS[1], session="first")
HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></svg></style><iframe>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; &amp; ]]> <!--",
    "two\nlines\r\tand\x00\x1b[31m\x85\x9f",
    "\ud800 half \udc00",
    "\u202egnitirw \u2066",
    "\ufffe\uffff",
    "x" * 5_000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_words(name: str) -> None:
    text = page_with(name)
    assert problems(text, page_with("n" * len(name))) == []
    readable = re.sub(r"[^\n\r\t\x20-\x7e].*", "", name, flags=re.DOTALL)
    assert " ".join(readable.split())[:150] in Page(text).words
    assert len(text) < 2 * len(page_with("n" * 100))


@given(st.text(st.characters(), min_size=1, max_size=60))
@example("\x00\ud800<")
@settings(deadline=None, max_examples=50)
def test_no_name_changes_the_structure_of_the_page(name: str) -> None:
    assert problems(page_with(name), page_with("n" * len(name))) == []


def test_what_is_not_escaped_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "<script>alert(1)</script>\x00\ud800"
    text, ordinary = page_with(name), page_with("n" * len(name))
    assert "other tags" in problems(text.replace("&lt;", "<").replace("&gt;", ">"), ordinary)
    monkeypatch.setattr(page, "UNPRINTABLE", re.compile("$^"))
    assert problems(page_with("\x00"), page_with("n")) != []
    assert problems(page_with("\ud800"), page_with("n")) != []


def chart_of(report: Mapping[str, Any]) -> FrontierChart:
    chart = frontier_chart(report["total"], stake=report["stake"])
    assert not isinstance(chart, str)
    return chart


def test_cheaper_stands_left_and_better_stands_above() -> None:
    chart = chart_of(REPORT)
    for value, where in (("dollars", "x"), ("mean_chance", "y")):
        marks = sorted(chart.marks, key=lambda mark: getattr(mark, value))
        places = [round(getattr(mark, where), 3) for mark in marks]
        assert places == sorted(places, reverse=where == "y")
        assert len(set(places)) > 2
    assert all(LEFT < mark.x < RIGHT and TOP < mark.y < BOTTOM for mark in chart.marks)


def beyond(chart: FrontierChart) -> list[str]:
    """Name what costs less than the optimum at equal risk: it stands left of the line of equal sums."""
    found: list[str] = []
    for mark in chart.marks:
        for (x, above), (next_x, below) in pairwise(chart.level):
            if above <= mark.y < below and mark.x < x + (next_x - x) * (mark.y - above) / (below - above) - 1:
                found.append(mark.name)
    return found


def test_the_frontier_meets_the_optimum_and_no_fair_routing_gets_beyond_equal_sums() -> None:
    chart = chart_of(REPORT)
    optimum = next(mark for mark in chart.marks if mark.kind == "optimum")
    assert any(mark.kind == "step" and (mark.x, mark.y) == (optimum.x, optimum.y) for mark in chart.marks)
    assert min(abs(x - optimum.x) + abs(y - optimum.y) for x, y in chart.level) < 12
    assert len([mark for mark in chart.marks if chart.level[0][1] <= mark.y <= chart.level[-1][1]]) > 3
    assert beyond(chart) == []
    cheating = deepcopy(REPORT)
    cheating["total"]["frontier"]["routings"]["sticky"]["dollars"] *= 0.5
    assert beyond(chart_of(cheating)) == ["sticky"]


def perfect(call: ReplayedCall) -> dict[ModelName, float]:
    return {SMALL: 0.5 if call.decision.turn == 1 else 0.9, LARGE: 1.0}


@pytest.mark.parametrize("report", [REPORT, report_of(*SESSIONS, chances_of=perfect, stake=2.0)])
def test_along_the_dotted_line_dollars_and_risk_add_up_to_the_optimum(report: dict[str, Any]) -> None:
    chart = chart_of(report)
    weight = report["stake"] * report["total"]["segments"]
    sums = [chart.dollars.value(x) + weight * chart.shortfall.value(y) for x, y in chart.level]
    assert len(sums) > 3
    assert sums == pytest.approx([report["total"]["optimum"]["total"]] * len(sums))


def test_routings_in_one_place_share_a_label_and_labels_keep_apart() -> None:
    chart = chart_of(REPORT)
    labels = [mark.label for mark in chart.marks if mark.label]
    assert sorted(name for label in labels for name in label.text.split(", ")) == sorted(["optimum", *REPORT["total"]["routings"]])
    assert "sticky, always small" in [label.text for label in labels]
    assert len({(round(label.x), round(label.baseline)) for label in labels}) == len(labels)
    assert all(TOP < label.baseline < BOTTOM for label in labels)


def flips(costs: SessionCosts, _terms: Terms) -> list[ModelName]:
    return [(SMALL, LARGE)[index % 2] for index in range(len(costs.calls))]


def test_a_routing_that_breaks_locks_is_drawn_otherwise() -> None:
    text, fair = render(report_of(*SESSIONS, routings={"flips": flips})), render(REPORT)
    assert [len(drawn(one, "unfair")) for one in (text, fair)] == [1, 0]
    for words in ("breaks locks or leaves", "† It breaks locks"):
        assert [words in Page(one).words for one in (text, fair)] == [True, False]
    assert [[row[0] for row in Page(one).rows if any(cell.endswith("†") for cell in row)] for one in (text, fair)] == [
        ["flips", "shop", "bank"],
        [],
    ]


def test_the_timeline_shows_every_call_its_model_and_its_locks() -> None:
    told = REPORT["session"]
    text = render(REPORT)
    cells = [one.get("class") for one in drawn(text, "cell")]
    assert cells == [
        f"cell m{REPORT['models'].index(call['routings'][name]['model'])}"
        for name in ("session-router", "optimum")
        for call in told["timeline"]
    ]
    assert len(set(cells)) == 2
    notes = [one.text or "" for drawing in drawings(text) for one in drawing.iter("title")]
    assert sum("lock: tool results unread" in note for note in notes) == 2 * told["locked_calls"] > 0
    width = float(drawn(text, "cell")[0].get("width", ""))
    assert sum(float(one.get("width", "")) for one in drawn(text, "lock")) == pytest.approx(width * told["locked_calls"], abs=1)
    assert "calls 2 to 3: tool results unread" in notes
    assert "!" not in "".join(one.text or "" for one in drawn(text, "flag"))


def test_the_lines_end_at_what_the_bills_say() -> None:
    told = REPORT["session"]
    chart = timeline_chart(REPORT)
    assert chart is not None
    router, optimum = (lane.sums for lane in chart.strips[-1].lanes)
    assert chart.most == pytest.approx(told["routings"]["session-router"]["total"])
    assert (1 - router[-1][1]) * chart.most == pytest.approx(told["routings"]["session-router"]["total"])
    assert (1 - optimum[-1][1]) * chart.most == pytest.approx(told["optimum"]["total"])


def test_a_long_session_is_drawn_in_strips_up_to_a_limit() -> None:
    report = deepcopy(REPORT)
    calls = report["session"]["timeline"]
    for length, strips, left_out in ((CALLS_A_STRIP, 1, 0), (CALLS_A_STRIP + 1, 2, 0), (MOST_CALLS + 7, MOST_CALLS // CALLS_A_STRIP, 7)):
        report["session"]["timeline"] = [calls[index % len(calls)] for index in range(length)]
        chart = timeline_chart(report)
        assert chart is not None
        assert (len(chart.strips), chart.left_out) == (strips, left_out)
        assert sum(len(strip.lanes[1].cells) for strip in chart.strips) == length - left_out
        # Each strip adds to the one before it.
        assert [strip.lanes[0].sums[-1][1] for strip in chart.strips[:-1]] == [strip.lanes[0].sums[0][1] for strip in chart.strips[1:]]
        assert ("Not drawn: the last 7 calls." in Page(render(report)).words) == bool(left_out)


def test_calls_that_went_wrong_are_flagged() -> None:
    report = deepcopy(REPORT)
    first, second = report["session"]["timeline"][:2]
    first["routings"]["session-router"].update(model=None, impossible=True)
    second["routings"]["session-router"].update(switched=True, unsafe=True)
    text = render(report)
    assert [one.text for one in drawn(text, "flag")] == ["\N{MULTIPLICATION SIGN}", "!"]
    assert len(drawn(text, "nobody")) == 1
    assert ["an unsafe switch" in Page(one).words for one in (text, render(REPORT))] == [True, False]


EMPTY = report_of()
ALL_REFUSED = {**EMPTY, "total": {**EMPTY["total"], "refused_calls": 2}}


@pytest.mark.parametrize(
    ("report", "sentence", "charts"),
    [
        (EMPTY, "nothing to compare", 0),
        (ALL_REFUSED, "2 calls left out", 0),
        (report_of(session(turns=1, loop=0)), "1 session, 1 segment, 1 call,", 2),
        (report_of(*SESSIONS, knows=False), "Nobody scored the chance", 1),
        (report_of(*SESSIONS, models=FREE, stake=0.0), "No call costs anything", 1),
        (report_of(*SESSIONS, models=FREE, stake=0.0), "there is no ratio", 1),
        (report_of(*SESSIONS, models={LARGE: MODELS[LARGE]}), "there is nothing to draw", 1),
        (report_of(*SESSIONS, stake=0.0), "36 calls", 2),
        (report_of(*SESSIONS, session="of another file"), "There is no session to show.", 1),
    ],
)
def test_where_there_is_nothing_to_draw_a_sentence_says_so(report: dict[str, Any], sentence: str, charts: int) -> None:
    text = render(report)
    shown = Page(text)
    assert sentence in shown.words
    assert shown.unmatched == []
    assert len([one for one in drawings(text) if one.get("role") == "img"]) == charts
    assert "nan" not in text
    assert "inf" not in re.sub(r"<style>.*?</style>", "", shown.words)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page._template.cache_clear()
    with pytest.raises(MissingExtra, match=r"jinja2.*session-router\[cli\]"):
        render(REPORT)


AMOUNTS = st.floats(min_value=0, max_value=1e6).filter(lambda value: value == 0 or value > 1e-9)


@given(values=st.lists(AMOUNTS, min_size=1, max_size=12), backwards=st.booleans())
def test_an_axis_keeps_the_order_and_shows_everything(values: list[float], *, backwards: bool) -> None:
    start, end = (500.0, 100.0) if backwards else (100.0, 500.0)
    axis = Axis.over(values, start=start, end=end)
    places = [axis.at(value) for value in sorted(values)]
    assert places == sorted(places, reverse=backwards)
    assert all(100 < place < 500 for place in places)
    assert all(axis.value(axis.at(value)) == pytest.approx(value, rel=1e-6, abs=1e-6 * max(values)) for value in values)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 17
    assert ticks == sorted(set(ticks))
    assert all(100 - 1e-6 <= axis.at(tick) <= 500 + 1e-6 for tick in ticks)


def test_rounding_does_not_fill_an_axis() -> None:
    axis = Axis.over([0.3, 0.1 + 0.2], start=100, end=500)
    assert axis.at(0.3) == pytest.approx(axis.at(0.1 + 0.2)) == pytest.approx(300)
    assert Axis.over([0.3, 0.301], start=100, end=500).at(0.3) < 150


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([0.5, 5.0], [0.5, 1, 2, 5]),
        ([1e-3, 10.0], [1e-3, 0.01, 0.1, 1, 10]),
        ([3.0], [2.8, 2.9, 3.0, 3.1, 3.2]),
    ],
)
def test_ticks_are_round(values: list[float], ticks: list[float]) -> None:
    assert Axis.over(values, start=0, end=1).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.0312204, "$0.0312"),
        (-0.5, "\N{MINUS SIGN}$0.500"),
        (1e-15, "$0.000000000000"),
        (-1e-15, "$0.000000000000"),
    ],
)
def test_dollars_show_three_digits(value: float, text: str) -> None:
    assert dollars(value) == text
