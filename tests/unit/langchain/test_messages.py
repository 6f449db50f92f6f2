"""Reading messages: once each, as they are, and nothing is kept of what is gone."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.tools import tool

from session_router import Policy
from session_router.core.boundary import Phase
from session_router.core.governance import PUBLIC, Clearance, Level, Tag
from session_router.core.label_row import tag_to_plain
from session_router.core.model import ModelName, ModelSpec
from session_router.core.pricing import Prices
from session_router.core.step import Role
from session_router.core.trail import Trail
from session_router.core.transcript import RECENT_TURNS
from session_router_langchain import messages as module
from session_router_langchain.facts import kept_facts_of
from session_router_langchain.messages import HeadReader, MessageReader, step_of, typed_texts
from session_router_langchain.tagging import TAG_KEY, labelled

if TYPE_CHECKING:
    from collections.abc import Iterator

PRICES = Prices(input=1.0, output=1.0)
SPECS = {
    ModelName("fast"): ModelSpec(prices=PRICES, provider_ids=frozenset({"gpt-5-mini"})),
    ModelName("strong"): ModelSpec(prices=PRICES, provider_ids=frozenset({"claude-opus-5"})),
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseMessage]]:
    """Every message that is read."""
    seen: list[BaseMessage] = []

    def counting(message: BaseMessage, *args: Any, **kwargs: Any) -> Any:
        seen.append(message)
        return step_of(message, *args, **kwargs)

    monkeypatch.setattr(module, "step_of", counting)
    return seen


def reader() -> MessageReader:
    return MessageReader(lambda: SPECS)


def asking(*ids: str, **fields: Any) -> AIMessage:
    return AIMessage(fields.pop("content", ""), tool_calls=[{"id": id_, "name": "weather", "args": {}} for id_ in ids], **fields)


def conversation(length: int) -> list[BaseMessage]:
    made: list[BaseMessage] = []
    for number in range(length):
        made += [
            HumanMessage(f"question {number}"),
            asking(f"c{number}"),
            ToolMessage("sunny", tool_call_id=f"c{number}"),
            AIMessage("Yes."),
        ]
    return made


class TestIncrementalReading:
    def test_each_message_is_read_once_as_a_history_grows(self, reads: list[BaseMessage]) -> None:
        history, one = conversation(20), reader()
        for end in range(1, len(history) + 1):
            one.read(list(history[:end]))
        assert [id(message) for message in reads] == [id(message) for message in history]
        assert len(one) == 1

    def test_another_reminder_at_the_end_of_every_call_reads_nothing_twice(self, reads: list[BaseMessage]) -> None:
        history, one = conversation(20), reader()
        reminders = [HumanMessage(f"reminder {number}") for number in range(0, len(history), 2)]
        for number, reminder in enumerate(reminders, start=1):
            assert one.read([*history[: 2 * number], reminder]).turn >= 1
        assert sorted(map(id, reads)) == sorted(map(id, [*history, *reminders]))

    def test_reading_bit_by_bit_gives_what_reading_at_once_gives(self) -> None:
        history, one = conversation(6), reader()
        for end in range(1, len(history) + 1):
            assert one.read(history[:end]) == reader().read(history[:end])

    def test_a_message_replaced_under_its_id_is_noticed(self) -> None:
        history, one = conversation(3), reader()
        for number, message in enumerate(history):
            message.id = f"m{number}"
        before = one.read(history)
        edited = [*history[:5], history[5].model_copy(update={"tool_calls": []}), *history[6:]]
        after = one.read(edited)
        assert after.prefix != before.prefix
        assert after == reader().read(edited)
        # And the other way round: what was read first is not mistaken for the second.
        assert one.read(history) == before

    def test_a_history_that_lost_its_beginning_or_its_end_is_read_as_it_is(self) -> None:
        history, one = conversation(5), reader()
        one.read(history)
        for part in (history[4:], history[:7], [history[0], *history[-2:]], history[::-1], []):
            assert one.read(part) == reader().read(part)

    def test_two_threads_that_share_a_beginning_stay_apart(self) -> None:
        shared, one = conversation(3), reader()
        left, right = [*shared, HumanMessage("left")], [*shared, HumanMessage("right")]
        for _ in range(3):
            assert one.read(left) == reader().read(left)
            assert one.read(right) == reader().read(right)

    def test_the_head_is_of_the_call_and_not_of_the_history(self) -> None:
        history, one, heads = conversation(2), reader(), HeadReader()
        first, second = heads.read(SystemMessage("one"), ()), heads.read(SystemMessage("two"), ())
        assert one.read(history, head=first).prefix != one.read(history, head=second).prefix
        assert one.read(history, head=first).steps is one.read(history, head=second).steps


class TestMemory:
    def test_nothing_is_kept_of_a_history_that_is_gone(self) -> None:
        one, history = reader(), conversation(4)
        for end in range(1, len(history) + 1):
            one.read(history[:end])
        dead = [weakref.ref(message) for message in history]
        del history
        gc.collect()
        assert len(one) == 0
        assert [ref() for ref in dead] == [None] * len(dead)

    def test_a_branch_that_is_gone_leaves_the_other(self) -> None:
        one, shared = reader(), conversation(2)
        left, right = [*shared, HumanMessage("left")], [*shared, HumanMessage("right")]
        one.read(left)
        one.read(right)
        gone = weakref.ref(left[-1])
        del left
        gc.collect()
        assert gone() is None
        assert len(one) == 2
        assert one.read(right) == reader().read(right)

    def test_a_tool_that_is_gone_is_forgotten(self) -> None:
        heads = HeadReader()

        def head_of_one() -> object:
            @tool
            def passing(city: str) -> str:
                """Pass."""
                return city

            return heads.read(None, [passing])

        assert head_of_one() is not None
        gc.collect()
        assert heads._read == {}

    def test_threads_read_at_the_same_time(self) -> None:
        one, shared = reader(), conversation(8)
        wrong: list[int] = []

        def read(number: int) -> None:
            for end in range(1, len(shared)):
                mine = [*shared[:end], HumanMessage(f"{number} {end}")]
                if one.read(mine) != reader().read(mine) or one.read(shared[:end]) != reader().read(shared[:end]):
                    wrong.append(number)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        shared.clear()
        gc.collect()
        assert len(one) == 0


def nested(depth: int) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": "deep"}
    for _ in range(depth):
        block = {"type": "text", "text": "deep", "extras": {"inner": block}}
    return block


class Unknown(BaseMessage):
    type: str = "from-the-future"


class TestHostileInput:
    def test_ten_megabytes_count_as_what_they_are(self) -> None:
        step = reader().read([HumanMessage("x" * 10_000_000)]).steps[0]
        assert step.tokens == pytest.approx(2_500_000, rel=0.01)

    @given(st.text(st.characters(exclude_categories=()), max_size=50), st.text(st.characters(exclude_categories=()), max_size=50))
    def test_any_text_has_a_digest_of_its_own(self, one: str, other: str) -> None:
        made = [reader().read([HumanMessage(text)]).steps[0].digest for text in (one, other)]
        assert (made[0] == made[1]) == (one == other)

    @pytest.mark.parametrize("text", ["\ud800", "a\udfff\ud800b", "\x00", "\u202e\u2066", "e\u0301" * 99])
    @pytest.mark.parametrize("make", [HumanMessage, AIMessage, SystemMessage, ToolMessage])
    def test_lone_surrogates_and_controls_pass(self, text: str, make: Any) -> None:
        for message in (make(content=text, tool_call_id=text), make(content=[{"type": "text", "text": text}], tool_call_id=text)):
            assert reader().read([message]).tokens > 0

    def test_content_that_is_nested_deeper_than_python_recurses(self) -> None:
        message = HumanMessage([nested(100)])
        message.content = [nested(5_000)]
        one = reader()
        assert one.read([message]).turn == 1
        assert one.read([message, AIMessage("Well.")]).steps[0] == one.read([message]).steps[0]

    def test_deep_content_that_was_replaced_is_noticed(self) -> None:
        deep = [HumanMessage("x"), HumanMessage("x")]
        for message in deep:
            message.content = [nested(5_000)]
        last, one = AIMessage("Well."), reader()
        for first in (*deep, *deep):
            assert one.read([first, last]).turn == 1

    def test_arguments_that_json_does_not_know(self) -> None:
        odd = asking("a")
        odd.tool_calls[0]["args"] = {"when": object(), "who": {1, 2}}
        assert reader().read([HumanMessage("x"), odd]).position.phase is Phase.ASKED

    @pytest.mark.parametrize(
        "message",
        [Unknown(content="?"), ChatMessage("?", role="critic"), FunctionMessage("?", name="f"), RemoveMessage(id="a")],
    )
    def test_an_unknown_type_changes_no_lock(self, message: BaseMessage) -> None:
        one = reader()
        history = [HumanMessage("x"), asking("a"), message]
        assert one.read(history).position.phase is Phase.ASKED
        assert one.read([*history, ToolMessage("y", tool_call_id="a")]).position.phase is Phase.ANSWERED

    def test_an_empty_history(self) -> None:
        assert reader().read([]).steps == Trail()


class TestPartialChunks:
    def test_a_chunk_at_the_end_is_partial_until_it_says_last(self) -> None:
        chunk = AIMessageChunk("", tool_call_chunks=[{"id": "a", "name": "weather", "args": "{}", "index": 0}])
        assert reader().read([HumanMessage("x"), chunk]).position.phase is Phase.PARTIAL
        whole = chunk + AIMessageChunk("", chunk_position="last")
        assert reader().read([HumanMessage("x"), whole]).position.phase is Phase.ASKED

    def test_a_chunk_that_something_follows_is_whole(self) -> None:
        chunk = AIMessageChunk("Yes.")
        assert reader().read([HumanMessage("x"), chunk, HumanMessage("y")]).steps[1].partial is False

    def test_a_partial_message_is_not_remembered(self) -> None:
        one, history = reader(), [HumanMessage("x"), AIMessageChunk("Ye")]
        one.read(history)
        assert one.read([*history, HumanMessage("y")]) == reader().read([*history, HumanMessage("y")])


RESULT = ToolMessage("y", tool_call_id="a")
IMAGE = {"type": "image", "base64": "aa"}
LOOK = {"type": "text", "text": "look"}


class TestInjectedMessages:
    @pytest.mark.parametrize(
        ("before", "message", "injected"),
        [
            (None, HumanMessage("typed"), False),
            (None, HumanMessage("told", additional_kwargs={"lc_source": "summarization"}), True),
            (RESULT, HumanMessage("typed"), False),
            (RESULT, HumanMessage([IMAGE]), True),
            (RESULT, HumanMessage([LOOK, IMAGE]), False),
            (AIMessage("Yes."), HumanMessage([IMAGE]), False),
        ],
    )
    def test_what_nobody_typed(self, before: BaseMessage | None, message: HumanMessage, injected: bool) -> None:
        step = None if before is None else step_of(before, SPECS)
        assert step_of(message, SPECS, before=step).injected is injected

    def test_the_typed_texts_are_those_that_a_human_typed(self) -> None:
        told = HumanMessage("told", additional_kwargs={"lc_source": "notification"})
        history = [HumanMessage("first"), AIMessage("Yes."), HumanMessage("second"), asking("a"), ToolMessage("y", tool_call_id="a"), told]

        def typed(messages: list[Any]) -> tuple[str, ...]:
            return typed_texts(messages, reader().read(messages))

        assert typed(history) == ("first", "second")
        approval = HumanMessage([{"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}, "yes"])
        assert typed([*history, approval]) == ("first", "second")
        assert typed([SystemMessage("s"), told]) == ()
        assert typed([]) == ()

    def test_only_the_last_turns_are_looked_up(self) -> None:
        history: list[BaseMessage] = []
        for number in range(RECENT_TURNS + 3):
            history += [HumanMessage(f"turn {number}"), AIMessage("Yes.")]
            found = typed_texts(history, reader().read(history))
            assert found == tuple(f"turn {one}" for one in range(max(0, number + 1 - RECENT_TURNS), number + 1))

    def test_tool_errors_are_counted_by_what_the_framework_says_of_them(self) -> None:
        failed = ToolMessage("a failure", tool_call_id="a", status="error")
        claims = ToolMessage("Error: a failure", tool_call_id="a")
        history = [HumanMessage("go"), asking("a"), failed, asking("a"), claims]
        assert reader().read(history).tool_errors == 1


class TestAuthors:
    @pytest.mark.parametrize(
        ("metadata", "author"),
        [
            ({}, None),
            ({"model_name": "gpt-5-mini"}, "fast"),
            ({"model": "gpt-5-mini"}, "fast"),
            ({"model_name": "gpt-5-mini-2026-08-07"}, "fast"),
            ({"model_name": "claude-opus-5-20261101"}, "strong"),
            ({"model_name": "gpt-5"}, "gpt-5"),
            ({"model_name": "gpt-5-mini-turbo"}, "gpt-5-mini-turbo"),
            ({"model_name": 7}, None),
            ({"session_router": {"model": "strong"}, "model_name": "gpt-5-mini"}, "strong"),
            ({"session_router": {"model": None}, "model_name": "gpt-5-mini"}, "fast"),
            ({"session_router": "foreign", "model_name": "gpt-5-mini"}, "fast"),
        ],
    )
    def test_by_stamp_by_id_and_by_dated_id(self, metadata: dict[str, Any], author: str | None) -> None:
        step = step_of(AIMessage("Yes.", response_metadata=metadata), SPECS)
        assert (step.role, step.author) == (Role.AI, author)

    @pytest.mark.parametrize(
        ("metadata", "author"),
        [
            ({"model_name": "gpt-5-mini"}, "gpt-5-mini"),
            ({"model_name": "gpt-5-mini-2026-08-07"}, "gpt-5-mini-2026-08-07"),
            ({"session_router": {"model": "eu"}, "model_name": "gpt-5-mini"}, "eu"),
        ],
    )
    def test_an_id_under_which_two_routes_answer_names_neither(self, metadata: dict[str, Any], author: str) -> None:
        specs = {**SPECS, ModelName("eu"): SPECS[ModelName("fast")]}
        assert step_of(AIMessage("Yes.", response_metadata=metadata), specs).author == author


@pytest.mark.parametrize("content", [None, 5, b"x", (), [None], [5], [["x"]], [b"x"], [{"type": "image"}, None]], ids=repr)
@pytest.mark.parametrize(
    "before", [(), (AIMessage("", tool_calls=[{"id": "c", "name": "n", "args": {}}]), ToolMessage("r", tool_call_id="c"))]
)
@pytest.mark.parametrize(
    "message", [HumanMessage("x"), AIMessage("x"), ToolMessage("x", tool_call_id="d"), SystemMessage("x")], ids=lambda one: one.type
)
def test_content_set_in_place_to_what_is_none_is_read_all_the_same(
    content: Any, before: tuple[BaseMessage, ...], message: BaseMessage
) -> None:
    """The provider's client says what is wrong with it; routing has nothing to add."""
    broken = message.model_copy()
    broken.__dict__["content"] = content
    history = [HumanMessage("why"), *before, broken, HumanMessage("and?")]
    for messages in (history, history[:-1], [broken]):
        transcript = reader().read(messages)
        assert len(transcript.steps) == len(messages)
        assert set(typed_texts(messages, transcript)) <= {"", "x", "why", "and?"}
    digests = [step_of(one, SPECS).digest for one in (broken, message)]
    assert digests[0] != digests[1]


