"""State shared by all requests of one server: models, limits, the batcher of live streams, the processes for files."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from unhiss.errors import ConfigError, ModelError, nearest
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.models import load, load_causal
from unhiss.infer.stream import Stream
from unhiss.serve.admission import MAX_STEP_LOAD_S, ConcurrencyLimiter
from unhiss.serve.batcher import Batcher
from unhiss.serve.limits import Limits
from unhiss.serve.metrics import Metrics
from unhiss.serve.protocol import RequestError, StartMessage, value_error
from unhiss.serve.security import StateSigner
from unhiss.serve.worker_pool import WorkerPool
from unhiss.weights import DEFAULT, SHIPPED, find, models

CHECK_INTERVAL_S = 0.25  # between checks of the time limits of all streams
POLL_S = 0.02  # while the server drains
CLOSE_S = 1.0  # for the streams to be closed, at the end


class Connection(Protocol):
    """A client with a live stream: a StreamEndpoint."""

    def warn(self, seconds: float) -> None: ...
    def end(self, error: RequestError) -> None: ...
    def check(self, now: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """model: the default one, a name or an .onnx file. token: required of clients, if not "".

    origins: of other pages that may use this server from a browser, such as https://example.org.
    state_key: shared by servers that continue each other's streams; "" for a single server.
    """

    model: str = DEFAULT
    token: str = ""
    state_key: str = ""
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s]+/?", origin):
                raise ConfigError(f"origin = {origin!r}; expected such as https://example.org, without a path")


class Service:
    """`async with Service(config) as service`: its tasks and worker processes run that long.

    clock: seconds, for the time limits of streams and the length of batching steps. Raises ModelError if there is no
    such model.
    """

    def __init__(self, config: ServerConfig, clock: Callable[[], float] = time.perf_counter) -> None:
        self.config, self.limits, self.clock = config, config.limits, clock
        self.default = Path(config.model).stem if config.model.endswith(".onnx") else config.model
        self.model_paths = {card.name: str(SHIPPED / f"{card.name}.onnx") for card in models()}
        self.model_paths[self.default] = str(find(config.model))
        self.signer = StateSigner(config.state_key)
        self.metrics = Metrics()
        limits = self.limits
        self.streams = ConcurrencyLimiter("live streams", limits.max_streams, limits.max_streams_per_client)
        self.files = ConcurrencyLimiter("files", limits.max_files, limits.max_files_per_client)
        self.connections: set[Connection] = set()
        self.batcher = Batcher(self.metrics.record_step, clock)
        self.workers = WorkerPool(limits)
        self._models: dict[str, CausalModel] = {}
        model = load(self.model_paths[self.default], 1)  # a damaged file is an error at the start
        self._default_entry = {"live": isinstance(model, CausalModel), "latency_ms": model.latency_ms}
        if isinstance(model, CausalModel):
            self._models[self.default] = model
        self.metrics.gauge("unhiss_streams_active", "Live streams running.", lambda: len(self.streams))
        self.metrics.gauge("unhiss_files_active", "Recordings received, queued or denoised.", lambda: len(self.files))
        self.metrics.gauge(
            "unhiss_step_load_seconds", f"Average step length; above {MAX_STEP_LOAD_S} new streams are rejected.",
            lambda: self.batcher.load.value_s,
        )  # fmt: skip

    async def __aenter__(self) -> Service:
        self._tasks = [asyncio.create_task(self.batcher.run()), asyncio.create_task(self._check_connections())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        self.workers.shut_down()

    def check_token(self, token: str) -> None:
        """Raises RequestError (401) unless this is the token, or none is required."""
        expected = self.config.token
        if expected and not hmac.compare_digest(token.encode(), expected.encode()):
            problem = "a wrong token" if token else "no token"
            line = f"{problem}; send Authorization: Bearer TOKEN, or token in the start message of a stream"
            raise RequestError(401, line, "token")

    def model_path(self, name: str) -> str:
        """The file of a model. Clients name models, never paths. Raises RequestError (404)."""
        if name not in self.model_paths:
            line = f"no model {name[:60]!r}; {nearest(name[:60], list(self.model_paths))}"
            raise RequestError(404, line, "model")
        return self.model_paths[name]

    def model_list(self) -> list[dict[str, Any]]:
        """The models that clients may choose, for GET /v1/models."""
        entries: dict[str, dict[str, Any]] = {self.default: self._default_entry}
        for card in models():
            entries[card.name] = {
                "live": card.causal, "latency_ms": card.latency_ms, "summary": card.summary, "licence": card.licence,
            }  # fmt: skip
        return [{"name": name, "default": name == self.default, **entries[name]} for name in self.model_paths]

    def create_stream(self, start: StartMessage) -> Stream:
        """Raises RequestError for a rate, channels or model not available, or a state that does not fit them."""
        self.limits.check_audio(start.rate, start.channels)
        name = start.model or self.default
        path = self.model_path(name)
        try:
            if name not in self._models:
                self._models[name] = load_causal(path, 1)
        except ModelError as error:
            raise RequestError(400, str(error), "model") from None
        if start.speech and not self._models[name].has_speech:
            raise value_error("speech", True, f"false, since {name} gives no probability of speech")
        controls = start.controls
        stream = Stream(
            start.rate, start.channels, self._models[name], atten_limit_db=controls.atten_limit_db, mix=controls.mix,
            bypass=controls.bypass,
        )  # fmt: skip
        if start.state:
            try:
                stream.restore(self.signer.verify(start.state))
            except ModelError as error:
                raise RequestError(400, str(error), "state") from None
        return stream

    async def drain(self) -> None:
        """Reject new requests, warn the streams, wait up to `drain_s` for what runs, then close the streams."""
        self.streams.closed = self.files.closed = True
        for connection in tuple(self.connections):
            connection.warn(self.limits.drain_s)
        await _wait_while(lambda: bool(len(self.streams) or len(self.files)), self.limits.drain_s)
        for connection in tuple(self.connections):
            connection.end(RequestError(503, "the server is shutting down; try again later", "draining"))
        await _wait_while(lambda: bool(self.connections), CLOSE_S)

    async def _check_connections(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            for connection in tuple(self.connections):
                connection.check(self.clock())


async def _wait_while(condition: Callable[[], bool], timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while condition():
                await asyncio.sleep(POLL_S)
