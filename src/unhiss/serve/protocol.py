"""The wire protocol of WS /v1/stream, without any network: parses messages of the client, builds those of the server.

    client                                   server
    {"type": "start", "rate": 48000, …}  →
                                         ←   {"type": "ready", "latency": {"samples": 1536, "ms": 32.0}, …}
    binary: samples                      →
                                         ←   {"type": "speech", "probability": [0.98]}   if the start has `speech`
                                         ←   binary: as many samples, delayed by `latency`
    {"type": "set", "mix": 0.5}          →
                                         ←   {"type": "settings", "mix": 0.5, …}   all settings in use
    {"type": "flush"}                    →
                                         ←   binary: the last `latency` samples
                                         ←   {"type": "flushed"}                   the stream is reset
    {"type": "save"}                     →
                                         ←   {"type": "saved", "state": …}         `state` for the start of a new stream
                                         ←   {"type": "error", "status": 400, "message": …}, then a close

Samples are little-endian with interleaved channels, `pcm16` or `float32`; a message holds whole frames. Replies keep
the order of the requests; their audio may be cut into messages differently. docs/serving.md is the specification.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from unhiss.dsp.audio import FULL_SCALE, as_channels
from unhiss.errors import AudioError, UnhissError, shown

PATH = "/v1/stream"
FORMATS: dict[str, np.dtype] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
CLOSE_CODE_BASE = 4000  # a close code is this plus the HTTP status, except for
SERVICE_RESTART = 1012  # a server that shuts down
MAX_JSON = 4096  # characters of a text message
MAX_STATE = 1 << 20  # characters of a state; eight channels at 192 kHz need 0.94 of it


class RequestError(UnhissError):
    """A request that is rejected with an HTTP status, or the close code 4000 + status, and one line.

    reason: one word, the label in the metrics.
    """

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    def __reduce__(self) -> tuple[Any, ...]:  # it is raised in worker processes too
        return RequestError, (self.status, str(self), self.reason)

    @property
    def close_code(self) -> int:
        return SERVICE_RESTART if self.reason == "draining" else CLOSE_CODE_BASE + self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Settings that may change while a stream runs. Raises RequestError (400) for a value out of range."""

    atten_limit_db: float | None = None  # None: no limit
    mix: float = 1.0  # share of the denoised signal
    bypass: bool = False

    def __post_init__(self) -> None:
        if self.atten_limit_db is not None and not 0 <= self.atten_limit_db <= 1000:
            raise value_error("atten_limit_db", self.atten_limit_db, "dB from 0 to 1000, or null for no limit")
        if not 0 <= self.mix <= 1:
            raise value_error("mix", self.mix, "0 (the input) to 1 (fully denoised)")


class Command(Enum):
    """Requests without parameters."""

    FLUSH = "flush"
    SAVE = "save"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartMessage:
    """The first message of a stream. Raises RequestError (400) for an unknown format."""

    rate: int  # Hz
    channels: int = 1
    format: str = "float32"
    model: str = ""  # the server's default
    token: str = ""  # for clients that cannot send headers
    speech: bool = False  # send the probability of speech before the audio
    state: str = ""  # of a `saved` message, to continue that stream with its settings
    controls: Controls = Controls()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise value_error("format", self.format, "pcm16 or float32")


Types = dict[str, tuple[type, ...]]
_START_TYPES: Types = {
    "rate": (int,), "channels": (int,), "format": (str,), "model": (str,), "token": (str,), "speech": (bool,),
    "state": (str,),
}  # fmt: skip
_CONTROL_TYPES: Types = {"atten_limit_db": (int, float, type(None)), "mix": (int, float), "bypass": (bool,)}


def parse_start(text: str) -> StartMessage:
    """Raises RequestError (400) for anything but a start message with known fields of the right types."""
    _, message = _parse_object(text, "start", max_length=MAX_JSON + MAX_STATE)
    _check_length(len(text) - len(str(message.get("state", ""))), MAX_JSON)  # only the state may be long
    values = {name: message.pop(name) for name in _START_TYPES if name in message}
    if "rate" not in values:
        raise RequestError(400, 'start without rate; expected such as {"type": "start", "rate": 48000}', "start")
    _check_types(values, _START_TYPES)
    settings = sorted(_CONTROL_TYPES.keys() & message.keys())
    if values.get("state") and settings:
        raise value_error("fields", settings, "none of them beside state, which has its own; send a set afterwards")
    return StartMessage(**values, controls=_parse_controls(message, Controls()))


