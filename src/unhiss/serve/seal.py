"""The state of a stream as text that only servers with one key can have made."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

from unhiss.serve.protocol import Refusal

SIZE = 32  # bytes of an HMAC-SHA256


class Seal:
    """key: what servers share that take each other's streams; "" makes one that no other server has.

    Clients carry a state from one server to the next. Without a seal they could write one themselves, of shapes and
    numbers that no stream ever has, and it would be computed with in the same call as everybody else's.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key.encode() or secrets.token_bytes(SIZE)

    def close(self, state: bytes) -> str:
        return base64.b64encode(self._of(state) + state).decode()

    def open(self, text: str) -> bytes:
        """Raises Refusal (400) for what no server with this key has closed."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        seal, state = data[:SIZE], data[SIZE:]
        if not hmac.compare_digest(seal, self._of(state)):
            raise Refusal(
                400, "a state that is damaged or of a server with another state key; give all servers one "
                "UNHISS_STATE_KEY, or begin without state", "state",
            )  # fmt: skip
        return state

    def _of(self, state: bytes) -> bytes:
        return hmac.digest(self._key, state, "sha256")
