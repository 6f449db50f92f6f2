"""What LangChain's suites for caches do not ask: who gets whose answer, what is kept, and what comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from langchain_core.load import dumps
from langchain_core.messages import AIMessage, AIMessageChunk, FunctionMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.caches import BaseCache
    from langchain_core.messages import BaseMessage

MODEL = '{"id": ["langchain", "chat_models", "openai", "ChatOpenAI"], "kwargs": {"model_name": "small"}}---[(\'stop\', None)]'
HOURS = "What are your opening hours?"
ANSWER = "We are open from nine to five."
CALL: Any = {"name": "look", "args": {}, "id": "call_1", "type": "tool_call"}
UNREADABLE_CALL: Any = {"name": "look", "args": "{", "id": "call_1", "error": "", "type": "invalid_tool_call"}
LOOP = ("Look!", AIMessage("", tool_calls=[CALL]), ToolMessage("9", tool_call_id="call_1"))
SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}


def said(content: Any = ANSWER, **fields: Any) -> ChatGeneration:
    """Return what a provider says, with everything that belongs to its message alone."""
    metadata = {"finish_reason": "stop", "model_name": "small-2026", "id": "resp_1", **fields.pop("metadata", {})}
    usage = {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16}
    return ChatGeneration(message=AIMessage(content, id="lc_run--1", response_metadata=metadata, usage_metadata=usage, **fields))


def prompt(*messages: BaseMessage | str) -> str:
    return dumps([HumanMessage(one) if isinstance(one, str) else one for one in messages])


BLOCKS = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"},
    {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"},
    {"type": "text", "text": ANSWER, "id": "msg_1", "annotations": []},
]

APART = {
    "another model": ((HOURS,), MODEL.replace("small", "large")),
    "another temperature": ((HOURS,), MODEL.replace('"small"', '"small", "temperature": 0.7')),
    "a tool": ((HOURS,), MODEL.replace("[(", "[('tools', [{'name': 'look'}]), (")),
    "a response format": ((HOURS,), MODEL.replace("[(", "[('response_format', {'type': 'json_object'}), (")),
    "a system prompt": ((SystemMessage("Speak like a pirate."), HOURS), MODEL),
    "a conversation before": (("Hello!", AIMessage("Hello, Bob."), HOURS), MODEL),
    "another name": ((HumanMessage(HOURS, name="bob"),), MODEL),
    "another text": (("What are your closing hours?",), MODEL),
    "the opposite": (("What are not your opening hours?",), MODEL),
    "an image": ((HumanMessage([{"type": "text", "text": HOURS}, {"type": "image_url", "image_url": {"url": "data:x"}}]),), MODEL),
}
"""What keeps another question apart from `HOURS` asked of `MODEL`."""

NOT_KEPT: dict[str, tuple[Sequence[BaseMessage | str], Sequence[Generation]]] = {
    "a tool call": ((HOURS,), [said("", tool_calls=[CALL])]),
    "a text with a tool call": ((HOURS,), [said(tool_calls=[CALL])]),
    "a tool call that cannot be read": (
        (HOURS,),
        [said(invalid_tool_calls=[UNREADABLE_CALL])],
    ),
    "a call of a provider's tool": (
        (HOURS,),
        [said([SEARCH, *BLOCKS])],
    ),
    "what a provider has searched for": (
        (HOURS,),
        [said([{"type": "text", "text": ANSWER, "annotations": [{"url": "https://example.com"}]}])],
    ),
    "a refusal": ((HOURS,), [said("I'm sorry, I can't help with that.")]),
    "a refusal beside the text": ((HOURS,), [said("", additional_kwargs={"refusal": "No."})]),
    "a cut-off answer": ((HOURS,), [said(metadata={"finish_reason": "length"})]),
    "an answer that does not say how it ended": ((HOURS,), [said(metadata={"finish_reason": None})]),
    "an empty answer": ((HOURS,), [said("")]),
    "two answers": ((HOURS,), [said(), said("Another.")]),
    "no answer": ((HOURS,), []),
    "log probabilities": ((HOURS,), [said(metadata={"logprobs": {"content": [{"token": "We"}]}})]),
    "a parsed answer": ((HOURS,), [said(additional_kwargs={"parsed": {"hours": 8}})]),
    "a spoken answer": ((HOURS,), [said(additional_kwargs={"audio": {"id": "audio_1"}})]),
    "an image": ((HOURS,), [said([{"type": "image_url", "image_url": {"url": "data:x"}}])]),
    "a text that is no message": ((HOURS,), [Generation(text=ANSWER, generation_info={"finish_reason": "stop"})]),
    "what a tool has said": (
        ("Hi", AIMessage("", tool_calls=[CALL]), ToolMessage("9", tool_call_id="call_1"), AIMessage("Nine."), HOURS),
        [said()],
    ),
    "the end of a tool loop": (LOOP, [said()]),
    "what a function has said": (("Hi", FunctionMessage("9", name="look"), HOURS), [said()]),
    "no question": ((AIMessage("Hello."),), [said()]),
    "what nobody typed": ((HumanMessage(HOURS, additional_kwargs={"lc_source": "summary"}),), [said()]),
    "a question about the moment": (("What is the weather like today?",), [said()]),
}
"""Prompts and answers that no cache may give back."""

WAYS = ("sync", "async")


def look_up(way: str, cache: BaseCache, text: str, model: str = MODEL) -> Any:
    return asyncio.run(cache.alookup(text, model)) if way == "async" else cache.lookup(text, model)


def store(way: str, cache: BaseCache, text: str, generations: Sequence[Generation], model: str = MODEL) -> None:
    if way == "async":
        asyncio.run(cache.aupdate(text, model, generations))
    else:
        cache.update(text, model, generations)


class LLMCacheSuite:
    """Subclass it, and give an empty `cache` of the principal `ada` to every test."""

    def other(self, cache: BaseCache, **names: str) -> BaseCache:
        """Return a cache over the entries of `cache` for another `principal` or `tenant`."""
        raise NotImplementedError

    def test_an_answer_is_found_in_every_way(self, cache: BaseCache) -> None:
        for stored in WAYS:
            for way in WAYS:
                question = prompt(f"What does {stored} cost, {way}?")
                assert look_up(way, cache, question) is None
                store(stored, cache, question, [said()])
                found = look_up(way, cache, question)
                assert isinstance(found, list)
                assert [one.message.text for one in found] == [ANSWER]

    def test_the_same_in_other_letters_is_found(self, cache: BaseCache) -> None:
        store("sync", cache, prompt(HOURS), [said()])
        assert look_up("sync", cache, prompt("what are your opening hours")) is not None

    def test_nothing_crosses(self, cache: BaseCache) -> None:
        store("sync", cache, prompt(HOURS), [said()])
        for way in WAYS:
            for name, (messages, model) in APART.items():
                assert look_up(way, cache, prompt(*messages), model) is None, name
        assert look_up("sync", cache, prompt(HOURS)) is not None

    def test_nothing_crosses_back(self, cache: BaseCache) -> None:
        for number, (messages, model) in enumerate(APART.values()):
            store("sync", cache, prompt(*messages), [said(f"For number {number}.")], model)
        assert look_up("sync", cache, prompt(HOURS)) is None
        found = [look_up("sync", cache, prompt(*messages), model) for messages, model in APART.values()]
        texts = [None if one is None else one[0].message.text for one in found]
        assert {text for text in texts if text} <= {f"For number {number}." for number in range(len(APART))}
        assert all(text in {None, f"For number {number}."} for number, text in enumerate(texts))

    def test_principals_and_tenants_have_their_own(self, cache: BaseCache) -> None:
        store("sync", cache, prompt(HOURS), [said()])
        for way in WAYS:
            assert look_up(way, self.other(cache, principal="bob"), prompt(HOURS)) is None
            assert look_up(way, self.other(cache, principal="ada", tenant="globex"), prompt(HOURS)) is None
            assert look_up(way, self.other(cache), prompt(HOURS)) is None
        assert look_up("sync", self.other(cache, principal="ada"), prompt(HOURS)) is not None

    def test_who_is_not_named_stores_nothing(self, cache: BaseCache) -> None:
        nobody = self.other(cache)
        store("sync", nobody, prompt(HOURS), [said()])
        assert look_up("sync", nobody, prompt(HOURS)) is None
        assert look_up("sync", cache, prompt(HOURS)) is None

    def test_what_is_never_kept(self, cache: BaseCache) -> None:
        for way in WAYS:
            for name, (messages, generations) in NOT_KEPT.items():
                assert look_up(way, cache, prompt(*messages)) is None, name
                store(way, cache, prompt(*messages), generations)
                assert look_up(way, cache, prompt(*messages)) is None, name

    def test_a_hit_is_a_new_message(self, cache: BaseCache) -> None:
        for content in (ANSWER, BLOCKS):
            stored = said(content)
            store("sync", cache, prompt(HOURS), [stored])
            (one,), (two,) = (look_up(way, cache, prompt(HOURS)) for way in WAYS)
            assert one.message.text == two.message.text == ANSWER
            assert len({one.message.id, two.message.id, stored.message.id}) == 3
            for hit in (one, two):
                assert hit.message.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
                for provided in ("rs_1", "msg_1", "resp_1", "lc_run--1", "secret", "c2lnbmVk"):
                    assert provided not in repr(hit), provided

    def test_a_hit_that_is_altered_alters_no_other(self, cache: BaseCache) -> None:
        store("sync", cache, prompt(HOURS), [said(BLOCKS)])
        (one,) = look_up("sync", cache, prompt(HOURS))
        one.message.content[-1]["text"] = "Never."
        one.message.response_metadata.clear()
        (two,) = look_up("sync", cache, prompt(HOURS))
        assert two.message.text == ANSWER

    def test_conversations_go_on(self, cache: BaseCache) -> None:
        """Where all that was said is the same, the last text may differ as ever."""
        before = (SystemMessage("Be kind."), "Hello!", AIMessage("Hello, how can I help?"))
        store("sync", cache, prompt(*before, HOURS), [said()])
        assert look_up("sync", cache, prompt(*before, "what are your opening hours")) is not None
        streamed = (*before[:2], AIMessageChunk("Hello, how can I help?"))
        assert look_up("sync", cache, prompt(*streamed, HOURS)) is not None
        assert look_up("sync", cache, prompt(*before[1:], HOURS)) is None
        assert look_up("sync", cache, prompt(*before, "Thank you.", AIMessage("You are welcome."), HOURS)) is None
