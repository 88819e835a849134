"""WS /v1/stream: one conversation with one client. What it says is in unhiss.serve.protocol."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np
from starlette.types import Receive, Scope, Send

from unhiss.errors import AudioError
from unhiss.infer.checks import check_audio
from unhiss.serve import protocol
from unhiss.serve.gate import bearer, client_of
from unhiss.serve.protocol import Controls, Hello, Refusal
from unhiss.serve.seal import Seal
from unhiss.serve.service import Service
from unhiss.serve.ticks import FLUSH, SAVE, Answer, Seat

ORDERS = {"flush": FLUSH, "save": SAVE}
PARTING_S = 1.0  # that a last word may wait for its reader


class _Gone(Exception):
    """The client has left."""


class Conversation:
    """`await Conversation(service, scope, receive, send).run()`; whatever the client does, it ends in one place."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service, self._limits = service, service.limits
        self._scope, self._receive, self._raw_send = scope, receive, send
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._hello: Hello | None = None
        self._heard = time.monotonic()
        self._sending_since: float | None = None
        self._came: deque[tuple[float, int]] = deque()  # when messages were heard, and samples to answer by their ends
        self._samples_in = self._samples_out = 0
        self._waits = False  # for room, and so hears nothing
        self._task = asyncio.current_task()
        self._verdict: Refusal | None = None
        self._controls = Controls()
        self._sender: asyncio.Task[None] | None = None

    async def run(self) -> None:
        await self._receive()  # websocket.connect
        await self._raw_send({"type": "websocket.accept"})
        self._service.conversations.add(self)
        try:
            with self._service.streams.enter(client_of(self._scope)):
                await self._talk()
        except _Gone:
            return
        except Refusal as refusal:
            await self._part(refusal)
        except asyncio.CancelledError:
            if self._verdict is None:
                raise
            await self._part(self._verdict)
        finally:
            self._service.conversations.discard(self)

    def end(self, refusal: Refusal) -> None:
        """End it from outside, once."""
        if self._verdict is None and self._task:
            self._verdict = refusal
            self._task.cancel()

    def warn(self, seconds: float) -> None:
        """Tell that the server will end."""
        with suppress(RuntimeError):
            self._parting = asyncio.ensure_future(self._quietly(protocol.draining(seconds)))

    def check(self, now: float) -> None:
        """End whoever says nothing, or does not read."""
        limits = self._limits
        if self._sending_since is not None and now - self._sending_since > limits.slow_s:
            self.end(Refusal(408, f"nothing was read for {limits.slow_s:g} s; read what is sent", "slow"))
        elif self._hello is None and now - self._heard > limits.hello_s:
            self.end(Refusal(408, f"no hello within {limits.hello_s:g} s", "idle"))
        elif not self._waits and self._sending_since is None and now - self._heard > limits.idle_s:
            self.end(Refusal(408, f"no message for {limits.idle_s:g} s; send sound, or close the stream", "idle"))

    async def _talk(self) -> None:
        service = self._service
        shown = bearer(self._scope)
        if shown:
            service.check_token(shown)
        hello = protocol.read_hello(await self._text())
        if not shown:
            service.check_token(hello.token)
        service.check_pace()
        stream = await asyncio.to_thread(service.stream, hello)  # a model may have to be loaded
        self._hello = hello
        self._controls = Controls(atten_lim=stream.atten_limit_db, mix=stream.mix, bypass=stream.bypass)
        service.metrics.streams.inc()
        with service.seat(stream, self._news) as seat:
            await self._send(
                {"text": protocol.ready(hello, stream.model.name, stream.latency.samples, self._limits.message_bytes)}
            )
            self._sender = asyncio.create_task(self._answer(seat))
            self._sender.add_done_callback(self._sender_ended)
            try:
                await self._listen(seat, hello)
            finally:
                self._sender.cancel()

    async def _listen(self, seat: Seat, hello: Hello) -> None:
        desk = self._service.desk
        while True:
            message = await self._hear()
            data = message.get("bytes")
            if data is None:
                asked = protocol.read_control(message.get("text") or "", self._controls)
                if isinstance(asked, Controls):
                    self._controls = asked
                    desk.put(seat, asked)
                else:
                    self._samples_in += seat.stream.latency.samples if asked == "flush" else 0
                    desk.put(seat, ORDERS[asked])
            else:
                sound = _sound(data, hello)
                if sound.shape[1]:
                    self._samples_in += sound.shape[1]
                    self._came.append((self._heard, self._samples_in))
                desk.put(seat, sound)
            if seat.full:
                self._waits = True
                self._room.clear()
                await self._room.wait()
                self._waits, self._heard = False, time.monotonic()

    async def _answer(self, seat: Seat) -> None:
        """Send whatever comes off the desk."""
        assert self._hello
        while True:
            await self._news.wait()
            self._news.clear()
            for answer in seat.fetch():
                await self._send(_message(answer, self._hello.format, self._service.seal))
                if isinstance(answer, np.ndarray):
                    self._answered(answer.shape[1])
            if seat.busy:  # it may have waited for the fetch
                self._service.desk.nudge()
            if not seat.full:
                self._room.set()

    def _answered(self, count: int) -> None:
        """Note how long messages waited for the last of their samples' answers, of which `count` more are sent."""
        self._samples_out += count
        while self._came and self._came[0][1] <= self._samples_out:
            self._service.metrics.answer_seconds.observe(time.monotonic() - self._came.popleft()[0])

    def _sender_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Refusal):
            self.end(error)
        elif error is not None and self._task:
            self.end(Refusal(400, "the connection is gone", "gone"))

    async def _text(self) -> str:
        message = await self._hear()
        text = message.get("text")
        if text is None:
            raise Refusal(400, 'a binary message; expected {"type": "hello", "rate": ...} first', "hello")
        return str(text)

    async def _hear(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise _Gone
        self._heard = time.monotonic()
        return message

    async def _send(self, content: dict[str, Any]) -> None:
        self._sending_since = time.monotonic()
        await self._raw_send({"type": "websocket.send", **content})
        self._sending_since = None

    async def _quietly(self, text: str) -> None:
        with suppress(Exception):
            await self._raw_send({"type": "websocket.send", "text": text})

    async def _part(self, refusal: Refusal) -> None:
        """Say why, and close; not for longer than it is worth."""
        if refusal.reason != "gone":
            self._service.metrics.refused.labels(refusal.reason).inc()
        with suppress(Exception):
            async with asyncio.timeout(PARTING_S):
                await self._raw_send({"type": "websocket.send", "text": protocol.error(refusal)})
                reason = str(refusal).encode()[:120].decode(errors="ignore")  # a close frame holds no more
                await self._raw_send({"type": "websocket.close", "code": refusal.close_code, "reason": reason})


def _sound(data: bytes, hello: Hello) -> np.ndarray:
    try:
        return check_audio(protocol.samples(data, hello.format, hello.channels))
    except AudioError as error:
        raise Refusal(400, str(error), "samples") from None


def _message(answer: Answer, format: str, seal: Seal) -> dict[str, Any]:
    if isinstance(answer, np.ndarray):
        return {"bytes": protocol.sound_bytes(answer, format)}
    if isinstance(answer, Controls):
        return {"text": protocol.settled(answer)}
    if isinstance(answer, bytes):
        return {"text": protocol.saved(seal.close(answer))}
    if answer is FLUSH:
        return {"text": protocol.flushed()}
    raise Refusal(500, "the stream failed; begin a new one", "failed")
