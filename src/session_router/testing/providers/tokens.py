"""How the simulators count tokens: one rule, exact and reproducible by hand.

A request is a row of segments in the order in which the provider reads it: tools, system
text, messages. A segment of `n` UTF-8 bytes is `ceil(n / 4)` tokens; there is no overhead
for a message, a role or an id. An image, a sound or a file is always `MEDIA_TOKENS`.

    text, thinking, tool result   its text
    tool call                     its name followed by the canonical JSON of its arguments
    tool definition               the canonical JSON of the definition, without `cache_control`
    anything else                 its canonical JSON, without `cache_control`
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

BYTES_PER_TOKEN = 4
MEDIA_TOKENS = 1_000

Lifetime: TypeAlias = Literal["5m", "1h"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A piece of a request that is cached as a whole or in part.

    Attributes:
        header: What tells this segment from another with the same text (role, kind, ids); not counted.
        text: What is counted.
        media: Whether the text stands for an image, a sound or a file.
        breakpoint: The lifetime asked for by `cache_control` on this segment, if any.
    """

    header: str
    text: str
    media: bool = False
    breakpoint: Lifetime | None = None

    @property
    def tokens(self) -> int:
        """Return the number of tokens of this segment."""
        return MEDIA_TOKENS if self.media else count_tokens(self.text)


def count_tokens(text: str) -> int:
    """Return `ceil(n / 4)` for a text of `n` UTF-8 bytes; 0 for an empty text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What one request used, in tokens.

    Attributes:
        uncached_input: Input read at the full price.
        cached_input: Input read from the prefix cache.
        written_5m: Input written to the prefix cache for five minutes.
        written_1h: Input written to the prefix cache for an hour.
        output: Everything that was generated, thinking included.
        thinking: The part of `output` that was thinking.
    """

    uncached_input: int = 0
    cached_input: int = 0
    written_5m: int = 0
    written_1h: int = 0
    output: int = 0
    thinking: int = 0

    @property
    def written(self) -> int:
        """Return all input written to the prefix cache."""
        return self.written_5m + self.written_1h

    @property
    def input(self) -> int:
        """Return all input, cached or not."""
        return self.uncached_input + self.cached_input + self.written
