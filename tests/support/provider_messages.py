"""Messages as the providers' own clients make them, from the bodies that their APIs send."""

from __future__ import annotations

import warnings
from typing import Any

from anthropic.types.beta import BetaMessage
from google.genai.types import Candidate
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage
from langchain_google_genai.chat_models import _parse_response_candidate
from langchain_openai.chat_models.base import _construct_lc_result_from_responses_api
from openai.types.responses import Response

REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "I think."}, {"type": "summary_text", "text": "I thought."}],
    "encrypted_content": "sealed",
}
FUNCTION_CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Paris"}',
    "status": "completed",
}
WEB_SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "locks"}}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci_1",
    "code": "1+1",
    "container_id": "cntr_1",
    "outputs": [{"type": "logs", "logs": "2"}],
    "status": "completed",
}
COMPUTER = {
    "type": "computer_call",
    "id": "cu_1",
    "call_id": "call_2",
    "action": {"type": "screenshot"},
    "pending_safety_checks": [],
    "status": "completed",
}
PATCH = {
    "type": "apply_patch_call",
    "id": "apc_1",
    "call_id": "call_3",
    "operation": {"type": "delete_file", "path": "a.py"},
    "status": "completed",
}
APPROVAL = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "pay", "arguments": "{}", "server_label": "bank"}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_4", "name": "shell", "input": "ls"}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "result": "aW1n", "status": "completed"}
COMPACTION = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}


def said(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def openai_message(*output: dict[str, Any], output_version: str = "responses/v1", model: str = "gpt-5") -> AIMessage:
    """Read an answer of the Responses API; `v1` is made of its standard content blocks, as the client does."""
    body = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": model,
        "output": list(output),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "completed",
    }
    native = "v0" if output_version == "v0" else "responses/v1"
    result = _construct_lc_result_from_responses_api(Response.model_validate(body), output_version=native)
    return _versioned(result.generations[0].message, output_version)


def anthropic_message(
    *content: dict[str, Any],
    stop_reason: str = "end_turn",
    container: dict[str, Any] | None = None,
    output_version: str = "v0",
    model: str = "claude-thinks",
) -> AIMessage:
    """Read an answer of the Messages API."""
    body = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
        "container": container,
    }
    client = ChatAnthropic(model=model, api_key="k", timeout=None, stop=None)
    with warnings.catch_warnings():
        # The SDK's union of blocks warns when it dumps a member that it read leniently.
        warnings.simplefilter("ignore")
        result = client._format_output(BetaMessage.model_validate(body))
    message = result.generations[0].message
    metadata = {**(result.llm_output or {}), **message.response_metadata}
    return _versioned(message.model_copy(update={"response_metadata": metadata}), output_version)


def google_message(*parts: dict[str, Any], output_version: str = "v0", model: str = "gemini-3-pro") -> AIMessage:
    """Read an answer of Gemini."""
    candidate = Candidate.model_validate({"content": {"role": "model", "parts": list(parts)}, "finish_reason": "STOP"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client warns at every code execution
        return _versioned(_parse_response_candidate(candidate, model_name=model), output_version)


def _versioned(message: Any, output_version: str) -> AIMessage:
    assert isinstance(message, AIMessage)
    if output_version != "v1":
        return message
    metadata = {**message.response_metadata, "output_version": "v1"}
    return message.model_copy(update={"content": message.content_blocks, "response_metadata": metadata})


THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "signed"}
REDACTED = {"type": "redacted_thinking", "data": "sealed"}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
SERVER_SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "locks"}}
SERVER_RESULT = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {"type": "web_search_result", "url": "https://a.example", "title": "Locks", "encrypted_content": "sealed", "page_age": None}
    ],
}
MCP_USE = {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "pay", "server_name": "bank", "input": {}}
MCP_RESULT = {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": [{"type": "text", "text": "paid"}]}
GEMINI_CALL = {"function_call": {"id": "g1", "name": "weather", "args": {"city": "Paris"}}, "thought_signature": b"sig"}
GEMINI_THOUGHT = {"text": "Hm.", "thought": True, "thought_signature": b"sig"}
GEMINI_CODE = {"executable_code": {"language": "PYTHON", "code": "1+1"}}
GEMINI_RESULT = {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "2"}}
