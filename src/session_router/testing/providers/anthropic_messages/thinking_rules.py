"""What the Messages API demands of thinking and of the tools that the provider runs itself."""

from collections.abc import Iterator

from session_router.testing.providers.anthropic_messages.blocks import THINKING, blocks_of, thinks, turns_of, unanswered_searches
from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.refusal import Refusal
from session_router.testing.providers.wire import as_object, as_text, objects

_LEAST_BUDGET = 1_024
_THINKING_GUIDE = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


def settings(request: ModelRequest) -> Iterator[Refusal]:
    """Thinking has a budget within `max_tokens`, full temperature and no forced tool."""
    thinking = as_object(request.body.get("thinking"))
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int):
            yield Refusal(message="thinking.enabled.budget_tokens: Field required")
        elif budget < _LEAST_BUDGET:
            yield Refusal(message=f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
        elif budget >= request.body["max_tokens"]:
            yield Refusal(
                message=f"`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at {_THINKING_GUIDE}"
            )
    if not thinks(request.body):
        return
    if request.body.get("temperature") not in {None, 1}:
        yield Refusal(
            message=f"`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at {_THINKING_GUIDE}"
        )
    if as_text(as_object(request.body.get("tool_choice")).get("type")) in {"any", "tool"}:
        yield Refusal(message="Thinking may not be enabled when tool_choice forces tool use.")


def signatures(request: ModelRequest) -> Iterator[Refusal]:
    """Thinking is read only by the model that wrote it, word for word; search results only by their account."""
    model, seals = request.model.id, request.signatures
    for block in blocks_of(request.body):
        if block.type == "thinking":
            if "signature" not in block.data:
                yield Refusal(message=f"{block.place}.thinking.signature: Field required")
            if not seals.verifies(as_text(block.data["signature"]), model, as_text(block.data.get("thinking"))):
                yield Refusal(message=f"{block.place}: Invalid `signature` in `thinking` block")
        if block.type == "redacted_thinking" and seals.unseal(as_text(block.data.get("data")), model) is None:
            yield Refusal(message=f"{block.place}: Invalid `data` in `redacted_thinking` block")
        if block.type == "web_search_tool_result":
            for result in objects(block.data.get("content")):
                if seals.unseal(as_text(result.get("encrypted_content")), request.account) is None:
                    yield Refusal(message=f"{block.place}: Invalid `encrypted_content` in `search_result` block")


def placement(request: ModelRequest) -> Iterator[Refusal]:
    """With thinking on, the last assistant message of a tool loop starts with thinking; with it off, none ends in it.

    The first half holds for `thinking.type` `enabled`; adaptive thinking may leave a message without.
    """
    turns = turns_of(request.body)
    if not thinks(request.body):
        for block in turns[-1].blocks if turns[-1].role == "assistant" else ():
            if block.type in THINKING:
                yield Refusal(
                    message=f"{block.place}: When thinking is disabled, an `assistant` message in the final position cannot contain "
                    "`thinking`. To use thinking blocks, enable `thinking` in your request."
                )
        return
    in_loop = len(turns) > 1 and turns[-1].of_type("tool_result")
    if as_object(request.body["thinking"]).get("type") != "enabled" or not in_loop:
        return
    first = turns[-2].blocks[0]
    if first.type not in THINKING:
        yield Refusal(
            message=f"{first.place}.type: Expected `thinking` or `redacted_thinking`, but found `{first.type}`. When `thinking` is "
            "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
            "`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable "
            f"`thinking`. Please consult our documentation at {_THINKING_GUIDE}"
        )


def server_tools(request: ModelRequest) -> Iterator[Refusal]:
    """A server tool call has its result in the same turn, unless the turn was paused and is now sent back as it was."""
    turns = turns_of(request.body)
    for at, turn in enumerate(turns):
        calls: set[str] = set()
        for block in turn.blocks:
            if block.type == "server_tool_use":
                calls.add(block.id)
            elif block.type.endswith("_tool_result") and block.id not in calls:
                yield Refusal(
                    message=f"{block.place}: unexpected `tool_use_id` found in `{block.type}` blocks: {block.id}. Each `{block.type}` "
                    "block must have a corresponding `server_tool_use` block before it."
                )
        for call in unanswered_searches(turn):
            if at < len(turns) - 1 or call.id not in request.records.paused:
                name = as_text(call.data.get("name"))
                yield Refusal(
                    message=f"messages.{call.message}: `{name}` tool use with id `{call.id}` was found without a corresponding "
                    f"`{name}_tool_result` block"
                )
