"""POST /v1/denoise: receives a recording and sends it denoised while the worker writes it."""

import asyncio
import math
import shutil
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from unhiss.errors import ConfigError
from unhiss.infer.loudness import check_loudness
from unhiss.media.source import READABLE
from unhiss.serve.protocol import Controls, RequestError, check_removed, value_error
from unhiss.serve.security import bearer_token, client_address, error_response
from unhiss.serve.service import Service
from unhiss.serve.worker import FORMATS, DenoiseRequest, OutputInfo
from unhiss.serve.worker_pool import DenoiseJob

FIELDS = ("model", "atten_limit_db", "mix", "loudness_lufs", "format", "track")
_NUMBERS = ("atten_limit_db", "mix", "loudness_lufs")
LINGER_S = 2.0  # that a rejected upload is still read: a socket closed with unread bytes loses the response
_FORMAT_OF_TYPE = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/flac": "flac", "audio/x-flac": "flac",
    "audio/ogg": "ogg", "audio/opus": "opus", "audio/mpeg": "mp3", "audio/mp3": "mp3",
}  # fmt: skip


class DenoiseEndpoint:
    """An ASGI application, as starlette.endpoints has them: `await DenoiseEndpoint(service, scope, receive, send)`."""

    def __init__(self, service: Service, scope: Scope, receive: Receive, send: Send) -> None:
        self._service, self._limits, self._scope = service, service.limits, scope
        self._raw_receive, self._raw_send = receive, send
        self._received = 0  # bytes
        self._deadline = service.clock() + service.limits.upload_s
        self._request_complete = self._response_started = False

    def __await__(self) -> Generator[Any, None, None]:
        return self._run().__await__()

    async def _run(self) -> None:
        if self._scope["method"] != "POST":
            raise HTTPException(405, "expected POST", {"allow": "POST"})
        try:
            self._service.check_token(bearer_token(self._scope))
            with (
                self._service.files.acquire(client_address(self._scope)),
                TemporaryDirectory(prefix="unhiss-serve-", ignore_cleanup_errors=True) as folder,
            ):
                await self._handle(Path(folder))
        except RequestError as error:
            await self._reject(error)
        except OSError as error:
            await self._reject(RequestError(507, f"the server cannot store the recording ({error.strerror})", "disk"))

    async def _handle(self, folder: Path) -> None:
        request = Request(self._scope, self._receive)
        length = request.headers.get("content-length", "")
        self._limits.check_size(int(length) if length.isdigit() else 0)
        options, accept = dict(request.query_params), request.headers.get("accept", "")
        parse_options(self._service, options, accept)  # an error is found before the upload
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            source, fields = await self._receive_form(request, folder)
            options |= fields
        else:
            source = folder / "recording"
            with source.open("wb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
        parsed = parse_options(self._service, options, accept)
        if not source.stat().st_size:
            line = "an empty body; send a recording as the body, or as the field file of a form"
            raise RequestError(400, line, "empty")
        self._service.metrics.files.inc()
        job = self._service.workers.submit(source, folder, parsed)
        disconnect = asyncio.create_task(self._wait_for_disconnect())
        try:
            await self._respond(job, FORMATS[parsed.format], disconnect)
        finally:
            disconnect.cancel()
            job.cancel()

    async def _respond(self, job: DenoiseJob, media_type: str, disconnect: asyncio.Task[None]) -> None:
        info_task = asyncio.create_task(job.output_info())
        await asyncio.wait({disconnect, info_task}, return_when=asyncio.FIRST_COMPLETED)
        if not info_task.done():
            info_task.cancel()
            return
        output = info_task.result()
        headers = Headers({
            "content-type": media_type, "content-length": str(output.size), "x-sample-rate": str(output.rate),
            "x-channels": str(output.channels), **_loudness_headers(output),
        })  # fmt: skip
        self._response_started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers.raw})
        async for chunk in job.chunks():
            if disconnect.done():
                return
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body"})

    async def _receive_form(self, request: Request, folder: Path) -> tuple[Path, dict[str, str]]:
        """The uploaded file on the disk, and the other fields. Of the client's file name, only the extension counts."""
        try:
            form = await request.form(max_files=1, max_fields=len(FIELDS) + 1, max_part_size=4096)
        except (HTTPException, KeyError, ValueError, AssertionError) as error:
            raise RequestError(400, f"a damaged form ({getattr(error, 'detail', error)})", "form") from None
        try:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                line = "a form without a recording; send it as the field file, such as curl -F file=@noisy.wav"
                raise RequestError(400, line, "form")
            suffix = PurePosixPath(file.filename or "").suffix.lower()
            source = folder / f"recording{suffix if suffix in READABLE else ''}"
            with source.open("wb") as out:
                await asyncio.to_thread(shutil.copyfileobj, file.file, out, 1 << 20)
            return source, {name: value for name, value in form.items() if isinstance(value, str)}
        finally:
            await form.close()

    async def _receive(self) -> Message:
        """The next part of the request. Raises RequestError for a client that is too slow, or sends too much."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                message = await self._raw_receive()
        except TimeoutError:
            line = f"no byte for {self._limits.idle_s:g} s; send the complete recording"
            raise RequestError(408, line, "idle") from None
        if message["type"] == "http.disconnect":
            self._request_complete = True
            raise RequestError(400, "the client has left", "gone")
        self._received += len(message.get("body", b""))
        self._limits.check_size(self._received)
        if self._service.clock() > self._deadline:
            line = f"the upload took more than {self._limits.upload_s:g} s; send less at a time"
            raise RequestError(408, line, "slow")
        self._request_complete = not message.get("more_body", False)
        return message

    async def _wait_for_disconnect(self) -> None:
        while (await self._raw_receive())["type"] != "http.disconnect":
            pass

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                await self._raw_send(message)
        except TimeoutError:
            raise RequestError(408, f"nothing was read for {self._limits.send_s:g} s", "slow") from None

    async def _reject(self, error: RequestError) -> None:
        self._service.metrics.rejected.labels(error.reason).inc()
        if self._response_started or error.reason == "gone":
            return  # the connection is closed before the promised length is reached, which is an error for the client
        response = error_response(error.status, str(error))
        if not self._request_complete:
            response.headers["connection"] = "close"
        start = {"type": "http.response.start", "status": error.status, "headers": response.raw_headers}
        await self._raw_send(start)
        await self._raw_send({"type": "http.response.body", "body": response.body, "more_body": True})
        if not self._request_complete:
            await self._read_rest()
        await self._raw_send({"type": "http.response.body"})

    async def _read_rest(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                more_body = True
                while more_body:
                    async with asyncio.timeout(LINGER_S / 4):
                        more_body = (await self._raw_receive()).get("more_body", False)


def _loudness_headers(output: OutputInfo) -> dict[str, str]:
    """What was reached of a loudness target, and the warnings, in ASCII."""
    values = {"x-output-lufs": output.output_lufs, "x-output-dbtp": output.output_dbtp, "x-gain-db": output.gain_db}
    headers = {name: f"{value:.2f}" for name, value in values.items() if value is not None}
    if output.warning:
        headers["x-warning"] = " ".join(output.warning.encode("ascii", "replace").decode().split())
    return headers


def parse_options(service: Service, options: Mapping[str, str], accept: str) -> DenoiseRequest:
    """The options of a query or form. Raises RequestError: 400 for a value, 404 for a model, 406 for the format."""
    check_removed(options)
    unknown = sorted(set(options) - set(FIELDS))
    if unknown:
        raise RequestError(400, f"unknown option {unknown[0][:60]!r}; expected one of {', '.join(FIELDS)}", "value")
    path = service.model_path(options.get("model", service.default))
    values: dict[str, Any] = {name: _number(options, name) for name in _NUMBERS if name in options}
    loudness_lufs = values.pop("loudness_lufs", None)
    try:
        check_loudness(loudness_lufs)
    except ConfigError as error:
        raise RequestError(400, str(error).removesuffix(", or None"), "value") from None
    controls = Controls(**values)
    track = options.get("track")
    if track is not None and not (track.isascii() and track.isdecimal() and 0 < int(track) < 1000):
        raise value_error("track", track, "the number of an audio track, from 1")
    return DenoiseRequest(
        model=path, atten_limit_db=controls.atten_limit_db, mix=controls.mix, loudness_lufs=loudness_lufs,
        format=_output_format(options.get("format"), accept), track=int(track) if track else None,
    )  # fmt: skip


def _number(options: Mapping[str, str], name: str) -> float:
    try:
        value = float(options[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise value_error(name, options[name], "a number")
    return value


def _output_format(option: str | None, accept: str) -> str:
    """The option `format`, else the first known type of the Accept header, else WAV if any type is accepted."""
    if option is not None:
        if option not in FORMATS:
            raise value_error("format", option, f"one of {', '.join(FORMATS)}")
        return option
    types = [part.partition(";")[0].strip().lower() for part in (accept or "*/*").split(",")]
    for media_type in types:
        if media_type in _FORMAT_OF_TYPE:
            return _FORMAT_OF_TYPE[media_type]
    if {"*/*", "audio/*", "application/octet-stream"} & set(types):
        return "wav"
    line = f"Accept: {accept[:100]}; expected one of {', '.join(_FORMAT_OF_TYPE)}, or ?format="
    raise RequestError(406, line, "accept")
