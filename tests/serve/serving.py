"""What the tests of the server share: a real server on a loopback port, patience, and sound."""

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
from unhiss.serve.limits import Limits
from unhiss.serve.run import Server, address, listen
from unhiss.serve.service import Service, Settings

PATIENCE_S = 30
ROUND_OFF = 1e-5  # the issue's; a batch sums in another order
STEP = 1 / 32768


class Running:
    """A server in a thread of this process: its address, its service, and a client of it."""

    def __init__(self, settings: Settings) -> None:
        self._socket = listen("127.0.0.1", 0)
        self.port = self._socket.getsockname()[1]
        self.url = address("127.0.0.1", self._socket)
        self.service = Service(settings)
        self.server = Server(self.service)
        self.client = Client(self.url, settings.token, timeout_s=PATIENCE_S)
        self.thread = threading.Thread(target=self.server.run, args=([self._socket],))

    def __enter__(self) -> Running:
        self.thread.start()
        wait_until(lambda: self.server.started, "the server started")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def wait_until(true: Callable[[], bool], what: str) -> None:
    last = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < last, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.01)


@contextmanager
def serving(
    model: Path | str, token: str = "", origins: tuple[str, ...] = (), state_key: str = "", **limits: float
) -> Iterator[Running]:
    chosen = Limits(**{"drain_s": 0.2, **limits})  # type: ignore[arg-type]
    with Running(
        Settings(model=str(model), token=token, origins=origins, state_key=state_key, limits=chosen)
    ) as running:
        yield running


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)


def request(
    server: Running, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def message(body: bytes) -> str:
    return str(json.loads(body)["error"]["message"])


def wav(sound: np.ndarray, rate: int, subtype: str = "FLOAT") -> bytes:
    held = io.BytesIO()
    sf.write(held, sound.T, rate, format="WAV", subtype=subtype)
    return held.getvalue()


def streamed(client: Client, sound: np.ndarray, rate: int, size: int, **options: object) -> np.ndarray:
    with client.stream(rate, len(sound), **options) as stream:  # type: ignore[arg-type]
        parts = [stream.push(sound[:, i : i + size]) for i in range(0, sound.shape[1], size)]
        return np.concatenate([*parts, stream.flush()], axis=1)[:, stream.latency.samples :]


def form(data: bytes, name: str = "a.wav", field: str = "file", **more: str) -> tuple[bytes, dict[str, str]]:
    line = b"--edge\r\nContent-Disposition: form-data; name="
    parts = [line + f'"{key}"\r\n\r\n{value}\r\n'.encode() for key, value in more.items()]
    parts.append(line + f'"{field}"; filename="{name}"\r\n\r\n'.encode() + data + b"\r\n--edge--\r\n")
    return b"".join(parts), {"content_type": "multipart/form-data; boundary=edge"}
