"""Would it be unsafe to change models before the next assistant call? Judged from raw chat messages.

Written from the lock table of DESIGN.md alone. It shares no code with session_router and none of its method: no
states and no transitions, only sets of ids and positions in the list.

The messages are OpenAI chat dictionaries, with these keys beside the usual ones:
    assistant  `name` (agent), `invalid_tool_calls` ([{id}]), `stop_reason`, `chunk` (true while it is streaming)
    user       `injected` (true when no human typed it)
    content    a text, or a list of blocks as the providers write them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

CLIENT_BLOCKS = {"computer_call": "call_id", "apply_patch_call": "call_id", "mcp_approval_request": "id"}
CLIENT_OUTPUTS = {
    "computer_call_output": "call_id",
    "apply_patch_call_output": "call_id",
    "mcp_approval_response": "approval_request_id",
}


def danger(messages: Sequence[Mapping[str, Any]], *, agent: str | None = None) -> str | None:  # noqa: PLR0911 -- one line a row
    """Name the row of the lock table that forbids a switch now, or return `None` when a switch is safe."""
    last = max((index for index, message in enumerate(messages) if message["role"] == "assistant"), default=-1)
    tail = messages[last + 1 :]
    asker: Mapping[str, Any] = messages[last] if last >= 0 else {}
    if agent is not None and asker.get("name") not in (None, agent):
        return None
    spoke = max((index for index, message in enumerate(tail) if is_speech(message)), default=-1)
    since = tail[spoke + 1 :]
    wanted, malformed, unfinished = wanted_by(asker), set(ids(asker.get("invalid_tool_calls"))), unfinished_in(asker)
    if malformed and not wanted and not unfinished and not asker.get("chunk"):
        if malformed - results_in(tail):
            return "invalid calls, not repaired"
        since = [message for message in since if not malformed & results_in([message])]
        return "results nobody asked for" if any(map(is_result, since)) else None
    if spoke >= 0:
        return "results after the last human message" if any(map(is_result, since)) else None
    if asker.get("chunk"):
        return "a message that is still streaming"
    if wanted or malformed or unfinished:
        missing = (wanted | malformed | unfinished) - results_in(tail)
        return "calls without results" if missing else "results that no model has read"
    if asker.get("stop_reason") == "pause_turn":
        return "a paused turn"
    return "results nobody asked for" if any(map(is_result, since)) else None


def is_speech(message: Mapping[str, Any]) -> bool:
    """Whether a human typed this, and it is more than an approval."""
    return message["role"] == "user" and not message.get("injected") and not results_in([message])


def is_result(message: Mapping[str, Any]) -> bool:
    """Whether a tool, or a human who approves, answers something here."""
    return message["role"] == "tool" or bool(results_in([message]))


def wanted_by(message: Mapping[str, Any]) -> set[str]:
    """Ids of what the application must run for this message."""
    return set(ids(message.get("tool_calls"))) | {
        block[CLIENT_BLOCKS[block["type"]]] for block in blocks(message) if block["type"] in CLIENT_BLOCKS
    }


def unfinished_in(message: Mapping[str, Any]) -> set[str]:
    """Ids of the provider's own tools that have no result in the same message."""
    done = {block["tool_use_id"] for block in blocks(message) if block["type"].endswith("_tool_result")}
    return {block["id"] for block in blocks(message) if block["type"] == "server_tool_use"} - done


def results_in(messages: Iterable[Mapping[str, Any]]) -> set[str]:
    """Ids that these messages answer."""
    found: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            found.add(message["tool_call_id"])
        elif message["role"] == "user":
            found |= {block[CLIENT_OUTPUTS[block["type"]]] for block in blocks(message) if block["type"] in CLIENT_OUTPUTS}
    return found


def blocks(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Content blocks; none when the content is text."""
    content = message.get("content")
    return content if isinstance(content, list) else []


def ids(calls: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Ids of a list of calls that may be missing."""
    return [call["id"] for call in calls or ()]
