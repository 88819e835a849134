"""What a server lets its clients do, and who is in: every limit is a number here and a clear answer when it is met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from unhiss.dsp.resampling import SLOWEST
from unhiss.errors import ConfigError
from unhiss.serve.protocol import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds end in _s; 0 is no value for any of them. A client is an address."""

    streams: int = 64  # live at a time
    streams_per_client: int = 16
    files: int = 16  # uploads at a time: arriving, waiting, being denoised and read
    files_per_client: int = 4
    workers: int = 1  # processes that denoise files
    body_mb: float = 500.0  # of an upload
    duration_s: float = 4 * 3600.0  # of a recording
    rate: int = 192_000  # Hz
    channels: int = 8
    message_bytes: int = 1 << 20  # of a message of a stream; a longer one ends it with close code 1009
    hello_s: float = 10.0  # from the connection to a whole request, or to the hello
    idle_s: float = 60.0  # without a message, or without a byte of an upload
    slow_s: float = 10.0  # that what is sent may wait for its reader
    upload_s: float = 900.0  # for all of an upload
    drain_s: float = 10.0  # for what runs to end, once the server is told to

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name.replace('_', '-')} = {getattr(self, name)}; expected more than 0")

    @property
    def body_bytes(self) -> int:
        return int(self.body_mb * 1e6)

    def check_sound(self, rate: int, channels: int, seconds: float = 0.0) -> None:
        """Raises Refusal for a rate (400), channels (400) or a length (413) beyond the limits."""
        if not SLOWEST <= rate <= self.rate:
            raise Refusal(400, f"rate = {rate:,} Hz; expected {SLOWEST:,} to {self.rate:,}", "rate")
        if not 1 <= channels <= self.channels:
            raise Refusal(400, f"channels = {channels}; expected 1 to {self.channels}", "channels")
        if seconds > self.duration_s:
            raise Refusal(413, f"{seconds:,.0f} s of sound; expected {self.duration_s:,.0f} s at most", "duration")

    def check_size(self, count: int) -> None:
        """Raises Refusal (413) for an upload of more bytes than may come."""
        if count > self.body_bytes:
            raise Refusal(413, f"{count / 1e6:,.1f} MB or more; expected {self.body_mb:g} MB at most", "body")


class Door:
    """Counts who is inside. `with door.enter(client):` holds a place; Refusal (429, 503) where there is none."""

    def __init__(self, what: str, places: int, per_client: int) -> None:
        self._what, self._places, self._per_client = what, places, per_client
        self._inside: Counter[str] = Counter()
        self.closed = False

    def __len__(self) -> int:
        return self._inside.total()

    @contextmanager
    def enter(self, client: str) -> Iterator[None]:
        self.check(client)
        self._inside[client] += 1
        try:
            yield
        finally:
            self._inside[client] -= 1
            self._inside += Counter()  # forgets those with none

    def check(self, client: str) -> None:
        if self.closed:
            raise Refusal(503, "the server is about to end; try another, or again in a while", "draining")
        if self._inside[client] >= self._per_client:
            raise Refusal(
                429, f"{self._per_client} {self._what} of {client} already, the most that one client may have",
                "per_client",
            )  # fmt: skip
        if len(self) >= self._places:
            raise Refusal(503, f"all {self._places} places for {self._what} are taken; try again in a while", "full")
