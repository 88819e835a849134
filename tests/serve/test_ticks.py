"""The desk: streams that share ticks sound as each would by itself, in order, whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from serving import PATIENCE_S, noise

import unhiss
from unhiss.errors import ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream
from unhiss.serve.protocol import Controls
from unhiss.serve.ticks import CATCH_UP, FLUSH, ROOM_S, ROUNDS, SHARED, TAKE_S, Desk

ROUND_OFF = 1e-5  # a batch sums in another order
KINDS = [(48000, 1), (48000, 2), (44100, 1), (16000, 3), (48000, 1), (8000, 1)]  # rate, channels


@pytest.fixture(scope="module")
def model(leveller: Path) -> CausalModel:
    return CausalModel(leveller)


async def until(true: Callable[[], bool], what: str) -> None:
    """Wait while ticks go on."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running() -> AsyncIterator[Desk]:
    desk = Desk()
    ticks = asyncio.create_task(desk.run())
    yield desk
    assert not ticks.done(), "whatever went wrong, ticks go on"
    ticks.cancel()


def test_streams_pushed_together_sound_as_each_alone(model: CausalModel, rng: np.random.Generator) -> None:
    options = [{}, {"mix": 0.5}, {"atten_limit_db": 6.0}, {"guard": False}, {"atten_limit_db": 3.0, "mix": 0.2}, {}]
    pairs = [
        [Stream(rate, channels, model, **given) for _ in range(2)]  # type: ignore[arg-type]
        for (rate, channels), given in zip(KINDS, options, strict=True)
    ]
    for turn in range(30):
        blocks = [noise(rng, channels, int(rng.integers(0, rate // 20))) for rate, channels in KINDS]
        order = rng.permutation(len(KINDS))[: 1 + turn % len(KINDS)]
        together = Stream.push_many([pairs[i][0] for i in order], [blocks[i] for i in order])
        for place, found in zip(order, together, strict=True):
            np.testing.assert_allclose(found, pairs[place][1].push(blocks[place]), atol=ROUND_OFF)


def test_nothing_pushed_together_is_nothing() -> None:
    assert Stream.push_many([], []) == []


def test_what_comes_off_the_desk_is_the_offline_result(
    leveller: Path, model: CausalModel, rng: np.random.Generator
) -> None:
    sounds = [noise(rng, channels, rate // 2) for rate, channels in KINDS]

    async def all_of_them() -> list[list]:
        """What each seat gave, up to its flush."""
        async with running() as desk:
            seats = [desk.open(Stream(rate, channels, model)) for rate, channels in KINDS]
            for start in range(0, 24000, 960):
                for seat, sound in zip(seats, sounds, strict=True):
                    if start < sound.shape[1]:
                        desk.put(seat, sound[:, start : start + 960])
                if start % 4800 == 0:
                    await asyncio.sleep(0.005)
            got: list[list] = [[] for _ in seats]
            for seat in seats:
                desk.put(seat, FLUSH)

            def flushed() -> bool:
                for seat, parts in zip(seats, got, strict=True):
                    parts += seat.fetch()
                return all(parts and parts[-1] is FLUSH for parts in got)

            await until(flushed, "the flushes came back")
        return got

    for parts, sound, (rate, channels) in zip(asyncio.run(all_of_them()), sounds, KINDS, strict=True):
        found = np.concatenate(parts[:-1], axis=1)[:, Stream(rate, channels, model).latency.samples :]
        np.testing.assert_allclose(found, unhiss.denoise(sound, rate, model=leveller), atol=ROUND_OFF)


def test_a_control_acts_where_it_stands_between_the_blocks(model: CausalModel, rng: np.random.Generator) -> None:
    sound = noise(rng, 1, 48000)
    desk = Desk()
    seat = desk.open(Stream(48000, 1, model))
    seat.put(sound[:, :24000])
    seat.put(Controls(bypass=True))
    seat.put(sound[:, 24000:])
    while desk.tick():
        pass
    first, setting, second = seat.fetch()
    assert (first.shape, setting, second.shape) == ((1, 24000), Controls(bypass=True), (1, 24000))
    late = seat.stream.latency.samples
    np.testing.assert_allclose(second[0, late + 2000 :], sound[0, 26000:-late], atol=ROUND_OFF)  # 2,000: of the fade
    assert np.abs(first[0, late:] - sound[0, : 24000 - late]).max() > 0.01


@pytest.mark.parametrize(("others", "count"), [(SHARED + 3, CATCH_UP), (SHARED - CATCH_UP - 2, CATCH_UP + 2)])
def test_who_is_far_behind_leaves_the_others_their_ticks(
    others: int, count: int, model: CausalModel, rng: np.random.Generator
) -> None:
    desk = Desk()
    late = [desk.open(Stream(16000, 1, model)) for _ in range(3 * CATCH_UP)]
    live = [desk.open(Stream(16000, 1, model)) for _ in range(others)]
    for seat in late:
        seat.put(noise(rng, 1, 16000))
    for _ in range(6):
        for seat in live:
            seat.put(noise(rng, 1, 320))
        desk.tick()
        assert all(seat.fetch()[0].shape == (1, 320) for seat in live)
    served = [16000 - seat.waiting for seat in late]
    assert sum(served) == 6 * count * int(TAKE_S * 16000)
    assert max(served) - min(served) <= int(TAKE_S * 16000), "they take turns"


def test_what_nobody_fetches_is_not_made(model: CausalModel, rng: np.random.Generator) -> None:
    desk = Desk()
    seat = desk.open(Stream(16000, 1, model))
    for _ in range(8):
        seat.put(noise(rng, 1, 16000))
    while desk.tick():
        pass
    assert ROOM_S * 16000 <= seat.unfetched <= (ROOM_S + TAKE_S) * 16000
    assert seat.full
    seat.fetch()
    assert seat.busy


def test_a_model_that_fails_is_told_to_its_streams_and_ticks_go_on(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail_then_serve() -> None:
        async with running() as desk:
            seat = desk.open(Stream(16000, 1, model))
            with monkeypatch.context() as patch:
                patch.setattr(CausalModel, "run", lambda *_: (_ for _ in ()).throw(ModelError("broken")))
                desk.put(seat, noise(rng, 1, 800))
                got: list = []
                await until(lambda: bool(got.extend(seat.fetch()) or got), "the failure is told")
            assert isinstance(got[0], ModelError) and not seat.busy
            other = desk.open(Stream(16000, 1, model))
            desk.put(other, noise(rng, 1, 500))
            more: list = []
            await until(lambda: bool(more.extend(other.fetch()) or more), "another stream is served")
            assert more[0].shape == (1, 500)

    asyncio.run(fail_then_serve())


def test_between_two_ticks_the_loop_serves_others(model: CausalModel, rng: np.random.Generator) -> None:
    """Eight streams that are far behind keep the desk busy, and nothing else waits for them to be done."""

    async def count_rounds() -> tuple[int, int]:
        async with running() as desk:
            seats = [desk.open(Stream(16000, 1, model)) for _ in range(8)]
            for seat in seats:
                desk.put(seat, noise(rng, 1, 16000))
            rounds, ticks = 0, []
            desk._watch = ticks.append
            while any(seat.busy for seat in seats):
                await asyncio.sleep(0)
                rounds += 1
        return rounds, len(ticks)

    rounds, ticks = asyncio.run(count_rounds())
    assert ticks > 20 and rounds >= ticks * ROUNDS


def test_an_order_that_fails_is_told_to_its_stream_alone(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    bad, good = (desk.open(Stream(16000, 1, model)) for _ in range(2))
    monkeypatch.setattr(bad.stream, "flush", lambda: (_ for _ in ()).throw(ModelError("broken")))
    bad.put(FLUSH)
    good.put(noise(rng, 1, 512))
    desk.tick()
    (told,), (sound,) = bad.fetch(), good.fetch()
    assert isinstance(told, ModelError) and not bad.busy
    assert isinstance(sound, np.ndarray) and sound.shape == (1, 512)
