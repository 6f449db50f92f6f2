"""A question of a conversation, made to stand alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from session_router.core.step import DIGEST_BYTES

if TYPE_CHECKING:
    from session_router.core.cached import CacheQuestion

_PURPOSE = b"rewritten 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What may be shown to a rewriter. Its texts are stored nowhere.

    Attributes:
        said: Pairs of a role, `human` or `ai`, and a text, oldest first; the last is the question.
        standing: Digest of what must be equal all the same: system prompts among the messages, and who spoke.
    """

    said: tuple[tuple[str, str], ...] = field(repr=False)
    standing: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What a rewriter made of the last question of a conversation.

    Attributes:
        text: A question that stands alone.
        version: Of the rewriter.
    """

    text: str
    version: str


def standing_alone(question: CacheQuestion, conversation: Conversation, rewritten: Rewritten) -> CacheQuestion:
    """Return `question` as one that stands alone: the conversation before it need not be equal any more.

    It meets others that were rewritten by the same rewriter, and no question that begins a conversation: what was answered in the light
    of a conversation is no answer to who had none.
    """
    version = rewritten.version.encode("utf-8", "surrogatepass")
    encoded = b"%d:" % len(version) + version + conversation.standing
    before = hashlib.blake2b(_PURPOSE + encoded, digest_size=DIGEST_BYTES).digest()
    return replace(question, text=rewritten.text, before=before, recent=())
