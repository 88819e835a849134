"""Streams processed in batches return what each returns alone, in order, whatever the others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import ROUND_OFF, TIMEOUT_S, ManualClock, noise

import unhiss
from unhiss.errors import ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream
from unhiss.serve.batcher import BATCH_SIZE, BLOCK_S, BUFFER_S, LOOP_PASSES, MIN_BACKLOGGED, Batcher, Step, StreamSlot
from unhiss.serve.protocol import Command, Controls

FORMATS = [(48000, 1), (48000, 2), (44100, 1), (16000, 3), (48000, 1), (8000, 1)]  # rate, channels


@pytest.fixture(scope="module")
def model(leveller: Path) -> CausalModel:
    return CausalModel(leveller)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait while the batcher runs."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def running(on_step: Callable[[Step], None] = lambda step: None) -> AsyncIterator[Batcher]:
    batcher = Batcher(on_step)
    task = asyncio.create_task(batcher.run())
    yield batcher
    assert not task.done(), "no error stops the batcher"
    task.cancel()


def test_streams_pushed_together_return_what_each_returns_alone(model: CausalModel, rng: np.random.Generator) -> None:
    options = [{}, {"mix": 0.5}, {"atten_limit_db": 6.0}, {"bypass": True}, {"atten_limit_db": 3.0, "mix": 0.2}, {}]
    pairs = [
        [Stream(rate, channels, model, **settings) for _ in range(2)]  # type: ignore[arg-type]
        for (rate, channels), settings in zip(FORMATS, options, strict=True)
    ]
    for turn in range(30):
        blocks = [noise(rng, channels, int(rng.integers(0, rate // 20))) for rate, channels in FORMATS]
        order = rng.permutation(len(FORMATS))[: 1 + turn % len(FORMATS)]
        together = Stream.push_many([pairs[i][0] for i in order], [blocks[i] for i in order])
        for index, result in zip(order, together, strict=True):
            np.testing.assert_allclose(result, pairs[index][1].push(blocks[index]), atol=ROUND_OFF)


def test_no_streams_pushed_together_return_nothing() -> None:
    assert Stream.push_many([], []) == []


def test_the_results_are_the_offline_result(leveller: Path, model: CausalModel, rng: np.random.Generator) -> None:
    signals = [noise(rng, channels, rate // 2) for rate, channels in FORMATS]

    async def process() -> list[list]:
        """The results of each stream, up to its flush."""
        async with running() as batcher:
            slots = [batcher.add(Stream(rate, channels, model)) for rate, channels in FORMATS]
            for start in range(0, 24000, 960):
                for slot, signal in zip(slots, signals, strict=True):
                    if start < signal.shape[1]:
                        batcher.put(slot, signal[:, start : start + 960])
                if start % 4800 == 0:
                    await asyncio.sleep(0.005)
            results: list[list] = [[] for _ in slots]
            for slot in slots:
                batcher.put(slot, Command.FLUSH)

            def flushed() -> bool:
                for slot, parts in zip(slots, results, strict=True):
                    parts += slot.read()
                return all(parts and parts[-1] is Command.FLUSH for parts in results)

            await wait_until(flushed)
        return results

    for parts, signal, (rate, channels) in zip(asyncio.run(process()), signals, FORMATS, strict=True):
        result = np.concatenate(parts[:-1], axis=1)[:, Stream(rate, channels, model).latency.samples :]
        np.testing.assert_allclose(result, unhiss.denoise(signal, rate, model=leveller), atol=ROUND_OFF)


def test_controls_apply_at_their_position_between_the_blocks(model: CausalModel, rng: np.random.Generator) -> None:
    audio = noise(rng, 1, 48000)
    batcher = Batcher()
    slot = batcher.add(Stream(48000, 1, model))
    slot.put(audio[:, :24000])
    slot.put(Controls(bypass=True))
    slot.put(audio[:, 24000:])
    while batcher.step():
        pass
    first, controls, second = slot.read()
    assert isinstance(first, np.ndarray) and isinstance(second, np.ndarray)
    assert (first.shape, controls, second.shape) == ((1, 24000), Controls(bypass=True), (1, 24000))
    delay = slot.stream.latency.samples
    fade = 2000
    np.testing.assert_allclose(second[0, delay + fade :], audio[0, 24000 + fade : -delay], atol=ROUND_OFF)
    assert np.abs(first[0, delay:] - audio[0, : 24000 - delay]).max() > 0.01


@pytest.mark.parametrize(
    ("live", "count"), [(BATCH_SIZE + 3, MIN_BACKLOGGED), (BATCH_SIZE - MIN_BACKLOGGED - 2, MIN_BACKLOGGED + 2)]
)
def test_backlogged_streams_take_turns_and_leave_the_others_every_step(
    live: int, count: int, model: CausalModel, rng: np.random.Generator
) -> None:
    batcher = Batcher()
    backlogged = [batcher.add(Stream(16000, 1, model)) for _ in range(3 * MIN_BACKLOGGED)]
    talkers = [batcher.add(Stream(16000, 1, model)) for _ in range(live)]
    for slot in backlogged:
        slot.put(noise(rng, 1, 16000))
    for _ in range(6):
        for slot in talkers:
            slot.put(noise(rng, 1, 320))
        batcher.step()
        for slot in talkers:
            (result,) = slot.read()
            assert isinstance(result, np.ndarray) and result.shape == (1, 320)
    processed = [16000 - slot.pending for slot in backlogged]
    assert sum(processed) == 6 * count * int(BLOCK_S * 16000)
    assert max(processed) - min(processed) <= int(BLOCK_S * 16000)


def test_a_stream_whose_results_are_not_read_is_not_processed(model: CausalModel, rng: np.random.Generator) -> None:
    batcher = Batcher()
    slot = batcher.add(Stream(16000, 1, model))
    for _ in range(8):
        slot.put(noise(rng, 1, 16000))
    while batcher.step():
        pass
    assert BUFFER_S * 16000 <= slot.unread <= (BUFFER_S + BLOCK_S) * 16000
    assert slot.input_full
    slot.read()
    assert slot.ready


def test_an_error_of_the_model_is_the_result_of_its_streams_and_the_batcher_goes_on(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ModelError("broken")

    results: list[Any] = []

    def read_all(slot: StreamSlot) -> bool:
        results.extend(slot.read())
        return bool(results)

    async def fail_then_process() -> None:
        async with running() as batcher:
            slot = batcher.add(Stream(16000, 1, model))
            with monkeypatch.context() as patch:
                patch.setattr(CausalModel, "run", fail)
                batcher.put(slot, noise(rng, 1, 800))
                await wait_until(lambda: read_all(slot))
            assert isinstance(results[0], ModelError) and not slot.ready
            other = batcher.add(Stream(16000, 1, model))
            batcher.put(other, noise(rng, 1, 500))
            results.clear()
            await wait_until(lambda: read_all(other))
            (audio,) = results
            assert audio.shape == (1, 500)

    asyncio.run(fail_then_process())


def test_an_error_in_a_flush_is_the_result_of_its_stream_alone(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> np.ndarray:
        raise ModelError("broken")

    batcher = Batcher()
    bad, good = (batcher.add(Stream(16000, 1, model)) for _ in range(2))
    monkeypatch.setattr(bad.stream, "flush", fail)
    bad.put(Command.FLUSH)
    good.put(noise(rng, 1, 512))
    batcher.step()
    (error,), (audio,) = bad.read(), good.read()
    assert isinstance(error, ModelError) and not bad.ready
    assert isinstance(audio, np.ndarray) and audio.shape == (1, 512)


def test_the_event_loop_serves_others_between_steps(model: CausalModel, rng: np.random.Generator) -> None:
    """Eight streams with a backlog keep the batcher busy, and other tasks run between its steps."""

    async def count_passes() -> tuple[int, int]:
        steps: list[Step] = []
        async with running(steps.append) as batcher:
            slots = [batcher.add(Stream(16000, 1, model)) for _ in range(8)]
            for slot in slots:
                batcher.put(slot, noise(rng, 1, 16000))
            passes = 0
            while any(slot.ready for slot in slots):
                await asyncio.sleep(0)
                passes += 1
        return passes, len(steps)

    passes, steps = asyncio.run(count_passes())
    assert steps > 20 and passes >= steps * LOOP_PASSES


def test_a_step_reports_its_streams_audio_and_length(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, run = ManualClock(), CausalModel.run
    steps: list[Step] = []
    batcher = Batcher(steps.append, clock)

    def run_slowly(*arguments: Any) -> Any:
        clock.advance(0.007)
        return run(*arguments)

    monkeypatch.setattr(CausalModel, "run", run_slowly)
    assert not batcher.step() and not steps, "nothing to do is no step"
    for size in (320, 160):
        batcher.add(Stream(16000, 1, model)).put(noise(rng, 1, size + 512))
    batcher.step()
    (step,) = steps
    assert (step.streams, step.seconds) == (2, pytest.approx(0.007))
    assert step.audio_s == pytest.approx(2 * 512 / 16000) and batcher.load.value_s > 0
