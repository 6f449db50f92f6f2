"""What the commands return. 0 is success."""

from __future__ import annotations

BAD_INPUT = 1
"""Some input was bad, or a turn of the demo got no answer; the rest was done."""

WRONG_USE = 2
"""The command could not start: a wrong option, setting or file."""

INTERRUPTED = 130

NOBODY_READS = 141
"""Nobody read on what the command printed, such as `head`, which has seen enough: as if the system had ended it for that."""
