"""A client of `unhiss serve`, without asyncio: recordings over HTTP, live sound over a WebSocket.

>>> from unhiss.serve.client import Client
>>> client = Client("http://127.0.0.1:8000")                    # doctest: +SKIP
>>> client.denoise_file("noisy.wav", "clean.wav")               # doctest: +SKIP
>>> with client.stream(48000) as stream:                        # doctest: +SKIP
...     clean = stream.push(block)
"""

from __future__ import annotations

import http.client
import json
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from unhiss.atomic import atomic_write
from unhiss.errors import UnhissError
from unhiss.infer.checks import check_audio
from unhiss.infer.stream import Latency
from unhiss.serve import protocol

TIMEOUT_S = 60.0


class ServerError(UnhissError):
    """The server refused, or is not there. status: what it answered with, 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A server at `url`, such as http://127.0.0.1:8000. token: if it wants one. timeout_s: to wait for an answer."""

    def __init__(self, url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = urlsplit(url), timeout_s
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ServerError(f"url = {url!r}; expected such as http://127.0.0.1:8000")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def denoise_file(self, source: str | Path, target: str | Path, **options: Any) -> None:
        """Send a recording and keep the answer, whole or not at all. options: model, atten_lim, mix, guard, format.

        The format is that of `target`'s extension unless it is given. Raises ServerError.
        """
        target = Path(target)
        options.setdefault("format", target.suffix[1:].lower() or "wav")
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
        asked = urlencode({name: value for name, value in words.items() if value is not None})
        with (
            Path(source).open("rb") as file,
            _answered(self, "POST", f"/v1/denoise?{asked}", file) as answer,
            atomic_write(target) as draft,
            draft.open("wb") as out,
        ):
            shutil.copyfileobj(answer, out, 1 << 16)
            if answer.length:
                raise ServerError(f"{target}: the answer ended {answer.length:,} bytes early; try again")

    def models(self) -> list[dict[str, Any]]:
        """What the server has. Raises ServerError."""
        with _answered(self, "GET", "/v1/models") as answer:
            return list(json.loads(answer.read())["models"])

    def stream(self, rate: int, channels: int = 1, *, format: str = "float32", **options: Any) -> LiveStream:
        """Live sound; a context manager. options: model, atten_lim, mix, bypass, guard.

        state: what `save` of a stream gave, at this server or at another, to go on from there. Raises ServerError.
        """
        hello = {"type": "hello", "rate": rate, "channels": channels, "format": format, **options}
        scheme = {"http": "ws", "https": "wss"}[self._url.scheme]
        return LiveStream(f"{scheme}://{self._url.netloc}{protocol.PATH}", hello, self._headers, self._timeout_s)


class LiveStream:
    """As unhiss.Stream, at a server: `push(block)` gives as many samples as it gets, `latency` later; `flush`, `set`.

    draining: whether the server has said that it is about to end; `save` then, and go on elsewhere.
    """

    def __init__(self, url: str, hello: dict[str, Any], headers: dict[str, str], timeout_s: float) -> None:
        self.rate, self.channels, self.format = hello["rate"], hello["channels"], hello["format"]
        self._timeout_s = timeout_s
        self.draining = False
        self._ready = np.zeros((self.channels, 0), np.float32)
        self._open = ExitStack()
        try:
            self._socket: ClientConnection = self._open.enter_context(
                connect(
                    url, additional_headers=headers, compression=None, open_timeout=timeout_s, max_size=None, proxy=None
                )
            )
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise ServerError(f"{url}: {error}; is unhiss serve running there?") from error
        try:
            self._tell(hello)
            latency = self._told("ready")["latency"]
        except UnhissError:
            self.close()
            raise
        self.latency = Latency(latency["samples"], latency["ms"])

    def push(self, block: np.ndarray) -> np.ndarray:
        """float `(C, T)` or `(T,)` -> float32 of the same shape, when the server has made it. Raises ServerError."""
        self.send(block)
        return self._fetch(np.shape(block)[-1]).reshape(np.shape(block))

    def send(self, block: np.ndarray) -> None:
        """Send without waiting; `receive` gives what came back."""
        sound = check_audio(block)
        if sound.shape[1]:
            self._said(lambda: self._socket.send(protocol.sound_bytes(sound, self.format)))

    def receive(self) -> np.ndarray:
        """The next samples that the server has made, `(C, T)`; waits for one message if none are here yet."""
        if not self._ready.shape[1]:
            self._take(self._next())
        out, self._ready = self._ready, self._ready[:, :0]
        return out

    def flush(self) -> np.ndarray:
        """All that is still to come, `(C, T)`: the last `latency.samples`, and what was not received."""
        self._tell({"type": "flush"})
        self._told("flushed")
        out, self._ready = self._ready, self._ready[:, :0]
        return out

    def set(self, **controls: Any) -> dict[str, Any]:
        """atten_lim, mix, bypass; gives all that is set now. Raises ServerError for a wrong value."""
        self._tell({"type": "set", **controls})
        return self._told("set")

    def save(self) -> str:
        """The state behind all that was sent; `Client.stream(…, state=…)` goes on from it with the same samples.

        What was sent and not received yet is there before, for `receive`. Raises ServerError.
        """
        self._tell({"type": "save"})
        return str(self._told("saved")["state"])

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> LiveStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fetch(self, size: int) -> np.ndarray:
        while self._ready.shape[1] < size:
            self._take(self._next())
        out, self._ready = self._ready[:, :size], self._ready[:, size:]
        return out

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            sound = protocol.samples(message, self.format, self.channels)
            self._ready = np.concatenate([self._ready, sound], axis=1)

    def _told(self, kind: str) -> dict[str, Any]:
        """The next message of this type; sound before it is kept."""
        while True:
            message = self._next()
            if isinstance(message, bytes):
                self._take(message)
            elif (tree := json.loads(message))["type"] == kind:
                return dict(tree)

    def _next(self) -> str | bytes:
        message: str | bytes = self._said(lambda: self._socket.recv(self._timeout_s))
        if isinstance(message, str):
            tree = json.loads(message)
            if tree["type"] == "error":
                raise ServerError(tree["message"], tree["status"])
            self.draining |= tree["type"] == "draining"
        return message

    def _tell(self, tree: dict[str, Any]) -> None:
        self._said(lambda: self._socket.send(json.dumps(tree)))

    def _said(self, call: Any) -> Any:
        try:
            return call()
        except TimeoutError as error:
            raise ServerError(f"no answer within {self._timeout_s:g} s") from error
        except ConnectionClosed as error:
            frame = error.rcvd
            if frame is None:
                raise ServerError("the connection broke") from error
            status = max(0, frame.code - protocol.CLOSE) if frame.code != protocol.RESTART else 503
            raise ServerError(f"the server closed the stream ({frame.code}): {frame.reason}", status) from error


class _answered:
    """A request, and its answer if it is a good one."""

    def __init__(self, client: Client, method: str, path: str, body: Any = None) -> None:
        kind = http.client.HTTPSConnection if client._url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(client._url.netloc, timeout=client._timeout_s)
        self._what = (method, client._url.path.rstrip("/") + path, body, client._headers)
        self._place = client._url.geturl()

    def __enter__(self) -> http.client.HTTPResponse:
        method, path, body, headers = self._what
        try:
            with_size = headers | ({"content-length": str(Path(body.name).stat().st_size)} if body else {})
            with suppress(BrokenPipeError, ConnectionResetError):  # refused half-way: the answer says why
                self._connection.request(method, path, body, with_size)
            answer = self._answer = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerError(f"{self._place}: {error}; is unhiss serve running there?") from error
        if answer.status != 200:
            text = answer.read(1 << 16)
            self.__exit__()
            try:
                message = json.loads(text)["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = f"answered {answer.status} {answer.reason}"
            raise ServerError(message, answer.status)
        return answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()
        self._connection.close()
