"""From a Chat Completions request to what a model reads, and to what is counted and cached."""

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.prompt import Prompt, Tool, ToolCall, ToolChoice, ToolResult, Turn
from session_router.testing.providers.tokens import Segment
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, decoded, objects


def read(request: ModelRequest) -> Prompt:
    """Return what the model reads."""
    body = request.body
    messages = objects(body["messages"])
    wanted = as_object(body.get("response_format"))
    return Prompt(
        model=as_text(body.get("model")),
        system="\n".join(_text(message) for message in messages if message["role"] in {"system", "developer"}),
        turns=tuple(_turn(message) for message in messages if message["role"] not in {"system", "developer"}),
        tools=tuple(_tool(as_object(tool.get("function"))) for tool in objects(body.get("tools")) if "function" in tool),
        tool_choice=_tool_choice(body.get("tool_choice")),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        json_schema=as_object(as_object(wanted.get("json_schema")).get("schema")) if wanted.get("type") == "json_schema" else None,
        json_mode=wanted.get("type") == "json_object",
        thinking=request.model.reasons or body.get("reasoning_effort") not in {None, "none"},
    )


def segments(request: ModelRequest) -> list[Segment]:
    """Return the request's segments: tools, then messages in order."""
    found = [Segment(header="tool", text=canonical(tool)) for tool in objects(request.body.get("tools"))]
    for message in objects(request.body["messages"]):
        role = as_text(message.get("role"))
        header = f"{role}/{as_text(message.get('tool_call_id'))}"
        content = message.get("content")
        if isinstance(content, str):
            found.append(Segment(header=header, text=content))
        found += [_part_segment(header, part) for part in objects(content)]
        for call in objects(message.get("tool_calls")):
            function = as_object(call.get("function"))
            arguments = canonical(decoded(as_text(function.get("arguments"))))
            found.append(Segment(header=f"{header}/{call.get('id')}", text=as_text(function.get("name")) + arguments))
    return found


def _part_segment(header: str, part: JsonObject) -> Segment:
    kind = as_text(part.get("type"))
    if kind == "text":
        return Segment(header=header, text=as_text(part.get("text")))
    return Segment(header=f"{header}/{kind}", text=canonical(part), media=kind != "refusal")


def _text(message: JsonObject) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "\n".join(as_text(part.get("text")) for part in objects(content) if "text" in part)


def _turn(message: JsonObject) -> Turn:
    if message["role"] in {"tool", "function"}:
        return Turn(role="tool", tool_results=(ToolResult(call_id=as_text(message.get("tool_call_id")), text=_text(message)),))
    if message["role"] == "user":
        return Turn(role="user", text=_text(message))
    return Turn(role="assistant", text=_text(message), tool_calls=tuple(_call(call) for call in objects(message.get("tool_calls"))))


def _call(call: JsonObject) -> ToolCall:
    function = as_object(call.get("function"))
    arguments = as_object(decoded(as_text(function.get("arguments"))))
    return ToolCall(name=as_text(function.get("name")), arguments=arguments, id=as_text(call.get("id")))


def _tool(function: JsonObject) -> Tool:
    return Tool(
        name=as_text(function.get("name")), description=as_text(function.get("description")), schema=as_object(function.get("parameters"))
    )


def _tool_choice(choice: object) -> ToolChoice:
    if named := as_object(as_object(choice).get("function")):
        return ToolChoice(mode="named", name=as_text(named.get("name")))
    return ToolChoice(mode="any" if choice == "required" else "none" if choice == "none" else "auto")
