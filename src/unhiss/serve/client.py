"""A client of `unhiss serve` without asyncio: recordings over HTTP, live audio over a WebSocket.

>>> from unhiss.serve.client import Client
>>> client = Client("http://127.0.0.1:8000")                    # doctest: +SKIP
>>> client.denoise_file("noisy.wav", "clean.wav")               # doctest: +SKIP
>>> with client.stream(48000) as stream:                        # doctest: +SKIP
...     clean = stream.push(block)
"""

from __future__ import annotations

import http.client
import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode, urlsplit

import numpy as np
from numpy.typing import ArrayLike
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from unhiss.arguments import as_path, check_count
from unhiss.atomic import atomic_write
from unhiss.dsp.audio import as_channels, describe_clipping
from unhiss.errors import AudioError, UnhissError, shown
from unhiss.infer.stream import Latency
from unhiss.serve import protocol

TIMEOUT_S = 60.0


class ServerError(UnhissError):
    """The server rejected a request, or cannot be reached. status: the HTTP status, 0 without a response."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """A client of the server at `url`, such as http://127.0.0.1:8000.

    token: if the server requires one. timeout_s: for each response.
    """

    def __init__(self, url: str, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = urlsplit(url if isinstance(url, str) else ""), timeout_s
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ServerError(f"url = {shown(url)}; expected such as http://127.0.0.1:8000")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def denoise_file(self, source: str | Path, target: str | Path, *, force: bool = False, **options: Any) -> None:
        """Denoise a recording; `target` appears when it is complete.

        force: overwrite an existing target, as with `unhiss.denoise_file`. options: model, atten_limit_db, mix,
        loudness_lufs, track, format (default: by the extension of `target`). A warning of the server, such as of a
        loudness that peaks do not allow, is a UserWarning. Raises ServerError; AudioError for a source that cannot be
        read, and for a target that exists or cannot be written.
        """
        source, target = as_path("source", source), as_path("target", target)
        if target.exists() and not force:
            raise AudioError(f"{target} exists; force=True overwrites it")
        options.setdefault("format", target.suffix[1:].lower() or "wav")
        query = urlencode({
            name: str(value).lower() if isinstance(value, bool) else value
            for name, value in options.items() if value is not None
        })  # fmt: skip
        with (
            _open(source) as file,
            self._request("POST", f"/v1/denoise?{query}", file) as response,
            _writing(target) as out,
        ):
            out.writelines(_body(response))
            if response.length:
                raise ServerError(f"{target}: the response ended {response.length:,} bytes early; try again")
        if warning := response.headers.get("x-warning"):
            warnings.warn(f"{source}: {warning}", stacklevel=2)

    def models(self) -> list[dict[str, Any]]:
        """The models of the server. Raises ServerError."""
        with self._request("GET", "/v1/models") as response:
            return list(json.loads(response.read())["models"])

    def stream(self, rate: int, channels: int = 1, *, format: str = "float32", **options: Any) -> RemoteStream:
        """A live stream; a context manager. options: model, atten_limit_db, mix, bypass, speech (see RemoteStream).

        state: what `save` of a stream returned, on this server or another, to continue it. Raises ServerError.
        """
        check_count("rate", rate, 1, "a whole number of Hz")
        check_count("channels", channels, 1, "1 or more")
        start = {"type": "start", "rate": int(rate), "channels": int(channels), "format": format, **options}
        scheme = {"http": "ws", "https": "wss"}[self._url.scheme]
        return RemoteStream(f"{scheme}://{self._url.netloc}{protocol.PATH}", start, self._headers, self._timeout_s)

    @contextmanager
    def _request(self, method: str, path: str, body: BinaryIO | None = None) -> Iterator[http.client.HTTPResponse]:
        """The response to a request. Raises ServerError for any status but 200."""
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        size = {"content-length": str(Path(body.name).stat().st_size)} if body else {}
        with closing(kind(self._url.netloc, timeout=self._timeout_s)) as connection:
            try:
                with suppress(BrokenPipeError, ConnectionResetError):  # rejected half-way: the response says why
                    connection.request(method, self._url.path.rstrip("/") + path, body, self._headers | size)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise ServerError(f"{self._url.geturl()}: {error}; is unhiss serve running there?") from error
            with response:
                if response.status != 200:
                    raise ServerError(_error_message(response), response.status)
                yield response


def _open(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"{source}: no such file") from error
    except OSError as error:
        raise AudioError(f"{source}: cannot be read ({error.strerror})") from error


@contextmanager
def _writing(target: Path) -> Iterator[BinaryIO]:
    """The file that replaces `target` when the block ends."""
    try:
        with atomic_write(target) as draft, draft.open("wb") as out:
            yield out
    except OSError as error:
        raise AudioError(f"{target}: cannot be written ({error.strerror or error}); choose another folder") from error


def _body(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(1 << 16):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"the connection broke ({error}); try again") from error


def _error_message(response: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(response.read(1 << 16))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {response.status} {response.reason}"


class RemoteStream:
    """As unhiss.Stream, on a server: `push(block)` returns as many samples, delayed by `latency`.

    draining: whether the server has announced its shutdown; then `save` and continue on another one.
    speech_probability: of the newest frame of each channel that the server had when it sent the last samples; None
    unless the stream was opened with speech=True.
    """

    def __init__(self, url: str, start: dict[str, Any], headers: dict[str, str], timeout_s: float) -> None:
        self.rate, self.channels, self.format = start["rate"], start["channels"], start["format"]
        self._timeout_s = timeout_s
        self.draining = False
        self.speech_probability = np.zeros(self.channels, np.float32) if start.get("speech") else None
        self._received = np.zeros((self.channels, 0), np.float32)
        self._exit_stack = ExitStack()  # websockets requires a `with`
        try:
            self._socket = self._exit_stack.enter_context(connect(
                url, additional_headers=headers, compression=None, open_timeout=timeout_s, max_size=None, proxy=None
            ))  # fmt: skip
        except (OSError, InvalidHandshake) as error:
            raise ServerError(f"{url}: {error}; is unhiss serve running there?") from error
        try:
            latency = self._call("ready", **start)["latency"]
        except UnhissError:
            self.close()
            raise
        self.latency = Latency(latency["samples"], latency["ms"])

    def push(self, block: ArrayLike) -> np.ndarray:
        """`(C, T)` or `(T,)` -> float32 of the same shape; waits for the server. Raises ServerError, AudioError.

        block: float, or integers, which are scaled by their type, as with `unhiss.Stream`.
        """
        self.send(block)
        shape = np.shape(block)
        while self._received.shape[1] < shape[-1]:
            self._receive_message()
        return self._take(shape[-1]).reshape(shape)

    def send(self, block: ArrayLike) -> None:
        """Send without waiting; `receive` returns the result."""
        audio = as_channels(block, "block")
        if len(audio) != self.channels:
            expected = "(T,) or (1, T)" if self.channels == 1 else f"({self.channels}, T)"
            raise AudioError(f"a block of shape {np.shape(block)}; expected {expected}")
        if self.format == "pcm16" and (clipped := describe_clipping(audio)):
            warnings.warn(f"{clipped} are clipped by pcm16; format='float32' keeps them", UserWarning, stacklevel=2)
        if audio.shape[1]:
            self._send(protocol.encode_samples(audio, self.format))

    def receive(self) -> np.ndarray:
        """The samples received so far, `(C, T)`; waits for one message if there are none."""
        if not self._received.shape[1]:
            self._receive_message()
        return self._take()

    def flush(self) -> np.ndarray:
        """All samples still to come, `(C, T)`: the last `latency.samples`, and those not read before."""
        self._call("flushed", type="flush")
        return self._take()

    def set(self, **controls: Any) -> dict[str, Any]:
        """Change atten_limit_db, mix or bypass. Returns all settings in use. Raises ServerError for a wrong value."""
        return self._call("settings", type="set", **controls)

    def save(self) -> str:
        """The state after all audio sent so far; `Client.stream(…, state=…)` continues from it with the same samples.

        Results of audio sent before are kept for `receive`. Raises ServerError.
        """
        return str(self._call("saved", type="save")["state"])

    def close(self) -> None:
        self._exit_stack.close()

    def __enter__(self) -> RemoteStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, size: int | None = None) -> np.ndarray:
        audio, self._received = np.split(self._received, [self._received.shape[1] if size is None else size], axis=1)
        return audio

    def _call(self, reply: str, **message: Any) -> dict[str, Any]:
        """Send a message and return the reply of this type; audio before it is kept."""
        self._send(json.dumps(message))
        while True:
            answer = self._receive_message()
            if answer.get("type") == reply:
                return answer

    def _send(self, message: str | bytes) -> None:
        with self._server_errors():
            self._socket.send(message)

    def _receive_message(self) -> dict[str, Any]:
        """Keeps audio; returns the fields of a text message. Raises ServerError for an error message."""
        with self._server_errors():
            message = self._socket.recv(self._timeout_s)
        if isinstance(message, bytes):
            audio = protocol.decode_samples(message, self.format, self.channels)
            self._received = np.concatenate([self._received, audio], axis=1)
            return {}
        fields: dict[str, Any] = json.loads(message)
        if fields["type"] == "error":
            raise ServerError(fields["message"], fields["status"])
        if fields["type"] == "speech":
            self.speech_probability = np.array(fields["probability"], np.float32)
        self.draining |= fields["type"] == "draining"
        return fields

    @contextmanager
    def _server_errors(self) -> Iterator[None]:
        """Turns errors of the connection into ServerError."""
        try:
            yield
        except TimeoutError as error:
            raise ServerError(f"no response within {self._timeout_s:g} s") from error
        except ConnectionClosed as error:
            if error.rcvd is None:
                raise ServerError("the connection broke") from error
            code, reason = error.rcvd.code, error.rcvd.reason
            status = 503 if code == protocol.SERVICE_RESTART else max(0, code - protocol.CLOSE_CODE_BASE)
            raise ServerError(f"the server closed the stream ({code}): {reason}", status) from error
