"""What all requests of one server share: its models, limits, doors, the desk of ticks, and the processes for files."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from unhiss.errors import ModelError, nearest
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.models import load, load_causal
from unhiss.infer.stream import Stream
from unhiss.serve.limits import Door, Limits
from unhiss.serve.metrics import Metrics
from unhiss.serve.protocol import Hello, Refusal
from unhiss.serve.seal import Seal
from unhiss.serve.ticks import FULL_S, Desk, Seat
from unhiss.serve.uploads import Workers
from unhiss.weights import DEFAULT, SHIPPED, ModelCard, find, models

LOOK_S = 0.25  # how often it is looked for who is late


class Guest(Protocol):
    """Whoever has a live stream here."""

    def warn(self, seconds: float) -> None:
        """Tell that the server ends in so many seconds."""

    def end(self, refusal: Refusal) -> None:
        """End it, for this reason."""

    def check(self, now: float) -> None:
        """End it if it is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """model: the default one, a name or an .onnx file. token: what clients must show, if anything.

    origins: pages of other places that may use this server from a browser, such as https://example.org.
    state_key: a secret of all servers that go on with each other's streams; "" for one that is alone.
    """

    model: str = DEFAULT
    token: str = ""
    state_key: str = ""
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


class Service:
    """`async with Service(settings) as service`: its tasks and processes live as long.

    Raises ModelError if there is no such model.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.default = Path(settings.model).stem if settings.model.endswith(".onnx") else settings.model
        self.files_of = {card.name: str(SHIPPED / f"{card.name}.onnx") for card in models()}
        self.files_of[self.default] = str(find(settings.model))
        self.seal = Seal(settings.state_key)
        self.metrics = Metrics()
        self.streams = Door("live streams", self.limits.streams, self.limits.streams_per_client)
        self.files = Door("files", self.limits.files, self.limits.files_per_client)
        self.conversations: set[Guest] = set()
        self._loaded: dict[str, CausalModel] = {}
        first = load(self.files_of[self.default], 1)  # a damaged file is told of now
        self.facts_of_default = {"live": isinstance(first, CausalModel), "latency_ms": first.latency_ms}
        if isinstance(first, CausalModel):
            self._loaded[self.default] = first
        self.metrics.gauge("unhiss_streams_now", "Live streams that run.", lambda: len(self.streams))
        self.metrics.gauge("unhiss_pace_seconds", f"Length of the ticks of now; above {FULL_S} no stream is let in.",
                           lambda: self.desk.pace_s)  # fmt: skip
        self.metrics.gauge("unhiss_files_now", "Recordings that arrive, wait or are denoised.", lambda: len(self.files))

    async def __aenter__(self) -> Service:
        self.desk = Desk(self.metrics.tick)
        self.workers = Workers(self.limits)
        self._tasks = [asyncio.create_task(self.desk.run()), asyncio.create_task(self._watch())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        self.workers.end()

    @property
    def cards(self) -> list[ModelCard]:
        return models()

    def check_token(self, shown: str) -> None:
        """Raises Refusal (401) unless this is the token, or none is needed."""
        wanted = self.settings.token
        if wanted and not hmac.compare_digest(shown.encode(), wanted.encode()):
            why = "a wrong token" if shown else "no token"
            raise Refusal(401, f"{why}; send Authorization: Bearer TOKEN, or token in the hello of a stream", "token")

    def file_of(self, model: str) -> str:
        """The file of a model that is served; nobody from outside names a path. Raises Refusal (404)."""
        if model not in self.files_of:
            raise Refusal(404, f"no model {model[:60]!r}; {nearest(model[:60], list(self.files_of))}", "model")
        return self.files_of[model]

    def check_pace(self) -> None:
        """Raises Refusal (503) where live sound would be late for one more stream."""
        if self.desk.full:
            raise Refusal(503, "this server has all the live streams its core can bear; try again in a while", "busy")

    def stream(self, hello: Hello) -> Stream:
        """Raises Refusal for a rate, channels or model that is not to be had, and a state that does not fit them."""
        self.limits.check_sound(hello.rate, hello.channels)
        name = hello.model or self.default
        path = self.file_of(name)
        try:
            if name not in self._loaded:
                self._loaded[name] = load_causal(path, 1)
        except ModelError as error:
            raise Refusal(400, str(error), "model") from None
        controls = hello.controls
        stream = Stream(
            hello.rate, hello.channels, self._loaded[name],
            atten_limit_db=controls.atten_lim, mix=controls.mix, guard=hello.guard,
        )  # fmt: skip
        stream.bypass = controls.bypass
        if hello.state:
            try:
                stream.restore(self.seal.open(hello.state))
            except ModelError as error:
                raise Refusal(400, str(error), "state") from None
        return stream

    @contextmanager
    def seat(self, stream: Stream, arrived: asyncio.Event) -> Iterator[Seat]:
        seat = self.desk.open(stream, arrived.set)
        try:
            yield seat
        finally:
            self.desk.close(seat)

    async def drain(self) -> None:
        """Let nobody in, tell those who are here, and wait until they are done or the time is up."""
        self.streams.closed = self.files.closed = True
        last = time.monotonic() + self.limits.drain_s
        for one in tuple(self.conversations):
            one.warn(self.limits.drain_s)
        while time.monotonic() < last and (len(self.streams) or len(self.files)):
            await asyncio.sleep(0.05)
        for one in tuple(self.conversations):
            one.end(Refusal(503, "the server ends; try again in a while", "draining"))
        last = time.monotonic() + 1
        while time.monotonic() < last and self.conversations:
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            for one in tuple(self.conversations):
                one.check(now)
