"""Admission control: how many requests may run at a time, and whether the processor keeps up with one more stream."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unhiss.serve.protocol import RequestError

WINDOW_S = 1.0  # time constant of the load
MAX_STEP_LOAD_S = 0.012  # of the 16 ms between two hops; with more streams, live audio would start to be late


class ConcurrencyLimiter:
    """Counts running requests, in total and by client. `closed` rejects every new one.

    name: of what is counted, for messages.
    """

    def __init__(self, name: str, limit: int, limit_per_client: int) -> None:
        self._name, self._limit, self._limit_per_client = name, limit, limit_per_client
        self._running: Counter[str] = Counter()
        self.closed = False

    def __len__(self) -> int:
        return self._running.total()

    @contextmanager
    def acquire(self, client: str) -> Iterator[None]:
        """Count one request while the block runs. Raises RequestError (429, 503) if it is one too many."""
        if self.closed:
            raise RequestError(503, "the server is shutting down; try another, or again later", "draining")
        if self._running[client] >= self._limit_per_client:
            message = f"{self._limit_per_client} {self._name} of {client} already, the limit per client"
            raise RequestError(429, message, "per_client")
        if len(self) >= self._limit:
            raise RequestError(503, f"all {self._limit} {self._name} are in use; try again later", "full")
        self._running[client] += 1
        try:
            yield
        finally:
            self._running[client] -= 1
            self._running += Counter()  # drops clients with none


class StepLoad:
    """Average length of the batcher's steps over about the last second, each weighted by its length.

    In other words: the length of the step that a random moment falls into; 0 between steps. For steps of d_i seconds
    that ended at t_i, with W = WINDOW_S:  load(t) = sum_i d_i (1 - exp(-d_i / W)) exp(-(t - t_i) / W).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._value_s = self._updated = 0.0

    @property
    def value_s(self) -> float:
        return self._value_s * math.exp((self._updated - self._clock()) / WINDOW_S)

    def record(self, step_s: float) -> None:
        value_s = self.value_s - step_s * math.expm1(-step_s / WINDOW_S)
        self._value_s, self._updated = value_s, self._clock()

    def check(self) -> None:
        """Raises RequestError (503) if one more stream would make the others late."""
        if self.value_s > MAX_STEP_LOAD_S:
            raise RequestError(503, "the processor has no time for another live stream; try again later", "busy")
