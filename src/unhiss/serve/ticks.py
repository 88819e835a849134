"""Live streams of any number, served together: whatever has come in is pushed in one call, tick by tick.

A tick begins when there is sound and the last one began `TICK_S` ago. It takes up to two hops of every stream, so that
a packet of 32 ms goes at once and a longer one shares the next ticks with all others. Who is far behind (sends faster
than it sounds, or was away) comes in turns, few a tick: it gets the time that is left, and makes nobody late.

Sound is waited for, never dropped: `Seat.full` tells a sender to wait, and what nobody fetches is not made.

Ticks run in the event loop: a thread of their own would hand the interpreter over to the sockets with every array
operation, and wait up to 5 ms to have it back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from unhiss.infer.stream import Stream
from unhiss.serve.protocol import Controls

TICK_S = 0.004  # short beside a hop of 16 ms, long enough to find others to share a call with
TAKE_S = 0.032  # of a stream a tick
ROUNDS = 3  # of the loop between two ticks at the least: a message takes as many from its socket to its seat
BEHIND_S = 0.25  # of sound that waits: whoever has more is no live talker at this moment
CATCH_UP = 4  # of those a tick, or more where there are few others
SHARED = 32  # streams in a tick that those may fill up to: with two hops of each it takes about 13 ms
ROOM_S = 2.0  # of sound that may wait, on each side
PACE_S = 1.0  # that `Desk.pace_s` looks back
FULL_S = 0.012  # a tick in which all streams have a hop of 16 ms: with more of them sound would begin to be late

FLUSH, SAVE = object(), object()
Order = np.ndarray | Controls | object  # a block (C, T), what is to be set, FLUSH or SAVE
Answer = np.ndarray | Controls | bytes | object | Exception  # sound (C, T), what was set, a state, FLUSH once flushed


class Seat:
    """One stream's place: blocks and controls go in, in order, and come out as `fetch()` gives them, in order.

    `arrived` is called after each tick that left something to fetch.
    """

    def __init__(self, stream: Stream, arrived: Callable[[], None] = lambda: None) -> None:
        self.stream, self.arrived = stream, arrived
        self._orders: deque[Order] = deque()
        self._answers: deque[Answer] = deque()
        self.waiting = self.unfetched = 0  # samples
        self._take, self._room = max(1, int(TAKE_S * stream.rate)), int(ROOM_S * stream.rate)
        self.failed = False

    @property
    def full(self) -> bool:
        return self.waiting >= self._room

    @property
    def busy(self) -> bool:
        """Whether something can be done for it now: it has orders, and its answers are fetched."""
        return bool(self._orders) and self.unfetched < self._room and not self.failed

    @property
    def behind(self) -> bool:
        return self.waiting > BEHIND_S * self.stream.rate

    def put(self, order: Order) -> None:
        self._orders.append(order)
        if isinstance(order, np.ndarray):
            self.waiting += order.shape[1]

    def fetch(self) -> list[Answer]:
        """All that is done, blocks that follow each other in one."""
        found, self.unfetched = list(self._answers), 0
        self._answers.clear()
        out: list[Answer] = []
        for sounds, answer in _runs(found):
            out.append(np.concatenate(sounds, axis=1) if sounds else answer)
        return out

    def next_block(self) -> np.ndarray:
        """In a tick: carries out the controls that are due, then takes the samples that are, `(C, T)`; maybe none."""
        parts: list[np.ndarray] = []
        size = 0
        while self._orders and size < self._take and self.unfetched < self._room:
            order = self._orders[0]
            if not isinstance(order, np.ndarray):
                if parts:
                    break
                self._carry_out(order)
                self._orders.popleft()
                continue
            part = order[:, : self._take - size]
            size += part.shape[1]
            parts.append(part)
            if part.shape[1] < order.shape[1]:
                self._orders[0] = order[:, part.shape[1] :]
            else:
                self._orders.popleft()
        self.waiting -= size
        if not parts:
            return np.zeros((self.stream.channels, 0), np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def fail(self, error: Exception) -> None:
        self.failed = True
        self.give(error)

    def give(self, answer: Answer) -> None:
        self._answers.append(answer)
        if isinstance(answer, np.ndarray):
            self.unfetched += answer.shape[1]

    def _carry_out(self, order: Order) -> None:
        if isinstance(order, Controls):
            self.stream.atten_limit_db, self.stream.mix, self.stream.bypass = order.atten_lim, order.mix, order.bypass
        elif order is SAVE:
            self.unfetched += self._room  # a state is long: nothing more is done until it is fetched
            order = self.stream.save()
        else:
            self.give(np.atleast_2d(self.stream.flush()))
        self.give(order)


def _due(seat: Seat) -> np.ndarray:
    """The next block of a seat. What fails in its orders (a flush runs the model) is told to it alone."""
    try:
        return seat.next_block()
    except Exception as error:
        seat.fail(error)
        return np.zeros((seat.stream.channels, 0), np.float32)


def _runs(answers: Sequence[Answer]) -> list[tuple[list[np.ndarray], Answer]]:
    """Neighbouring blocks together, everything else by itself."""
    out: list[tuple[list[np.ndarray], Answer]] = []
    for answer in answers:
        if not isinstance(answer, np.ndarray):
            out.append(([], answer))
        elif out and out[-1][0]:
            out[-1][0].append(answer)
        else:
            out.append(([answer], answer))
    return out


@dataclass(slots=True)
class Tick:
    """What one tick did: streams in it, samples of sound that were made, seconds it took."""

    streams: int
    seconds: float
    sound_s: float = field(default=0.0)


class Desk:
    """`seat = desk.open(stream); desk.put(seat, block)`, and `await desk.run()` beside it, until it is cancelled.

    watch: called with each Tick. batched: False pushes each stream by itself, for comparison.
    """

    def __init__(self, watch: Callable[[Tick], None] | None = None, *, batched: bool = True) -> None:
        self._watch, self._batched = watch or (lambda tick: None), batched
        self._seats: list[Seat] = []
        self._turn = 0
        self._news = asyncio.Event()
        self._pace_s = self._paced_at = 0.0

    def open(self, stream: Stream, arrived: Callable[[], None] = lambda: None) -> Seat:
        seat = Seat(stream, arrived)
        self._seats.append(seat)
        return seat

    def close(self, seat: Seat) -> None:
        self._seats.remove(seat)

    def put(self, seat: Seat, order: Order) -> None:
        seat.put(order)
        self.nudge()

    def nudge(self) -> None:
        """There may be something to do: an order came, or answers were fetched."""
        self._news.set()

    @property
    def pace_s(self) -> float:
        """How long the tick is that a random moment of the last second falls into; 0 between ticks."""
        return self._pace_s * math.exp(-(time.monotonic() - self._paced_at) / PACE_S)

    @property
    def full(self) -> bool:
        """Whether one more stream would make the others late."""
        return self.pace_s > FULL_S

    async def run(self) -> None:
        last = 0.0
        while True:
            await self._news.wait()
            await asyncio.sleep(max(0.0, last + TICK_S - time.monotonic()))
            for _ in range(ROUNDS):
                await asyncio.sleep(0)
            self._news.clear()
            last = time.monotonic()
            if self.tick():
                self._news.set()

    def tick(self) -> bool:
        """Serve all that have something; whether something is left to do."""
        begun = time.perf_counter()
        seats = self._chosen([seat for seat in self._seats if seat.busy])
        if not seats:
            return False
        with_sound = [(seat, block) for seat in seats if (block := _due(seat)).shape[1]]
        self._push(with_sound)
        for seat in seats:
            seat.arrived()
        sound_s = sum(block.shape[1] / seat.stream.rate for seat, block in with_sound)
        seconds = time.perf_counter() - begun
        self._pace_s, self._paced_at = self.pace_s - seconds * math.expm1(-seconds / PACE_S), time.monotonic()
        self._watch(Tick(len(with_sound), seconds, sound_s))
        return any(seat.busy for seat in seats)

    def _chosen(self, busy: list[Seat]) -> list[Seat]:
        behind = [seat for seat in busy if seat.behind]
        count = max(CATCH_UP, SHARED - (len(busy) - len(behind)))
        if len(behind) <= count:
            return busy
        self._turn = (self._turn + count) % len(behind)
        late = (behind + behind)[self._turn : self._turn + count]
        return [seat for seat in busy if not seat.behind] + late

    def _push(self, work: list[tuple[Seat, np.ndarray]]) -> None:
        """Blocks in, answers out. Whatever goes wrong is told to those in this tick, and the next one comes."""
        try:
            streams, blocks = [seat.stream for seat, _ in work], [block for _, block in work]
            if self._batched:
                sounds = Stream.push_many(streams, blocks)
            else:
                sounds = [stream.push(block) for stream, block in zip(streams, blocks, strict=True)]
        except Exception as error:
            for seat, _ in work:
                seat.fail(error)
            return
        for (seat, _), sound in zip(work, sounds, strict=True):
            seat.give(sound)
