"""Anthropic's content blocks: which there are, what they may hold, and how a history is cut into turns."""

from collections.abc import Iterator
from dataclasses import dataclass

from session_router.testing.providers.wire import JsonObject, as_list, as_object, as_text, objects

FIELDS: dict[str, frozenset[str] | None] = {
    "bash_code_execution_tool_result": None,
    "code_execution_tool_result": None,
    "container_upload": None,
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "image": frozenset({"type", "source", "cache_control", "transformations"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "search_result": frozenset({"type", "source", "title", "content", "citations", "cache_control"}),
    "server_tool_use": frozenset({"type", "id", "name", "input", "caller", "cache_control"}),
    "text": frozenset({"type", "text", "citations", "cache_control"}),
    "text_editor_code_execution_tool_result": None,
    "thinking": frozenset({"type", "thinking", "signature"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "toolset_name", "cache_control"}),
    "tool_search_tool_result": None,
    "tool_use": frozenset({"type", "id", "name", "input", "caller", "toolset_name", "cache_control"}),
    "web_fetch_tool_result": None,
    "web_search_tool_result": frozenset({"type", "tool_use_id", "content", "caller", "cache_control"}),
}
"""Every block type that a request may hold, with its fields; `None` where fields are not checked."""

RESULT_FIELDS = {
    "document": FIELDS["document"],
    "image": FIELDS["image"],
    "search_result": FIELDS["search_result"],
    "text": FIELDS["text"],
    "tool_reference": None,
}
"""The same for the content of a `tool_result`."""

ASSISTANT_ONLY = frozenset({"redacted_thinking", "server_tool_use", "thinking", "tool_use"})
USER_ONLY = frozenset({"container_upload", "document", "image", "search_result", "tool_result"})
THINKING = frozenset({"redacted_thinking", "thinking"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A content block and where it stands: `messages.{message}.content.{index}`."""

    message: int
    index: int
    role: str
    data: JsonObject

    @property
    def type(self) -> str:
        """Return the block's type."""
        return as_text(self.data.get("type"))

    @property
    def id(self) -> str:
        """Return the id of a tool call, or that of the call which a result answers."""
        return as_text(self.data.get("id")) or as_text(self.data.get("tool_use_id"))

    @property
    def place(self) -> str:
        """Return the address that error messages use."""
        return f"messages.{self.message}.content.{self.index}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockTurn:
    """Consecutive messages of one role: the API reads them as one."""

    role: str
    blocks: tuple[Block, ...]

    def of_type(self, block_type: str) -> list[Block]:
        """Return the blocks of one type, in order."""
        return [block for block in self.blocks if block.type == block_type]


def blocks_of(body: JsonObject) -> Iterator[Block]:
    """Yield every content block; a plain text counts as one text block."""
    for at, message in enumerate(objects(body.get("messages"))):
        role, content = as_text(message.get("role")), message.get("content")
        if isinstance(content, str):
            yield Block(message=at, index=0, role=role, data={"type": "text", "text": content})
            continue
        for index, data in enumerate(as_list(content)):
            yield Block(message=at, index=index, role=role, data=as_object(data))


def turns_of(body: JsonObject) -> list[BlockTurn]:
    """Return the history as turns, oldest first; messages without content vanish."""
    turns: list[BlockTurn] = []
    for block in blocks_of(body):
        if turns and turns[-1].role == block.role:
            turns[-1] = BlockTurn(role=block.role, blocks=(*turns[-1].blocks, block))
        else:
            turns.append(BlockTurn(role=block.role, blocks=(block,)))
    return turns


def unanswered_searches(turn: BlockTurn) -> list[Block]:
    """Return the server tool calls of `turn` whose result is not in it."""
    answered = {block.id for block in turn.blocks if block.type.endswith("_tool_result")}
    return [block for block in turn.of_type("server_tool_use") if block.id not in answered]


def thinks(body: JsonObject) -> bool:
    """Return whether the request turns thinking on."""
    return as_text(as_object(body.get("thinking")).get("type")) in {"enabled", "adaptive", "between_tools"}
