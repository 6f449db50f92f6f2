"""From a Messages request to what a model reads, and to what is counted and cached."""

from dataclasses import replace

from session_router.testing.providers.anthropic_messages.blocks import THINKING, Block, BlockTurn, blocks_of, thinks, turns_of
from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.prompt import Prompt, Tool, ToolCall, ToolChoice, ToolResult, Turn
from session_router.testing.providers.tokens import Lifetime, Segment
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, objects

_MEDIA = frozenset({"document", "image"})


def read(request: ModelRequest) -> Prompt:
    """Return what the model reads."""
    body = request.body
    choice = as_object(body.get("tool_choice"))
    output_format = as_object(as_object(body.get("output_config")).get("format")) or as_object(body.get("output_format"))
    turns = [turn for blocks in turns_of(body) for turn in _turns(blocks)]
    return Prompt(
        model=as_text(body.get("model")),
        system="\n".join(text for text, _ in _system(body)),
        turns=tuple(turns),
        tools=tuple(
            Tool(name=as_text(tool.get("name")), description=as_text(tool.get("description")), schema=as_object(tool.get("input_schema")))
            for tool in objects(body.get("tools"))
            if "input_schema" in tool
        ),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=not choice.get("disable_parallel_tool_use"),
        json_schema=as_object(output_format.get("schema")) if output_format else None,
        thinking=thinks(body),
    )


def segments(request: ModelRequest) -> list[Segment]:
    """Return the request's segments in the provider's order: tools, system, messages."""
    body = request.body
    found = [Segment(header="tool", text=canonical(_unmarked(tool)), breakpoint=_lifetime(tool)) for tool in objects(body.get("tools"))]
    found += [Segment(header="system", text=text, breakpoint=lifetime) for text, lifetime in _system(body)]
    eligible = len(found) - 1
    for block in blocks_of(body):
        found += _block_segments(block)
        if block.type not in THINKING:
            eligible = len(found) - 1
    automatic = _lifetime(body)
    if automatic and eligible >= 0 and found[eligible].breakpoint is None:
        found[eligible] = replace(found[eligible], breakpoint=automatic)
    return found


def result_text(content: object) -> str:
    """Return the text of a tool result, whose content is a text or a list of blocks."""
    return content if isinstance(content, str) else "\n".join(as_text(inner.get("text")) for inner in objects(content) if "text" in inner)


def _system(body: JsonObject) -> list[tuple[str, Lifetime | None]]:
    system = body.get("system")
    if isinstance(system, str):
        return [(system, None)]
    return [(as_text(block.get("text")), _lifetime(block)) for block in objects(system)]


def _turns(turn: BlockTurn) -> list[Turn]:
    text = "\n".join(as_text(block.data.get("text")) for block in turn.of_type("text"))
    if turn.role == "assistant":
        calls = tuple(
            ToolCall(name=as_text(block.data.get("name")), arguments=as_object(block.data.get("input")), id=block.id)
            for block in turn.of_type("tool_use")
        )
        messages = len({block.message for block in turn.blocks})
        # A paused turn that was sent back is several messages; each of them was a call.
        return [*[Turn(role="assistant")] * (messages - 1), Turn(role="assistant", text=text, tool_calls=calls)]
    results = tuple(
        ToolResult(call_id=block.id, text=result_text(block.data.get("content")), is_error=block.data.get("is_error") is True)
        for block in turn.of_type("tool_result")
    )
    found = [Turn(role="tool", tool_results=results)] if results else []
    return [*found, Turn(role="user", text=text)] if text or not results else found


def _tool_choice(choice: JsonObject) -> ToolChoice:
    kind = as_text(choice.get("type"))
    if kind == "tool":
        return ToolChoice(mode="named", name=as_text(choice.get("name")))
    return ToolChoice(mode="any" if kind == "any" else "none" if kind == "none" else "auto")


def _block_segments(block: Block) -> list[Segment]:
    header, data = f"{block.role}/{block.type}/{block.id}", block.data
    lifetime = _lifetime(data)
    if block.type == "text":
        return [Segment(header=header, text=as_text(data.get("text")), breakpoint=lifetime)]
    if block.type == "thinking":
        return [Segment(header=header, text=as_text(data.get("thinking")))]
    if block.type == "tool_use":
        return [Segment(header=header, text=as_text(data.get("name")) + canonical(as_object(data.get("input"))), breakpoint=lifetime)]
    if block.type == "tool_result":
        content = data.get("content")
        media = [inner for inner in objects(content) if inner.get("type") in _MEDIA]
        found = [Segment(header=header, text=result_text(content))]
        found += [Segment(header=header, text=canonical(inner), media=True) for inner in media]
        return [*found[:-1], replace(found[-1], breakpoint=lifetime)]
    return [Segment(header=header, text=canonical(_unmarked(data)), media=block.type in _MEDIA, breakpoint=lifetime)]


def _unmarked(data: JsonObject) -> JsonObject:
    return {name: value for name, value in data.items() if name != "cache_control"}


def _lifetime(data: JsonObject) -> Lifetime | None:
    mark = data.get("cache_control")
    if mark is None:
        return None
    return "1h" if as_object(mark).get("ttl") == "1h" else "5m"
