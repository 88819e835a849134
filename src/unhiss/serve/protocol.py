"""The wire format of WS /v1/stream, without any network: messages in, checked values out, and the way back.

    client                                   server
    {"type": "hello", "rate": 48000, …}  →
                                         ←   {"type": "ready", "latency": {"samples": 1536, "ms": 32.0}, …}
    binary: samples                      →
                                         ←   binary: as many samples, `latency` later
    {"type": "set", "mix": 0.5}          →
                                         ←   {"type": "set", "mix": 0.5, …}      all that is set now
    {"type": "flush"}                    →
                                         ←   binary: the last `latency` samples
                                         ←   {"type": "flushed"}                 the stream is as new
    {"type": "save"}                     →
                                         ←   {"type": "saved", "state": …}       for the hello of a stream that goes on
                                         ←   {"type": "error", "status": 400, "message": …}, then a close

Samples are little-endian, channels interleaved, `pcm16` or `float32`; a message holds whole frames. Answers come in
order; where one message ends and the next begins means nothing. docs/serving.md says it for readers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from unhiss.errors import UnhissError

PATH = "/v1/stream"
FORMATS: dict[str, np.dtype] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
FULL_SCALE = 32768.0
CLOSE = 4000  # close codes are this plus what HTTP would answer, but for the two below
NORMAL, RESTART = 1000, 1012  # a client that is done; a server that goes away
LONGEST_JSON = 4096  # characters of a control message
LONGEST_STATE = 1 << 20  # of a state in a hello: eight channels at 192 kHz have one of 0.94 of it


class Refusal(UnhissError):
    """A request that is answered with an HTTP status, or the close code 4000 + status, and one line."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason  # reason: one word, for the metrics

    def __reduce__(self) -> tuple:  # it crosses from the process at work
        return Refusal, (self.status, str(self), self.reason)

    @property
    def close_code(self) -> int:
        return RESTART if self.reason == "draining" else CLOSE + self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What may change while a stream runs: dB to take out at most (None: no limit), share of the clean sound."""

    atten_lim: float | None = None
    mix: float = 1.0
    bypass: bool = False

    def __post_init__(self) -> None:
        if self.atten_lim is not None and not 0 <= self.atten_lim <= 1000:
            raise _bad("atten_lim", self.atten_lim, "dB from 0 to 1000, or null for no limit")
        if not 0 <= self.mix <= 1:
            raise _bad("mix", self.mix, "0 (the input) to 1 (all clean)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first message: what will be sent, and what is wanted. token: for clients that cannot send headers.

    state: what a `saved` gave, to go on from there with what was set there.
    """

    rate: int
    channels: int = 1
    format: str = "float32"
    model: str = ""  # the server's default
    guard: bool = True
    token: str = ""
    state: str = ""
    controls: Controls = Controls()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise _bad("format", self.format, "pcm16 or float32")


def read_hello(text: str) -> Hello:
    """Raises Refusal (400) for anything but a hello with known fields of the right kind."""
    tree = _object(text, "hello", longest=LONGEST_JSON + LONGEST_STATE)
    _check_length(len(text) - len(str(tree.get("state", ""))), LONGEST_JSON)  # nothing else may be as long
    own = {field.name: tree.pop(field.name) for field in fields(Hello) if field.name in tree}
    if "controls" in own or "rate" not in own:
        raise Refusal(400, "hello without rate; expected such as {" + '"type": "hello", "rate": 48000}', "hello")
    _check_kinds(own, _HELLO_KINDS)
    settings = sorted({"guard", *_CONTROL_KINDS} & {*own, *tree})
    if own.get("state") and settings:
        raise _bad("fields", settings, "none of them beside state, which brings what was set; send a set afterwards")
    return Hello(**own, controls=_controls(tree, Controls()))


def read_control(text: str, now: Controls) -> Controls | str:
    """What is set after a `set`; "flush" or "save" for one of those. Raises Refusal (400)."""
    tree = _object(text, "set", "flush", "save")
    kind = str(tree.pop("kind"))
    if kind == "set":
        return _controls(tree, now)
    if tree:
        raise _bad(kind, sorted(tree), "no further fields")
    return kind


