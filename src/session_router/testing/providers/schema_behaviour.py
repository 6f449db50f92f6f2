"""The default behaviour: a dull model that follows schemas and does what the text says."""

import re

from session_router.testing.providers.prompt import Prompt, Tool, ToolCall
from session_router.testing.providers.reply import Reply
from session_router.testing.providers.schema_sample import SchemaSampler, quoted_strings
from session_router.testing.providers.wire import canonical

_SHORTEST_WORD = 4
_ASKS_FOR_A_TOOL = re.compile(r"\b(?:use|using|call)\s+(?:the|a|your)\s+tools?\b", re.IGNORECASE)
_COMMON_WORDS = frozenset({"function", "tool", "tools", "with", "from", "make", "args", "call", "find", "user"})


class SchemaBehaviour:
    """Calls tools when the text or the request says so, with arguments that their schemas allow.

    In this order:

    1. A tool is forced, and one that may be called was not called yet in this turn: it is called. When all were
       called, the model answers in text instead, which a real one would not do: it lets agent loops end.
    2. Tool results are waiting: the answer quotes them.
    3. The user's text names tools: all of them are called, in parallel if that is allowed. It says to use the tool,
       or has a telling word of a tool's name in it (four letters or more): that one is called.
    4. A JSON schema, or any JSON, is asked for: the answer is JSON.
    5. The answer repeats the user's text.

    Arguments and JSON take numbers and quoted strings from the user's text, in order.
    """

    def __call__(self, prompt: Prompt, /) -> Reply:
        """Return the reply to `prompt`."""
        called = {call.name for turn in prompt.since_last_user for call in turn.tool_calls}
        if tools := self._forced(prompt, called):
            return self._calls(prompt, tools)
        if results := prompt.pending_results:
            return Reply(text="The tools said: " + "; ".join(result.text for result in results))
        if tools := self._mentioned(prompt):
            return self._calls(prompt, tools)
        if prompt.json_schema is not None:
            return Reply(text=canonical(SchemaSampler(prompt.json_schema, prompt.last_user_text).sample()))
        if prompt.json_mode:
            text = prompt.last_user_text
            return Reply(text=canonical(dict.fromkeys(quoted_strings(text), text) or {"answer": text}))
        return Reply(text=f"You said: {prompt.last_user_text}" if prompt.last_user_text else "Hello.")

    @staticmethod
    def _forced(prompt: Prompt, called: set[str]) -> list[Tool]:
        choice = prompt.tool_choice
        if not choice.forced:
            return []
        allowed = [tool for tool in prompt.tools if choice.name in {None, tool.name} and tool.name not in called]
        named = [tool for tool in allowed if tool.name in prompt.last_user_text]
        return (named or allowed)[:1]

    @staticmethod
    def _mentioned(prompt: Prompt) -> list[Tool]:
        text = prompt.last_user_text
        if prompt.tool_choice.mode == "none" or not prompt.tools:
            return []
        named = [tool for tool in prompt.tools if re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", text)]
        if named:
            return named if prompt.parallel_tool_calls else named[:1]
        words = set(re.findall(r"\w+", text.casefold()))
        close = [tool for tool in prompt.tools if _telling_words(tool.name) & words]
        if close:
            return close[:1]
        return list(prompt.tools[:1]) if _ASKS_FOR_A_TOOL.search(text) else []

    @staticmethod
    def _calls(prompt: Prompt, tools: list[Tool]) -> Reply:
        return Reply(
            tool_calls=tuple(
                ToolCall(name=tool.name, arguments=SchemaSampler({"type": "object", **tool.schema}, prompt.last_user_text).sample())
                for tool in tools
            )
        )


def _telling_words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.split(r"[^a-z]+", spaced.casefold())
    return {word for word in words if len(word) >= _SHORTEST_WORD} - _COMMON_WORDS
