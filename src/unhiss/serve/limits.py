"""Limits of a server. A request beyond one of them is rejected with an error that names it."""

from dataclasses import dataclass

from unhiss.dsp.audio import MIN_RATE
from unhiss.errors import ConfigError
from unhiss.serve.protocol import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit is above 0; names that end in _s are seconds. A client is an IP address."""

    max_streams: int = 64  # live streams at a time
    max_streams_per_client: int = 16
    max_files: int = 16  # uploads at a time: being received, queued, denoised or downloaded
    max_files_per_client: int = 4
    workers: int = 1  # processes that denoise files
    max_body_mb: float = 500.0
    max_duration_s: float = 4 * 3600.0
    max_rate: int = 192_000  # Hz
    max_channels: int = 8
    max_message_bytes: int = 1 << 20  # of a WebSocket message; a longer one closes the stream with code 1009
    handshake_s: float = 10.0  # from the connection to a complete request header or start message
    idle_s: float = 60.0  # without a message, or without a byte of an upload
    send_s: float = 10.0  # until the client has read what is sent
    upload_s: float = 900.0  # for a whole upload
    drain_s: float = 10.0  # for running requests to finish when the server shuts down

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name.replace('_', '-')} = {getattr(self, name)}; expected more than 0")

    def check_audio(self, rate: int, channels: int, seconds: float = 0.0) -> None:
        """Raises RequestError for a sample rate (400), channels (400) or a duration (413) beyond the limits."""
        if not MIN_RATE <= rate <= self.max_rate:
            raise RequestError(400, f"rate = {rate:,} Hz; expected {MIN_RATE:,} to {self.max_rate:,}", "rate")
        if not 1 <= channels <= self.max_channels:
            raise RequestError(400, f"channels = {channels}; expected 1 to {self.max_channels}", "channels")
        if seconds > self.max_duration_s:
            message = f"{seconds:,.0f} s of audio; expected {self.max_duration_s:,.0f} s at most"
            raise RequestError(413, message, "duration")

    def check_size(self, size: int) -> None:
        """Raises RequestError (413) for an upload of more bytes than allowed."""
        if size > self.max_body_mb * 1e6:
            message = f"{size / 1e6:,.1f} MB or more; expected {self.max_body_mb:g} MB at most"
            raise RequestError(413, message, "body")
