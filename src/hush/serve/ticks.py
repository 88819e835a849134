"""Live streams of any number, served by one thread: whatever has come in is pushed together, tick by tick.

A tick begins when there is sound and the last one began `TICK_S` ago. It takes up to two hops of every stream, so that
a packet of 32 ms goes at once and a longer one shares the next ticks with all others. Who is far behind (sends faster
than it sounds, or was away) comes in turns, few a tick: it gets the time that is left, and makes nobody late.

Sound is waited for, never dropped: `Seat.full` tells a sender to wait, and what nobody fetches is not made.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hush.infer.batch import push_all
from hush.infer.stream import Stream
from hush.serve.protocol import Controls

TICK_S = 0.004  # short beside a hop of 16 ms, long enough to find others to share a call with
TAKE_S = 0.032  # of a stream a tick
BEHIND_S = 0.25  # of sound that waits: whoever has more is no live talker at this moment
CATCH_UP = 4  # of those a tick
ROOM_S = 2.0  # of sound that may wait, on each side

FLUSH, SAVE = object(), object()
Order = np.ndarray | Controls | object  # a block (C, T), what is to be set, FLUSH or SAVE
Answer = np.ndarray | Controls | bytes | object | Exception  # sound (C, T), what was set, a state, FLUSH once flushed


class Seat:
    """One stream's place: blocks and controls go in, in order, and come out as `fetch()` gives them, in order.

    `arrived` is called, from the thread of ticks, by way of the desk's `wake`. One thread pushes and fetches.
    """

    def __init__(self, stream: Stream, arrived: Callable[[], None] = lambda: None) -> None:
        self.stream, self.arrived = stream, arrived
        self._orders: deque[Order] = deque()
        self._answers: deque[Answer] = deque()
        self.waiting = self.unfetched = 0  # samples
        self._take, self._room = max(1, int(TAKE_S * stream.rate)), int(ROOM_S * stream.rate)
        self._lock = threading.Lock()
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
        with self._lock:
            self._orders.append(order)
            if isinstance(order, np.ndarray):
                self.waiting += order.shape[1]

    def fetch(self) -> list[Answer]:
        """All that is done, blocks that follow each other in one."""
        with self._lock:
            found, self.unfetched = list(self._answers), 0
            self._answers.clear()
        out: list[Answer] = []
        for sounds, answer in _runs(found):
            out.append(np.concatenate(sounds, axis=1) if sounds else answer)
        return out

    def next_block(self) -> np.ndarray:
        """In a tick: carries out the controls that are due, then takes the samples that are, `(C, T)`; maybe none."""
        with self._lock:
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

    def give(self, answer: Answer) -> None:
        with self._lock:
            self._answer(answer)

    def fail(self, error: Exception) -> None:
        self.failed = True
        self.give(error)

    def _answer(self, answer: Answer) -> None:
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
            self._answer(np.atleast_2d(self.stream.flush()))
        self._answer(order)


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
    """The thread of ticks. `with Desk() as desk: seat = desk.open(stream); desk.put(seat, block)`.

    wake: called once a tick, in its thread, with the seats that have something to fetch. watch: with each Tick.
    batched: False pushes each stream by itself, for comparison.
    """

    def __init__(
        self, wake: Callable[[list[Seat]], None] | None = None, watch: Callable[[Tick], None] | None = None, *,
        batched: bool = True,
    ) -> None:  # fmt: skip
        self._wake = wake or (lambda seats: [seat.arrived() for seat in seats] and None)
        self._watch, self._batched = watch or (lambda tick: None), batched
        self._seats: list[Seat] = []
        self._turn = 0
        self._news = threading.Condition()
        self._pending = self._ending = False
        self._thread = threading.Thread(target=self._run, name="hush ticks", daemon=True)

    def __enter__(self) -> Desk:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._ending = True
            self._news.notify()
        self._thread.join()

    def open(self, stream: Stream, arrived: Callable[[], None] = lambda: None) -> Seat:
        seat = Seat(stream, arrived)
        with self._news:
            self._seats = [*self._seats, seat]
        return seat

    def close(self, seat: Seat) -> None:
        with self._news:
            self._seats = [other for other in self._seats if other is not seat]

    def put(self, seat: Seat, order: Order) -> None:
        seat.put(order)
        self.nudge()

    def nudge(self) -> None:
        """There may be something to do: an order came, or answers were fetched."""
        if not self._pending:
            with self._news:
                self._pending = True
                self._news.notify()

    def _run(self) -> None:
        last = 0.0
        while True:
            with self._news:
                while not self._pending and not self._ending:
                    self._news.wait()
                if self._ending:
                    return
            time.sleep(max(0.0, last + TICK_S - time.monotonic()))
            self._pending = False
            last = time.monotonic()
            if self.tick():
                self._pending = True

    def tick(self) -> bool:
        """Serve all that have something; whether something is left to do. For whoever has a loop of their own, too."""
        begun = time.perf_counter()
        seats = self._chosen([seat for seat in self._seats if seat.busy])
        if not seats:
            return False
        with_sound = [(seat, block) for seat in seats if (block := _due(seat)).shape[1]]
        self._push(with_sound)
        self._wake(seats)
        sound_s = sum(block.shape[1] / seat.stream.rate for seat, block in with_sound)
        self._watch(Tick(len(with_sound), time.perf_counter() - begun, sound_s))
        return any(seat.busy for seat in seats)

    def _chosen(self, busy: list[Seat]) -> list[Seat]:
        behind = [seat for seat in busy if seat.behind]
        if len(behind) <= CATCH_UP:
            return busy
        self._turn = (self._turn + CATCH_UP) % len(behind)
        late = (behind + behind)[self._turn : self._turn + CATCH_UP]
        return [seat for seat in busy if not seat.behind] + late

    def _push(self, work: list[tuple[Seat, np.ndarray]]) -> None:
        """Blocks in, answers out. Whatever goes wrong is told to those in this tick, and the thread lives on."""
        try:
            streams, blocks = [seat.stream for seat, _ in work], [block for _, block in work]
            if self._batched:
                sounds = push_all(streams, blocks)
            else:
                sounds = [stream.push(block) for stream, block in zip(streams, blocks, strict=True)]
        except Exception as error:
            for seat, _ in work:
                seat.fail(error)
            return
        for (seat, _), sound in zip(work, sounds, strict=True):
            seat.give(sound)
