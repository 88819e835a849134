"""WS /v1/stream: one live stream. unhiss.serve.protocol describes the messages."""

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from starlette.types import Receive, Scope, Send

from unhiss.serve import protocol
from unhiss.serve.batcher import Result, StreamSlot
from unhiss.serve.protocol import Command, Controls, RequestError, StartMessage
from unhiss.serve.security import StateSigner, bearer_token, client_address
from unhiss.serve.service import Service

CLOSE_TIMEOUT_S = 1.0  # to send the error and the close
MAX_CLOSE_REASON = 120  # bytes in a close frame


class _ClientGoneError(Exception):
    """The client closed the connection."""


class StreamEndpoint:
    """An ASGI application: `await StreamEndpoint(service, scope, receive, send)` until the stream ends.

    One task receives, another sends; every error ends in `_close`.
    """

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service, self._limits, self._clock = service, service.limits, service.clock
        self._scope, self._receive, self._raw_send = scope, receive, send
        self._has_results, self._has_space = asyncio.Event(), asyncio.Event()
        self._start: StartMessage | None = None
        self._controls = Controls()
        self._last_received = self._clock()
        self._sending_since: float | None = None
        self._paused = False  # waits for space in the input queue, and so receives nothing
        self._unanswered: deque[tuple[float, int]] = deque()  # when messages came, and `samples_in` at their ends
        self._samples_in = self._samples_out = 0
        self._task = asyncio.current_task()
        self._error: RequestError | None = None

    def __await__(self) -> Generator[Any, None, None]:
        return self._run().__await__()

    async def _run(self) -> None:
        await self._receive()  # websocket.connect
        await self._raw_send({"type": "websocket.accept"})
        self._service.connections.add(self)
        try:
            with self._service.streams.acquire(client_address(self._scope)):
                await self._stream()
        except _ClientGoneError:
            return
        except RequestError as error:
            await self._close(error)
        except asyncio.CancelledError:
            if self._error is None:
                raise
            await self._close(self._error)
        finally:
            self._service.connections.discard(self)

    def end(self, error: RequestError) -> None:
        """Close the stream for this reason; called from other tasks."""
        if self._error is None and self._task:
            self._error = error
            self._task.cancel()

    def warn(self, seconds: float) -> None:
        """Tell the client that the server shuts down in so many seconds."""
        # Kept, since the loop has only a weak reference to it.
        self._warning = asyncio.create_task(self._send_quietly(protocol.message("draining", seconds=seconds)))

    def check(self, now: float) -> None:
        """End the stream of a client that sends nothing, or does not read."""
        limits, silence_s = self._limits, now - self._last_received
        if self._sending_since is not None:
            if now - self._sending_since > limits.send_s:
                self.end(RequestError(408, f"nothing was read for {limits.send_s:g} s; read what is sent", "slow"))
        elif self._start is None and silence_s > limits.handshake_s:
            self.end(RequestError(408, f"no start message within {limits.handshake_s:g} s", "idle"))
        elif not self._paused and silence_s > limits.idle_s:
            line = f"no message for {limits.idle_s:g} s; send audio, or close the stream"
            self.end(RequestError(408, line, "idle"))

    async def _stream(self) -> None:
        service = self._service
        token = bearer_token(self._scope)
        if token:
            service.check_token(token)
        text = (await self._next_message()).get("text")
        if text is None:
            raise RequestError(400, 'a binary message; expected {"type": "start", "rate": ...} first', "start")
        start = protocol.parse_start(text)
        if not token:
            service.check_token(start.token)
        service.batcher.load.check()
        stream = await asyncio.to_thread(service.create_stream, start)  # may load a model
        self._start = start
        self._controls = Controls(atten_limit_db=stream.atten_limit_db, mix=stream.mix, bypass=stream.bypass)
        service.metrics.streams.inc()
        slot = service.batcher.add(stream, self._has_results.set, start.speech)
        try:
            model, latency = stream.model.name, stream.latency.samples
            await self._send({"text": protocol.ready_message(start, model, latency, self._limits.max_message_bytes)})
            sender = asyncio.create_task(self._send_results(slot, start.format))
            sender.add_done_callback(self._on_sender_done)
            try:
                await self._receive_input(slot, start)
            finally:
                sender.cancel()
        finally:
            service.batcher.remove(slot)

    async def _receive_input(self, slot: StreamSlot, start: StartMessage) -> None:
        batcher = self._service.batcher
        while True:
            message = await self._next_message()
            data = message.get("bytes")
            if data is None:
                request = protocol.parse_request(message.get("text") or "", self._controls)
                if isinstance(request, Controls):
                    self._controls = request
                elif request is Command.FLUSH:
                    self._samples_in += slot.stream.latency.samples
                batcher.put(slot, request)
            else:
                audio = protocol.decode_samples(data, start.format, start.channels)
                if audio.shape[1]:
                    self._samples_in += audio.shape[1]
                    self._unanswered.append((self._last_received, self._samples_in))
                batcher.put(slot, audio)
            if slot.input_full:
                self._paused = True
                self._has_space.clear()
                await self._has_space.wait()
                self._paused, self._last_received = False, self._clock()

    async def _send_results(self, slot: StreamSlot, format: str) -> None:
        while True:
            await self._has_results.wait()
            self._has_results.clear()
            for result in slot.read():
                await self._send(_encode_result(result, format, self._service.signer))
                if isinstance(result, np.ndarray):
                    self._record_response(result.shape[1])
            if slot.ready:  # it may have waited for this read
                self._service.batcher.wake()
            if not slot.input_full:
                self._has_space.set()

    def _record_response(self, samples: int) -> None:
        """Record the response times of the messages whose last sample is among `samples` more sent back."""
        self._samples_out += samples
        while self._unanswered and self._unanswered[0][1] <= self._samples_out:
            self._service.metrics.response_seconds.observe(self._clock() - self._unanswered.popleft()[0])

    def _on_sender_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, RequestError):
            self.end(error)
        elif error is not None:
            self.end(RequestError(400, "the connection broke", "gone"))

    async def _next_message(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise _ClientGoneError
        self._last_received = self._clock()
        return message

    async def _send(self, content: dict[str, Any]) -> None:
        self._sending_since = self._clock()
        await self._raw_send({"type": "websocket.send", **content})
        self._sending_since = None

    async def _send_quietly(self, text: str) -> None:
        with suppress(Exception):
            await self._raw_send({"type": "websocket.send", "text": text})

    async def _close(self, error: RequestError) -> None:
        """Send the error and close, within CLOSE_TIMEOUT_S."""
        if error.reason != "gone":
            self._service.metrics.rejected.labels(error.reason).inc()
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                text = protocol.message("error", status=error.status, message=str(error))
                await self._raw_send({"type": "websocket.send", "text": text})
                reason = str(error).encode()[:MAX_CLOSE_REASON].decode(errors="ignore")
                await self._raw_send({"type": "websocket.close", "code": error.close_code, "reason": reason})


def _encode_result(result: Result, format: str, signer: StateSigner) -> dict[str, Any]:
    if isinstance(result, np.ndarray):
        return {"bytes": protocol.encode_samples(result, format)}
    if isinstance(result, tuple):
        return {"text": protocol.speech_message(result)}
    if isinstance(result, Controls):
        return {"text": protocol.message("settings", **asdict(result))}
    if isinstance(result, bytes):
        return {"text": protocol.message("saved", state=signer.sign(result))}
    if result is Command.FLUSH:
        return {"text": protocol.message("flushed")}
    raise RequestError(500, "the stream failed; start a new one", "failed")