def test_a_chunk_that_is_not_the_last_one_is_partial_whatever_was_read_before() -> None:
    """With something behind it the same chunk is whole: the history without that is another one."""
    one, chunk = reader(), AIMessageChunk("It is", response_metadata={"model_name": "gpt-5-mini"})
    history = [HumanMessage("What time is it?"), chunk, HumanMessage("Well?")]
    afresh = [reader().read(history[:length]) for length in (2, 3)]
    assert [transcript.position.phase for transcript in afresh] == [Phase.PARTIAL, Phase.OPEN]
    for length in (3, 2, 3, 2):
        assert one.read(history[:length]) == afresh[length - 2]


class TestChangedInPlace:
    """Where models have clearances, a message that somebody changes in place is read again, and keeps the label that it bore."""

    SECRET, INTERNAL = Tag(level=Level.RESTRICTED), Tag(level=Level.INTERNAL)

    @pytest.mark.parametrize("governed", [True, False])
    def test_what_a_message_says_is_kept_once_and_only_where_somebody_is_cleared(
        self,
        monkeypatch: pytest.MonkeyPatch,
        governed: bool,
    ) -> None:
        kept: list[BaseMessage] = []

        def counted(message: BaseMessage) -> Any:
            kept.append(message)
            return kept_facts_of(message)

        monkeypatch.setattr(module, "kept_facts_of", counted)
        specs = {name: replace(spec, clearance=Clearance() if governed else None) for name, spec in SPECS.items()}
        one, messages = MessageReader(lambda: specs), conversation(30)
        for length in range(1, len(messages) + 1):
            one.read(messages[:length])
        assert kept == (messages if governed else [])

    def reader(self) -> MessageReader:
        specs = {name: replace(spec, clearance=Clearance()) for name, spec in SPECS.items()}
        return MessageReader(lambda: specs, Policy(sources={"human": PUBLIC, "tool": PUBLIC}))

    def history(self) -> list[BaseMessage]:
        asked = AIMessage(
            [{"type": "text", "text": "let me see"}], tool_calls=[{"name": "read", "args": {"number": {"of": 7}}, "id": "c1"}]
        )
        said = [HumanMessage("hi"), asked, labelled(ToolMessage("the file", tool_call_id="c1"), self.SECRET)]
        said.append(
            AIMessage("there", invalid_tool_calls=[{"name": "read", "args": "{", "id": "c3", "error": None, "type": "invalid_tool_call"}])
        )
        return [*said, HumanMessage("thanks")]

    def test_a_label_that_is_taken_away_stays(self) -> None:
        reader, history = self.reader(), self.history()
        assert self.SECRET in reader.read(history).tags
        history[2].additional_kwargs.clear()
        assert self.SECRET in reader.read(history).tags
        # And so it does at every later reading, with whatever follows.
        history.append(AIMessage("yes"))
        transcript = reader.read(history)
        assert transcript.steps[2].label(unlabelled=PUBLIC) == self.SECRET
        # Nobody remembers a message that is another object: that is how a label is lowered by somebody who may.
        again = [message.model_copy() for message in history]
        assert self.SECRET not in reader.read(again).tags

    def test_a_label_that_is_put_on_or_changed_counts(self) -> None:
        reader, history = self.reader(), self.history()
        reader.read(history)
        history[0].additional_kwargs[TAG_KEY] = tag_to_plain(self.INTERNAL)
        assert self.INTERNAL in reader.read(history).tags
        history[0].additional_kwargs[TAG_KEY]["categories"].append("pii")
        assert Tag(level=Level.INTERNAL, categories=frozenset({"pii"})) in reader.read(history).tags

    @pytest.mark.parametrize(
        "change",
        [
            lambda history: setattr(history[0], "content", "another question"),
            lambda history: history[1].content[0].update(text="let us see"),
            lambda history: history[1].tool_calls[0]["args"]["number"].update(of=8),
            lambda history: setattr(history[-1], "name", "ann"),
            lambda history: history[3].invalid_tool_calls[0].update(args="{later"),
            lambda history: setattr(history[2], "tool_call_id", "c2"),
            lambda history: setattr(history[2], "status", "error"),
        ],
    )
    def test_what_says_something_else_is_read_again(self, change: Any, reads: list[BaseMessage]) -> None:
        reader, history = self.reader(), self.history()
        before = reader.read(history)
        reads.clear()
        assert reader.read(history) == before
        assert reads == []
        change(history)
        assert list(reader.unread(history))
        assert reader.read(history).end.digest != before.end.digest
        reads.clear()
        reader.read(history)
        assert reads == []

    def test_where_the_same_is_said_nothing_is_read_again(self, reads: list[BaseMessage]) -> None:
        reader, history = self.reader(), self.history()
        for number in range(5):
            history.append(HumanMessage(f"more {number}", additional_kwargs={"kept": [1, {"two": float("nan")}]}))
            reads.clear()
            reader.read(history)
            assert len(reads) == (6 if number == 0 else 1)

    def test_what_refuses_to_be_compared_is_read_again_each_time(self) -> None:
        class Refuses:
            def __eq__(self, other: object) -> bool:
                raise ValueError

            __hash__ = None  # type: ignore[assignment]

        reader, history = self.reader(), self.history()
        history[0].additional_kwargs["array"] = Refuses()
        first = reader.read(history)
        history[0].additional_kwargs["array"] = Refuses()
        assert reader.read(history).tags == first.tags

    def test_a_system_prompt_that_says_something_else_has_another_digest(self) -> None:
        heads, prompt = HeadReader(), SystemMessage("be kind")
        first = heads.read(prompt, ())
        assert heads.read(prompt, ()) == first
        prompt.content = "be brief"
        assert heads.read(prompt, ()) != first
