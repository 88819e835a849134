"""The desk: streams that share ticks sound as each would by itself, in order, whatever the others do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from serving import noise, wait_until

import hush
from hush.errors import ModelError
from hush.infer.batch import push_all
from hush.infer.causal_model import CausalModel
from hush.infer.stream import Stream
from hush.serve.protocol import Controls
from hush.serve.ticks import CATCH_UP, FLUSH, ROOM_S, TAKE_S, Desk, Seat

ROUND_OFF = 1e-5  # a batch sums in another order
KINDS = [(48000, 1), (48000, 2), (44100, 1), (16000, 3), (48000, 1), (8000, 1)]  # rate, channels


@pytest.fixture(scope="module")
def model(leveller: Path) -> CausalModel:
    return CausalModel(leveller)


def collected(seat: Seat, until_flushed: Callable[[list], bool]) -> np.ndarray:
    """All the sound of a seat up to its flush, less the latency."""
    got: list = []
    wait_until(lambda: got.extend(seat.fetch()) or until_flushed(got), "the flush came back")
    return np.concatenate([part for part in got if isinstance(part, np.ndarray)], axis=1)[
        :, seat.stream.latency.samples :
    ]


def test_streams_pushed_together_sound_as_each_alone(model: CausalModel, rng: np.random.Generator) -> None:
    options = [{}, {"mix": 0.5}, {"atten_limit_db": 6.0}, {"guard": False}, {"atten_limit_db": 3.0, "mix": 0.2}, {}]
    pairs = [
        [Stream(rate, channels, model, **given) for _ in range(2)]  # type: ignore[arg-type]
        for (rate, channels), given in zip(KINDS, options, strict=True)
    ]
    for turn in range(30):
        blocks = [noise(rng, channels, int(rng.integers(0, rate // 20))) for rate, channels in KINDS]
        order = rng.permutation(len(KINDS))[: 1 + turn % len(KINDS)]
        together = push_all([pairs[i][0] for i in order], [blocks[i] for i in order])
        for place, found in zip(order, together, strict=True):
            np.testing.assert_allclose(found, pairs[place][1].push(blocks[place]), atol=ROUND_OFF)


def test_nothing_pushed_together_is_nothing() -> None:
    assert push_all([], []) == []


def test_what_comes_off_the_desk_is_the_offline_result(
    leveller: Path, model: CausalModel, rng: np.random.Generator
) -> None:
    sounds = [noise(rng, channels, rate // 2) for rate, channels in KINDS]
    with Desk() as desk:
        seats = [desk.open(Stream(rate, channels, model)) for rate, channels in KINDS]
        for start in range(0, 24000, 960):
            for seat, sound in zip(seats, sounds, strict=True):
                if start < sound.shape[1]:
                    desk.put(seat, sound[:, start : start + 960])
        for seat in seats:
            desk.put(seat, FLUSH)
        for seat, sound, (rate, _) in zip(seats, sounds, KINDS, strict=True):
            found = collected(seat, lambda got: FLUSH in [part for part in got if not isinstance(part, np.ndarray)])
            np.testing.assert_allclose(found, hush.denoise(sound, rate, model=leveller), atol=ROUND_OFF)


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


def test_who_is_far_behind_leaves_the_others_their_ticks(model: CausalModel, rng: np.random.Generator) -> None:
    desk = Desk()
    late = [desk.open(Stream(16000, 1, model)) for _ in range(3 * CATCH_UP)]
    live = desk.open(Stream(16000, 1, model))
    for seat in late:
        seat.put(noise(rng, 1, 16000))
    for _ in range(6):
        live.put(noise(rng, 1, 320))
        desk.tick()
        assert live.fetch()[0].shape == (1, 320)
    served = [16000 - seat.waiting for seat in late]
    assert sum(served) == 6 * CATCH_UP * int(TAKE_S * 16000)
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


def test_a_model_that_fails_is_told_to_its_streams_and_the_thread_lives(
    model: CausalModel, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Desk() as desk:
        seat = desk.open(Stream(16000, 1, model))
        with monkeypatch.context() as patch:
            patch.setattr(CausalModel, "run", lambda *_: (_ for _ in ()).throw(ModelError("broken")))
            desk.put(seat, noise(rng, 1, 800))
            got: list = []
            wait_until(lambda: bool(got.extend(seat.fetch()) or got), "the failure is told")
        assert isinstance(got[0], ModelError) and not seat.busy
        other = desk.open(Stream(16000, 1, model))
        desk.put(other, noise(rng, 1, 500))
        more: list = []
        wait_until(lambda: bool(more.extend(other.fetch()) or more), "another stream is served")
        assert more[0].shape == (1, 500)


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


def test_a_desk_ends_at_once_when_idle() -> None:
    with Desk():
        time.sleep(0.01)
