"""POST /v1/denoise: a recording in, the same without noise out, sent while it is made."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from unhiss.media.recordings import EXTENSIONS
from unhiss.serve import uploads
from unhiss.serve.gate import bearer, client_of, error_body
from unhiss.serve.protocol import Controls, Refusal
from unhiss.serve.service import Service
from unhiss.serve.work import FORMATS, Wish

FIELDS = ("model", "atten_lim", "mix", "guard", "format")
LINGER_S = 2.0  # that an upload which was refused is still read: a socket closed on unread bytes loses the answer
_TYPES = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/flac": "flac", "audio/x-flac": "flac",
          "audio/ogg": "ogg", "audio/opus": "opus", "audio/mpeg": "mp3", "audio/mp3": "mp3"}  # fmt: skip


class Exchange:
    """One request and its answer. `await Exchange(service, scope, receive, send).run()`."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service, self._limits, self._scope = service, service.limits, scope
        self._raw_receive, self._raw_send = receive, send
        self._meter = uploads.Meter(service.limits)
        self._whole = False  # whether all of the request was read
        self._begun = False  # whether the answer has

    async def run(self) -> None:
        try:
            self._service.check_token(bearer(self._scope))
            with self._service.files.enter(client_of(self._scope)), uploads.Folder() as folder:
                await self._serve(folder)
        except Refusal as refusal:
            await self._refuse(refusal)
        except OSError as error:
            await self._refuse(Refusal(507, f"the server cannot keep this recording ({error.strerror})", "disk"))

    async def _serve(self, folder: Path) -> None:
        request = Request(self._scope, self._receive)
        self._limits.check_size(_declared(request))
        asked, accept = dict(request.query_params), request.headers.get("accept", "")
        wished(self._service, asked, accept)  # before all of a recording is sent in vain
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            source, fields = await self._form(request, folder)
            asked |= fields
        else:
            source = folder / "recording"
            with source.open("wb") as file:
                async for piece in request.stream():
                    file.write(piece)
        wish = wished(self._service, asked, accept)
        if not source.stat().st_size:
            raise Refusal(400, "no bytes came; send a recording as the body, or as the field file of a form", "empty")
        self._service.metrics.files.inc()
        await self._answer(self._service.workers.start(source, folder, wish), folder, wish)

    async def _answer(self, task: Any, folder: Path, wish: Wish) -> None:
        leaving = asyncio.create_task(self._until_gone())
        try:
            finding = asyncio.create_task(uploads.facts(task, folder))
            await asyncio.wait({leaving, finding}, return_when=asyncio.FIRST_COMPLETED)
            if not finding.done():
                finding.cancel()
                return
            facts = finding.result()
            headers = {
                "content-type": FORMATS[wish.format], "content-length": str(facts.size),
                "x-sample-rate": str(facts.rate), "x-channels": str(facts.channels),
            }  # fmt: skip
            self._begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _raw(headers)})
            async for piece in uploads.pieces(task, folder):
                if leaving.done():
                    return
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
            await self._send({"type": "http.response.body"})
        finally:
            leaving.cancel()
            task.cancel()

    async def _form(self, request: Request, folder: Path) -> tuple[Path, dict[str, str]]:
        """The recording of a multipart form on the disk, and the other fields. Of the name it came with, the end."""
        fields = len(FIELDS) + 1
        parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=fields, max_part_size=4096)
        try:
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError, AssertionError) as error:
            raise Refusal(400, f"a damaged form ({getattr(error, 'message', error)})", "form") from None
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                line = "a form without a recording; send it as the field file, such as curl -F file=@noisy.wav"
                raise Refusal(400, line, "form")
            suffix = PurePosixPath(file.filename or "").suffix.lower()
            source = folder / f"recording{suffix if suffix in EXTENSIONS else ''}"
            await asyncio.to_thread(_copy, file.file, source)
            return source, {name: value for name, value in form.items() if isinstance(value, str)}
        finally:
            await form.close()

    async def _receive(self) -> Message:
        """The next part of the request, counted; it must come in time."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                message = await self._raw_receive()
        except TimeoutError:
            raise Refusal(408, f"no byte for {self._limits.idle_s:g} s; send all of the recording", "idle") from None
        if message["type"] == "http.disconnect":
            self._whole = True
            raise Refusal(400, "the client has left", "gone")
        self._meter.add(len(message.get("body", b"")))
        self._whole = not message.get("more_body", False)
        return message

    async def _until_gone(self) -> None:
        while (await self._raw_receive())["type"] != "http.disconnect":
            pass

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.slow_s):
                await self._raw_send(message)
        except TimeoutError:
            raise Refusal(408, f"nothing was read for {self._limits.slow_s:g} s", "slow") from None

    async def _refuse(self, refusal: Refusal) -> None:
        self._service.metrics.refused.labels(refusal.reason).inc()
        if (
            self._begun or refusal.reason == "gone"
        ):  # too late for words: the connection is closed before the length that was promised
            return
        body = error_body(refusal)
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        if refusal.status == 401:
            headers["www-authenticate"] = "Bearer"
        if refusal.status in (429, 503):
            headers["retry-after"] = "5"
        if not self._whole:
            headers["connection"] = "close"
        await self._raw_send({"type": "http.response.start", "status": refusal.status, "headers": _raw(headers)})
        await self._raw_send({"type": "http.response.body", "body": body, "more_body": True})
        if not self._whole:
            await self._linger()
        await self._raw_send({"type": "http.response.body"})

    async def _linger(self) -> None:
        last = time.monotonic() + LINGER_S
        with suppress(TimeoutError):
            while time.monotonic() < last:
                async with asyncio.timeout(LINGER_S / 4):
                    message = await self._raw_receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def wished(service: Service, asked: Mapping[str, str], accept: str) -> Wish:
    """What the query or the form asks for. Raises Refusal: 400 for a wrong value, 404 for a model, 406 for a format."""
    unknown = sorted(set(asked) - set(FIELDS))
    if unknown:
        raise Refusal(400, f"{unknown[0][:60]!r} is no setting; expected one of {', '.join(FIELDS)}", "value")
    model = asked.get("model", service.default)
    controls = Controls(
        atten_lim=_number(asked, "atten_lim") if "atten_lim" in asked else None,
        mix=_number(asked, "mix") if "mix" in asked else 1.0,
    )
    guard = asked.get("guard", "true")
    if guard not in ("true", "false"):
        raise Refusal(400, f"guard = {guard[:60]!r}; expected true or false", "value")
    return Wish(
        model=service.file_of(model), atten_lim=controls.atten_lim, mix=controls.mix, guard=guard == "true",
        format=_format(asked.get("format"), accept),
    )  # fmt: skip


def _number(asked: Mapping[str, str], name: str) -> float:
    try:
        value = float(asked[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(400, f"{name} = {asked[name][:60]!r}; expected a number", "value")
    return value


def _format(asked: str | None, accept: str) -> str:
    """?format= if it is there, else the first of Accept that is known; WAV where all is welcome."""
    if asked is not None:
        if asked not in FORMATS:
            raise Refusal(400, f"format = {asked[:60]!r}; expected one of {', '.join(FORMATS)}", "value")
        return asked
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")] if accept else ["*/*"]
    for kind in kinds:
        if kind in _TYPES:
            return _TYPES[kind]
    if {"*/*", "audio/*", "application/octet-stream"} & set(kinds):
        return "wav"
    raise Refusal(406, f"Accept: {accept[:100]}; expected one of {', '.join(_TYPES)}, or ?format=", "accept")


def _declared(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdigit() else 0


def _copy(file: Any, target: Path) -> None:
    with target.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
