"""Shared by the tests of the server: a server in a thread, its clock, requests and audio."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss.serve.client import Client
from unhiss.serve.http_server import HttpServer, listen, server_url
from unhiss.serve.limits import Limits
from unhiss.serve.service import ServerConfig, Service

TIMEOUT_S = 120  # of a test that hangs; nothing depends on how fast the machine is
ROUND_OFF = 1e-5  # a batch sums in another order
PCM16_STEP = 1 / 32768


class ManualClock:
    """A clock that tests move: steps take no time, and clients are idle only for as long as a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class RunningServer:
    """A server in a thread of this process: its address, service, clock and a client."""

    def __init__(self, config: ServerConfig, clock: Callable[[], float] | None = None) -> None:
        self._listener = listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.url = server_url("127.0.0.1", self._listener)
        self.clock = ManualClock()
        self.service = Service(config, clock or self.clock)
        self.http = HttpServer(self.service)
        self.client = Client(self.url, config.token, timeout_s=TIMEOUT_S)
        self._thread = threading.Thread(target=self.http.run, args=([self._listener],))

    def __enter__(self) -> RunningServer:
        self._thread.start()
        wait_until(lambda: self.http.started, "the server started")
        return self

    def __exit__(self, *_: object) -> None:
        self.http.should_exit = True
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()


def wait_until(condition: Callable[[], object], description: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_S} s: {description}"
        time.sleep(0.01)


@contextmanager
def serving(
    model: Path | str, token: str = "", origins: tuple[str, ...] = (), state_key: str = "",
    clock: Callable[[], float] | None = None, **limits: float,
) -> Iterator[RunningServer]:  # fmt: skip
    config = ServerConfig(
        model=str(model), token=token, origins=origins, state_key=state_key,
        limits=Limits(**{"drain_s": 0.2, **limits}),  # type: ignore[arg-type]
    )  # fmt: skip
    with RunningServer(config, clock) as running:
        yield running


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)


def request(
    server: RunningServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (in lower case) and body of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def error_message(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])


def wav(audio: np.ndarray, rate: int, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, audio.T, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


def stream_audio(client: Client, audio: np.ndarray, rate: int, size: int, **options: object) -> np.ndarray:
    """Audio sent through a live stream in blocks of `size`, without the delay."""
    with client.stream(rate, len(audio), **options) as stream:  # type: ignore[arg-type]
        parts = [stream.push(audio[:, i : i + size]) for i in range(0, audio.shape[1], size)]
        return np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]


def form(data: bytes, name: str = "a.wav", field: str = "file", **fields: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a multipart form."""
    line = b"--edge\r\nContent-Disposition: form-data; name="
    parts = [line + f'"{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    parts.append(line + f'"{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n--edge--\r\n")
    return b"".join(parts), {"content_type": "multipart/form-data; boundary=edge"}