def samples(data: bytes, format: str, channels: int) -> np.ndarray:
    """A binary message as float32 `(C, T)`. Raises Refusal (400) for half a frame."""
    kind = FORMATS[format]
    if len(data) % (kind.itemsize * channels):
        raise Refusal(
            400, f"a message of {len(data):,} bytes; expected whole frames, a multiple of "
            f"{kind.itemsize * channels} bytes for {channels} channel{'s' * (channels > 1)} of {format}", "frame",
        )  # fmt: skip
    found = np.frombuffer(data, kind).reshape(-1, channels).T
    return found.astype(np.float32) / np.float32(FULL_SCALE) if format == "pcm16" else found.astype(np.float32)


def sound_bytes(sound: np.ndarray, format: str) -> bytes:
    """float32 `(C, T)` as a binary message; in pcm16 each sample is the nearest of its steps, clipped to them."""
    if format == "pcm16":
        sound = np.clip(np.rint(sound * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
    return sound.T.astype(FORMATS[format]).tobytes()


def ready(hello: Hello, model: str, latency_samples: int, longest: int) -> str:
    """The answer to a hello. longest: bytes that a message may hold."""
    latency = {"samples": latency_samples, "ms": round(latency_samples / hello.rate * 1000, 3)}
    facts = {"model": model, "rate": hello.rate, "channels": hello.channels, "format": hello.format}
    return json.dumps({"type": "ready", **facts, "latency": latency, "max_message_bytes": longest})


def settled(controls: Controls) -> str:
    """The answer to a set: all that is set now."""
    return json.dumps({"type": "set", **{field.name: getattr(controls, field.name) for field in fields(controls)}})


def flushed() -> str:
    return json.dumps({"type": "flushed"})


def saved(state: str) -> str:
    """The answer to a save, behind all sound that was sent before it."""
    return json.dumps({"type": "saved", "state": state})


def draining(seconds: float) -> str:
    """Told to every stream when the server is asked to end; what is not done by then is closed with 1012."""
    return json.dumps({"type": "draining", "seconds": seconds})


def error(refusal: Refusal) -> str:
    return json.dumps({"type": "error", "status": refusal.status, "message": str(refusal)})


_NUMBER = (int, float)
_HELLO_KINDS = {
    "rate": int, "channels": int, "format": str, "model": str, "guard": bool, "token": str, "state": str,
}  # fmt: skip
_CONTROL_KINDS = {"atten_lim": (*_NUMBER, type(None)), "mix": _NUMBER, "bypass": bool}


def _check_length(found: int, longest: int) -> None:
    if found > longest:
        raise Refusal(400, f"a message of {found:,} characters; expected {longest:,} at most", "json")


def _object(text: str, *kinds: str, longest: int = LONGEST_JSON) -> dict[str, Any]:
    """The fields of a JSON object whose "type" is one of `kinds`; that stands in "kind" where there are several."""
    _check_length(len(text), longest)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise Refusal(
            400, f"no JSON ({problem}); expected an object with a type: {' or '.join(kinds)}", "json"
        ) from None
    if not isinstance(tree, dict) or tree.get("type") not in kinds:
        found = tree.get("type") if isinstance(tree, dict) else tree
        raise _bad("type", found, " or ".join(kinds))
    kind = tree.pop("type")
    return {**tree, "kind": kind} if len(kinds) > 1 else tree


def _controls(tree: dict[str, Any], now: Controls) -> Controls:
    unknown = sorted(set(tree) - set(_CONTROL_KINDS))
    if unknown:
        raise _bad("field", unknown[0], "one of " + ", ".join((*_HELLO_KINDS, *_CONTROL_KINDS)))
    _check_kinds(tree, _CONTROL_KINDS)
    return Controls(**{field.name: tree.get(field.name, getattr(now, field.name)) for field in fields(Controls)})


def _check_kinds(tree: dict[str, Any], kinds: dict[str, Any]) -> None:
    for name, value in tree.items():
        kind = kinds[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = kind if isinstance(kind, tuple) else (kind,)
            names = " or ".join("null" if one is type(None) else one.__name__ for one in wanted)
            raise _bad(name, value, f"{names}")


def _bad(name: str, value: object, expected: str) -> Refusal:
    shown = repr(value)
    return Refusal(400, f"{name} = {shown if len(shown) < 60 else shown[:57] + '...'}; expected {expected}", "value")
