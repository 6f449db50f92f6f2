"""From a Responses request to what a model reads, and to what is counted and cached."""

from session_router.testing.providers.dialect import ModelRequest
from session_router.testing.providers.openai_responses.items import EXCHANGED, conversation, is_output, parts_of, type_of
from session_router.testing.providers.prompt import Prompt, Tool, ToolCall, ToolChoice, ToolResult, Turn
from session_router.testing.providers.tokens import Segment
from session_router.testing.providers.wire import JsonObject, as_object, as_text, canonical, decoded, objects

_SYSTEM = frozenset({"system", "developer"})
_OUTPUT_KEYS = {kind.output: kind.output_key for kind in EXCHANGED}


def read(request: ModelRequest) -> Prompt:
    """Return what the model reads."""
    body, items = request.body, conversation(request)
    wanted = as_object(as_object(body.get("text")).get("format"))
    system = [as_text(body.get("instructions")), *(_text(item) for item in items if item.get("role") in _SYSTEM)]
    return Prompt(
        model=as_text(body.get("model")),
        system="\n".join(text for text in system if text),
        turns=tuple(_turns(items)),
        tools=tuple(
            Tool(name=as_text(tool.get("name")), description=as_text(tool.get("description")), schema=as_object(tool.get("parameters")))
            for tool in objects(body.get("tools"))
            if tool.get("type") == "function"
        ),
        tool_choice=_tool_choice(body.get("tool_choice")),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        json_schema=as_object(wanted.get("schema")) if wanted.get("type") == "json_schema" else None,
        json_mode=wanted.get("type") == "json_object",
        thinking=reasons(request),
    )


def reasons(request: ModelRequest) -> bool:
    """Return whether the answer begins with a reasoning item."""
    effort = as_object(request.body.get("reasoning")).get("effort")
    return effort != "none" and (request.model.reasons or bool(request.body.get("reasoning")))


def segments(request: ModelRequest) -> list[Segment]:
    """Return the request's segments: tools, instructions, items in order."""
    found = [Segment(header="tool", text=canonical(tool)) for tool in objects(request.body.get("tools"))]
    if instructions := as_text(request.body.get("instructions")):
        found.append(Segment(header="instructions", text=instructions))
    for item in conversation(request):
        found += _item_segments(item)
    return found


def _item_segments(item: JsonObject) -> list[Segment]:
    kind = type_of(item)
    header = f"{kind}/{as_text(item.get('role'))}/{as_text(item.get('call_id'))}"
    if kind == "message":
        return [_part_segment(header, part) for part in parts_of(item)]
    if kind == "function_call":
        return [Segment(header=header, text=as_text(item.get("name")) + canonical(decoded(as_text(item.get("arguments")))))]
    if kind == "function_call_output":
        output = item.get("output")
        return (
            [Segment(header=header, text=output)] if isinstance(output, str) else [_part_segment(header, each) for each in objects(output)]
        )
    if kind == "reasoning":
        return [Segment(header=header, text="\n".join(as_text(part.get("text")) for part in objects(item.get("summary"))))]
    # An item's id and status say nothing to the model.
    return [Segment(header=header, text=canonical({name: value for name, value in item.items() if name not in {"id", "status"}}))]


def _part_segment(header: str, part: JsonObject) -> Segment:
    kind = as_text(part.get("type"))
    if kind in {"input_text", "output_text", "refusal"}:
        return Segment(header=header, text=as_text(part.get("text")) or as_text(part.get("refusal")))
    return Segment(header=f"{header}/{kind}", text=canonical(part), media=True)


def _turns(items: list[JsonObject]) -> list[Turn]:
    turns: list[Turn] = []
    for item in items:
        kind = type_of(item)
        if is_output(item):
            before = turns.pop() if turns and turns[-1].role == "assistant" else Turn(role="assistant")
            calls = (_call(item),) if kind == "function_call" else ()
            text = "\n".join(text for text in (before.text, _text(item)) if text)
            turns.append(Turn(role="assistant", text=text, tool_calls=(*before.tool_calls, *calls)))
        elif kind in _OUTPUT_KEYS:
            result = ToolResult(call_id=as_text(item.get(_OUTPUT_KEYS[kind])), text=_output_text(item))
            turns.append(Turn(role="tool", tool_results=(result,)))
        elif kind == "message" and item.get("role") == "user":
            turns.append(Turn(role="user", text=_text(item)))
    return turns


def _call(item: JsonObject) -> ToolCall:
    arguments = as_object(decoded(as_text(item.get("arguments"))))
    return ToolCall(name=as_text(item.get("name")), arguments=arguments, id=as_text(item.get("call_id")))


def _text(item: JsonObject) -> str:
    return "\n".join(as_text(part.get("text")) for part in parts_of(item) if "text" in part) if type_of(item) == "message" else ""


def _output_text(item: JsonObject) -> str:
    output = item.get("output")
    if isinstance(output, str):
        return output
    if "approve" in item:
        return "approved" if item["approve"] else "rejected"
    return "\n".join(as_text(part.get("text")) for part in objects(output) if "text" in part)


def _tool_choice(choice: object) -> ToolChoice:
    if named := as_object(choice):
        return ToolChoice(mode="named", name=as_text(named["name"])) if "name" in named else ToolChoice()
    return ToolChoice(mode="any" if choice == "required" else "none" if choice == "none" else "auto")
