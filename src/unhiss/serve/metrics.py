"""What GET /metrics tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from unhiss.serve.ticks import Tick

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256)
_ANSWERS = (0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06, 0.1, 0.25, 1.0)
_STREAMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server; a registry of its own, so that two servers may live in one process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.streams = Counter("unhiss_streams", "Live streams begun.", registry=registry)
        self.files = Counter("unhiss_files", "Recordings denoised.", registry=registry)
        self.refused = Counter("unhiss_refused", "Requests and streams refused.", ["reason"], registry=registry)
        self.sound = Counter("unhiss_live_sound_seconds", "Sound that live streams were given back.", registry=registry)
        self.answer_seconds = Histogram(
            "unhiss_answer_seconds", "From live sound that came in to its answer on the way back.",
            buckets=_ANSWERS, registry=registry,
        )  # fmt: skip
        self.tick_seconds = Histogram(
            "unhiss_tick_seconds", "What a tick took; above a hop, 0.016, live sound is late.",
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.tick_streams = Histogram(
            "unhiss_tick_streams", "Live streams that shared a tick.", buckets=_STREAMS, registry=registry
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def tick(self, tick: Tick) -> None:
        self.tick_seconds.observe(tick.seconds)
        self.tick_streams.observe(tick.streams)
        self.sound.inc(tick.sound_s)

    def text(self) -> bytes:
        return generate_latest(self._registry)