def parse_request(text: str, current: Controls) -> Controls | Command:
    """The new controls after a `set`, or a command. Raises RequestError (400)."""
    kind, message = _parse_object(text, "set", "flush", "save")
    if kind == "set":
        return _parse_controls(message, current)
    if message:
        raise value_error(kind, sorted(message), "no further fields")
    return Command(kind)


def decode_samples(data: bytes, format: str, channels: int) -> np.ndarray:
    """A binary message as float32 `(C, T)`. Raises RequestError (400) for an incomplete frame, NaN or infinity."""
    dtype = FORMATS[format]
    frame_size = dtype.itemsize * channels
    if len(data) % frame_size:
        expected = f"a multiple of {frame_size} bytes for {channels} channel{'s' * (channels > 1)} of {format}"
        raise RequestError(400, f"a message of {len(data):,} bytes; expected whole frames, {expected}", "frame")
    samples = np.frombuffer(data, dtype).reshape(-1, channels).T.astype(np.float32)
    if format == "pcm16":
        return samples / np.float32(FULL_SCALE)
    try:
        return as_channels(samples)
    except AudioError as error:
        raise RequestError(400, str(error), "samples") from None


def encode_samples(audio: np.ndarray, format: str) -> bytes:
    """float32 `(C, T)` as a binary message; pcm16 is rounded and clipped."""
    if format == "pcm16":
        audio = np.clip(np.rint(audio * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
    return audio.T.astype(FORMATS[format]).tobytes()


def message(type: str, **values: Any) -> str:
    """A text message of the server.

    >>> message("saved", state="AAAA")
    '{"type": "saved", "state": "AAAA"}'
    """
    return json.dumps({"type": type, **values})


def ready_message(start: StartMessage, model: str, latency_samples: int, max_message_bytes: int) -> str:
    """The reply to a start message."""
    latency = {"samples": latency_samples, "ms": round(latency_samples / start.rate * 1000, 3)}
    return message(
        "ready", model=model, rate=start.rate, channels=start.channels, format=start.format, latency=latency,
        max_message_bytes=max_message_bytes,
    )  # fmt: skip


def speech_message(probability: Sequence[float]) -> str:
    """The probability of speech in the newest frame of each channel, in steps of 0.001.

    >>> speech_message([0.98765, 0.0])
    '{"type": "speech", "probability": [0.988, 0.0]}'
    """
    return message("speech", probability=[round(float(value), 3) for value in probability])


def _check_length(length: int, max_length: int) -> None:
    if length > max_length:
        raise RequestError(400, f"a message of {length:,} characters; expected {max_length:,} at most", "json")


def _parse_object(text: str, *types: str, max_length: int = MAX_JSON) -> tuple[str, dict[str, Any]]:
    """The type of a JSON object, which must be one of `types`, and its other fields."""
    _check_length(len(text), max_length)
    expected = " or ".join(types)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f"no JSON ({error}); expected an object with a type: {expected}"
        raise RequestError(400, line, "json") from None
    kind = values.pop("type", None) if isinstance(values, dict) else values
    if kind not in types:
        raise value_error("type", kind, expected)
    return str(kind), values


def _parse_controls(values: dict[str, Any], current: Controls) -> Controls:
    check_removed(values)
    unknown = sorted(set(values) - set(_CONTROL_TYPES))
    if unknown:
        raise value_error("field", unknown[0], "one of " + ", ".join((*_START_TYPES, *_CONTROL_TYPES)))
    _check_types(values, _CONTROL_TYPES)
    return replace(current, **values)


def check_removed(names: Iterable[str]) -> None:
    """Raise RequestError (400) for an option of former versions that clients may still send."""
    if "guard" in names:
        raise RequestError(400, "guard is gone: models now leave clean speech alone by themselves; omit it", "value")


def _check_types(values: dict[str, Any], types: Types) -> None:
    for name, value in values.items():
        kinds = types[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise value_error(name, value, names)


def value_error(name: str, value: object, expected: str) -> RequestError:
    """The error (400) for a value other than expected."""
    return RequestError(400, f"{name} = {shown(value)}; expected {expected}", "value")
