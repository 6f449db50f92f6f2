"""How a simulated model decides what to say."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from session_router.testing.providers.prompt import Prompt
from session_router.testing.providers.reply import Reply


class Behaviour(Protocol):
    """Answers a prompt. Must be deterministic, quick and safe to call from any thread."""

    def __call__(self, prompt: Prompt, /) -> Reply:
        """Return the reply to `prompt`."""
        ...


class ScriptExhaustedError(Exception):
    """A script was asked for more replies than it holds; the client gets a 500 that says so."""

    def __init__(self, model: str, after: int, text: str) -> None:
        """Name the model, how many calls were answered before, and the text of the turn."""
        self.model, self.after, self.text = model, after, text
        super().__init__(
            f"the script of `{model}` has no reply for call {after + 1} of the turn {text!r}. Add replies, or give the script a fallback."
        )


@dataclass(kw_only=True, slots=True)
class _Position:
    lock: threading.Lock = field(default_factory=threading.Lock)
    value: int = 0

    def step(self) -> int:
        with self.lock:
            self.value += 1
            return self.value - 1


class ScriptedBehaviour:
    """Says what it was told to say.

    A sequence is used up, one reply a call, whatever the calls are. A mapping is looked up by the text of the
    turn: the first key that the last user text contains names the replies of the successive calls of that turn,
    so concurrent conversations and retries do not disturb each other. A reply may be given as plain text.
    """

    def __init__(
        self,
        script: Sequence[Reply | str] | Mapping[str, Sequence[Reply | str]],
        *,
        fallback: Behaviour | None = None,
    ) -> None:
        """Hold the script, and what answers where it has nothing to say.

        Args:
            script: The replies in order, or the replies by a part of the user's text.
            fallback: Answers what the script does not; without one, such a call fails with `ScriptExhaustedError`.
        """
        self._script = script
        self._fallback = fallback
        self._position = _Position()

    def __call__(self, prompt: Prompt, /) -> Reply:
        """Return the reply that the script holds for this call.

        Raises:
            ScriptExhaustedError: the script has none and there is no fallback.
        """
        at, replies = self._place(prompt)
        if at < len(replies):
            reply = replies[at]
            return Reply(text=reply) if isinstance(reply, str) else reply
        if self._fallback is None:
            raise ScriptExhaustedError(prompt.model, at, prompt.last_user_text)
        return self._fallback(prompt)

    def _place(self, prompt: Prompt) -> tuple[int, Sequence[Reply | str]]:
        if not isinstance(self._script, Mapping):
            return self._position.step(), self._script
        text = prompt.last_user_text
        found = next((replies for key, replies in self._script.items() if key in text), ())
        return prompt.call_number, found
