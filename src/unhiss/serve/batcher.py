"""Batching of live streams: in each step, the model processes pending audio of all streams in one call.

A step starts when audio is pending and the last step started at least `STEP_S` ago. It takes up to two hops of every
stream, so a packet of 32 ms is processed at once and a longer one is spread over the next steps. Streams with a large
backlog (sent faster than real time, or after a pause) take turns, few in a step: they get the time that is left.

Audio waits and is never dropped: `StreamSlot.input_full` tells the sender to wait, and a stream is not processed while
its results are not read.

Steps run in the event loop. In a thread of their own they would lose the interpreter lock to the sockets at every
array operation, and wait up to 5 ms to get it back.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from unhiss.infer.stream import Stream
from unhiss.serve.admission import StepLoad
from unhiss.serve.protocol import Command, Controls

STEP_S = 0.004  # short against a hop of 16 ms, long enough to collect several streams
BLOCK_S = 0.032  # audio of one stream per step
LOOP_PASSES = 3  # of the event loop between steps: a message needs as many from its socket to its slot
BACKLOG_S = 0.25  # a stream with more pending audio than this is not a live talker
MIN_BACKLOGGED = 4  # of those per step, or more where few others are ready
BATCH_SIZE = 32  # streams that a step is filled up to with those; with two hops of each it takes about 13 ms
BUFFER_S = 2.0  # of pending input, and of unread results

Item = np.ndarray | Controls | Command  # input: audio (C, T), new controls, a command
Speech = tuple[float, ...]  # the probability of speech in the newest frame of each channel
# Results: the probability that comes before audio, audio, controls in use, FLUSH when done, a saved state.
Result = Speech | np.ndarray | Controls | Command | bytes | Exception


class StreamSlot:
    """Input and result queues of one stream; results come in the order of the input.

    on_result: called after each step that left something to read. speech: whether the probability of speech comes
    before audio.
    """

    def __init__(self, stream: Stream, on_result: Callable[[], None] = lambda: None, speech: bool = False) -> None:
        self.stream, self.on_result, self.speech = stream, on_result, speech
        self._items: deque[Item] = deque()
        self._results: deque[Result] = deque()
        self.pending = self.unread = 0  # samples
        self._block_size, self._buffer_size = max(1, int(BLOCK_S * stream.rate)), int(BUFFER_S * stream.rate)
        self.failed = False

    @property
    def input_full(self) -> bool:
        return self.pending >= self._buffer_size

    @property
    def ready(self) -> bool:
        """Whether a step can do something for it: it has input, and its results are read."""
        return bool(self._items) and self.unread < self._buffer_size and not self.failed

    @property
    def backlogged(self) -> bool:
        return self.pending > BACKLOG_S * self.stream.rate

    def put(self, item: Item) -> None:
        self._items.append(item)
        if isinstance(item, np.ndarray):
            self.pending += item.shape[1]

    def read(self) -> list[Result]:
        """All results so far; consecutive audio blocks are joined."""
        joined: list[Result] = []
        for _, group in groupby(self._results, lambda result: isinstance(result, np.ndarray)):
            results = list(group)
            blocks = [result for result in results if isinstance(result, np.ndarray)]
            joined += [np.concatenate(blocks, axis=1)] if blocks else results
        self._results.clear()
        self.unread = 0
        return joined

    def next_block(self) -> np.ndarray:
        """Apply the controls and commands that come next, then take the next audio, `(C, T)` with T >= 0.

        An exception (a flush runs the model) is a result of this stream alone.
        """
        parts: list[np.ndarray] = []
        size = 0
        try:
            while self._items and size < self._block_size and self.unread < self._buffer_size:
                item = self._items[0]
                if isinstance(item, np.ndarray):
                    part = item[:, : self._block_size - size]
                    size += part.shape[1]
                    parts.append(part)
                    if part.shape[1] < item.shape[1]:
                        self._items[0] = item[:, part.shape[1] :]
                        break
                elif parts:
                    break
                else:
                    self._apply(item)
                self._items.popleft()
        except Exception as error:
            self.fail(error)
        self.pending -= size
        if not parts:
            return np.zeros((self.stream.channels, 0), np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def add_result(self, result: Result) -> None:
        self._results.append(result)
        if isinstance(result, np.ndarray):
            self.unread += result.shape[1]

    def add_speech(self) -> None:
        """Add the probability of the newest frame, for the audio that comes next."""
        probability = self.stream.speech_probability
        if self.speech and probability is not None:
            self.add_result(tuple(probability.tolist()))

    def fail(self, error: Exception) -> None:
        self.failed = True
        self.add_result(error)

    def _apply(self, item: Controls | Command) -> None:
        stream = self.stream
        if isinstance(item, Controls):
            stream.atten_limit_db, stream.mix, stream.bypass = item.atten_limit_db, item.mix, item.bypass
            self.add_result(item)
        elif item is Command.FLUSH:
            self.add_result(np.atleast_2d(stream.flush()))
            self.add_result(item)
        else:
            self.unread += self._buffer_size  # a state is large: the stream waits until it is read
            self.add_result(stream.save())


@dataclass(frozen=True, slots=True)
class Step:
    """Statistics of one step: streams in it, how long it took, audio produced."""

    streams: int
    seconds: float
    audio_s: float


class Batcher:
    """`slot = batcher.add(stream); batcher.put(slot, block)` while the task `batcher.run()` runs.

    on_step: called after each step. clock: seconds, for how long steps take.
    """

    def __init__(
        self, on_step: Callable[[Step], None] = lambda step: None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._on_step, self._clock = on_step, clock
        self._slots: list[StreamSlot] = []
        self._next_backlogged = 0
        self._wake = asyncio.Event()
        self.load = StepLoad(clock)

    def add(self, stream: Stream, on_result: Callable[[], None] = lambda: None, speech: bool = False) -> StreamSlot:
        slot = StreamSlot(stream, on_result, speech)
        self._slots.append(slot)
        return slot

    def remove(self, slot: StreamSlot) -> None:
        self._slots.remove(slot)

    def put(self, slot: StreamSlot, item: Item) -> None:
        slot.put(item)
        self.wake()

    def wake(self) -> None:
        """Check for work: new input arrived, or results were read."""
        self._wake.set()

    async def run(self) -> None:
        """Run steps until cancelled."""
        started = 0.0
        while True:
            await self._wake.wait()
            await asyncio.sleep(max(0.0, started + STEP_S - self._clock()))
            for _ in range(LOOP_PASSES):
                await asyncio.sleep(0)
            self._wake.clear()
            started = self._clock()
            if self.step():
                self._wake.set()

    def step(self) -> bool:
        """Process the streams that are ready. Returns whether some are ready for another step."""
        started = self._clock()
        slots = self._select([slot for slot in self._slots if slot.ready])
        if not slots:
            return False
        batch = [(slot, block) for slot in slots if (block := slot.next_block()).shape[1]]
        self._push(batch)
        for slot in slots:
            slot.on_result()
        seconds = self._clock() - started
        self.load.record(seconds)
        self._on_step(Step(len(batch), seconds, sum(block.shape[1] / slot.stream.rate for slot, block in batch)))
        return any(slot.ready for slot in slots)

    def _select(self, ready: list[StreamSlot]) -> list[StreamSlot]:
        backlogged = [slot for slot in ready if slot.backlogged]
        count = max(MIN_BACKLOGGED, BATCH_SIZE - (len(ready) - len(backlogged)))
        if len(backlogged) <= count:
            return ready
        first = self._next_backlogged = (self._next_backlogged + count) % len(backlogged)
        return [slot for slot in ready if not slot.backlogged] + (backlogged + backlogged)[first : first + count]

    def _push(self, batch: list[tuple[StreamSlot, np.ndarray]]) -> None:
        """Push all blocks in one call. An exception is the result of every stream in the batch; later steps go on."""
        try:
            results = Stream.push_many([slot.stream for slot, _ in batch], [block for _, block in batch])
        except Exception as error:
            for slot, _ in batch:
                slot.fail(error)
            return
        for (slot, _), result in zip(batch, results, strict=True):
            slot.add_speech()
            slot.add_result(result)
