"""Metrics of a server in the Prometheus text format, for GET /metrics."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from unhiss.serve.batcher import Step

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Has a registry of its own, so that one process may run several servers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter, histogram = partial(Counter, registry=self._registry), partial(Histogram, registry=self._registry)
        self.streams = counter("unhiss_streams_started", "Live streams started.")
        self.files = counter("unhiss_files_received", "Recordings received for denoising.")
        self.rejected = counter("unhiss_requests_rejected", "Requests and streams rejected.", ["reason"])
        self._audio = counter("unhiss_stream_audio_seconds", "Audio returned to live streams.")
        self.response_seconds = histogram(
            "unhiss_stream_response_seconds", "From a message with audio to the last of its samples sent back.",
            buckets=(0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06, 0.1, 0.25, 1.0),
        )  # fmt: skip
        self._step_seconds = histogram(
            "unhiss_step_seconds", "Length of a batching step; above a hop, 0.016, live audio is late.",
            buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256),
        )  # fmt: skip
        self._step_streams = histogram(
            "unhiss_step_streams", "Live streams in a batching step.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def record_step(self, step: Step) -> None:
        self._step_seconds.observe(step.seconds)
        self._step_streams.observe(step.streams)
        self._audio.inc(step.audio_s)

    def text(self) -> bytes:
        return generate_latest(self._registry)
