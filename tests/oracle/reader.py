"""Raw chat messages to core steps: the least that a replay needs, independent of every integration."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from oracle.verdict import CLIENT_BLOCKS, blocks, ids, results_in, unfinished_in
from session_router.core.binding import Binding, BindingKind, BindingReach
from session_router.core.governance import PUBLIC, Level, Tag
from session_router.core.step import Ask, AskKind, Role, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.HUMAN, "assistant": Role.AI, "tool": Role.TOOL}
CHARACTERS_PER_TOKEN = 4
# Who answered, and what we think of the message, is not part of what a provider reads.
OURS = {"model", "label", "injected", "chunk"}
LABELS = {None: None, "public": PUBLIC, "secret": Tag(level=Level.CONFIDENTIAL)}


def step_of(message: Mapping[str, Any]) -> Step:
    """Read one message. `model` is the author of an assistant message, `label` a key of `LABELS`."""
    sent = json.dumps({key: value for key, value in message.items() if key not in OURS}, sort_keys=True)
    role = ROLES[message["role"]]
    return Step(
        role=role,
        digest=hashlib.blake2b(sent.encode(), digest_size=16).digest(),
        tokens=len(sent) // CHARACTERS_PER_TOKEN,
        asks=_asks(message) if role is Role.AI else (),
        answers=tuple(sorted(results_in([message]))),
        author=message.get("model"),
        agent=message.get("name") if role is Role.AI else None,
        injected=bool(message.get("injected")),
        partial=bool(message.get("chunk")),
        bindings=tuple(_bindings(message)),
        tag=LABELS[message.get("label")],
    )


def _asks(message: Mapping[str, Any]) -> tuple[Ask, ...]:
    asks = [Ask(id=name) for name in ids(message.get("tool_calls"))]
    asks += [Ask(id=name, kind=AskKind.INVALID_CALL) for name in ids(message.get("invalid_tool_calls"))]
    asks += [
        Ask(id=block[CLIENT_BLOCKS[block["type"]]], kind=AskKind.CLIENT_BLOCK)
        for block in blocks(message)
        if block["type"] in CLIENT_BLOCKS
    ]
    paused = unfinished_in(message) or ({"pause_turn"} if message.get("stop_reason") == "pause_turn" else set())
    return (*asks, *(Ask(id=name, kind=AskKind.SERVER_TOOL) for name in sorted(paused)))


def _bindings(message: Mapping[str, Any]) -> list[Binding]:
    if not any(block["type"] == "thinking" for block in blocks(message)):
        return []
    return [Binding(kind=BindingKind.SIGNED_THINKING, reach=BindingReach.MODEL, holder=message.get("model") or "")]
