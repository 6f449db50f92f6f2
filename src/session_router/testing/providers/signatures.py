"""Seals that only the simulated provider can make, and that it checks when they come back.

Anthropic signs thinking for the model that wrote it; OpenAI seals reasoning for the account
and the model family. Both are HMAC-SHA256 here. Nothing is secret: the point is that a seal
taken elsewhere is refused.
"""

import base64
import hashlib
import hmac
import json

from session_router.testing.providers.wire import as_object, as_text


class Signatures:
    """Makes and checks seals with the key that belongs to one simulator."""

    def __init__(self, seed: str) -> None:
        """Derive the key from `seed`; simulators with different seeds refuse each other's seals."""
        self._key = hashlib.sha256(f"session-router simulator {seed}".encode()).digest()

    def sign(self, *binding: str) -> str:
        """Return the seal of `binding` as base64 text."""
        message = "\x00".join(binding).encode("utf-8", "surrogatepass")
        return base64.b64encode(hmac.digest(self._key, message, "sha256")).decode("ascii")

    def verifies(self, signature: str, *binding: str) -> bool:
        """Return whether `signature` is the seal of `binding`."""
        expected = self.sign(*binding).encode("ascii")
        return hmac.compare_digest(expected, signature.encode("utf-8", "surrogatepass"))

    def seal(self, text: str, *binding: str) -> str:
        """Return an opaque text that carries `text` and its seal for `binding`."""
        inner = json.dumps({"text": text, "seal": self.sign(text, *binding)})
        return "gAAAAA" + base64.urlsafe_b64encode(inner.encode("utf-8")).decode("ascii")

    def unseal(self, sealed: str, *binding: str) -> str | None:
        """Return the text in `sealed`, or `None` where it was not sealed here for `binding`."""
        try:
            inner = as_object(json.loads(base64.urlsafe_b64decode(sealed.removeprefix("gAAAAA").encode("utf-8"))))
        except ValueError:
            return None
        text = as_text(inner.get("text"))
        return text if self.verifies(as_text(inner.get("seal")), text, *binding) else None
