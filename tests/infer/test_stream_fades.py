"""Stream while it runs: limit, mix and bypass change without a click or a shift, and one thread at a time works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from unhiss.errors import AudioError, ConfigError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
CUT = 1e-5
ROUND_OFF = 1e-5
RATE = 48000
CLICK = butter(6, 4000, "highpass", fs=RATE, output="sos")  # of a tone of 500 Hz, a click is what lies above this
TONE = (0.5 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE + 1)).astype(np.float32)
# name, value while it counts: the model takes all out, and these let something through
CHANGES = [("bypass", True), ("mix", 0.3), ("atten_limit_db", 6.0)]


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


def click_db(sound: np.ndarray) -> float:
    """The loudest sample above 4 kHz, in dB below full scale."""
    return 20 * float(np.log10(np.abs(sosfilt(CLICK, sound)[RATE // 10 :]).max()))


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_change_is_heard_without_a_click(name: str, value: float, causal_model: Make) -> None:
    stream = Stream(RATE, model=causal_model("gain", 0.0), guard=False)
    before, parts = getattr(stream, name), []
    for number, block in enumerate(TONE.reshape(-1, 480)):
        if number % 33 == 20:
            setattr(stream, name, value)
        elif number % 33 == 0:
            setattr(stream, name, before)
        parts.append(stream.push(block))
    found = np.concatenate(parts)
    assert 0.1 < np.abs(found).max() <= 0.51
    assert click_db(found) < -60
    assert click_db(np.where(np.arange(TONE.size) // 9600 % 2, TONE, 0)) > -20  # a leap would be found


def test_bypass_is_the_input_itself_at_the_same_latency(causal_model: Make, rng: np.random.Generator) -> None:
    for rate in (16000, 44100):
        stream, sound = Stream(rate, 2, causal_model("gain", 0.5), guard=False), noise(rng, 2, rate)
        parts = [stream.push(sound[:, :4000])]
        stream.bypass = True
        parts.append(stream.push(sound[:, 4000:12000]))
        stream.bypass = False
        parts += [stream.push(sound[:, 12000:]), stream.flush()]
        found, fade = np.concatenate(parts, axis=1), rate // 50
        late = np.concatenate([np.zeros((2, stream.latency.samples), np.float32), sound], axis=1)
        np.testing.assert_array_equal(found[:, 4000 + fade : 12000], late[:, 4000 + fade : 12000])
        if rate == 16000:
            np.testing.assert_allclose(found[:, :4000], 0.5 * late[:, :4000], atol=ROUND_OFF)
            np.testing.assert_allclose(found[:, 12000 + fade :], 0.5 * late[:, 12000 + fade :], atol=ROUND_OFF)


def test_what_is_set_from_the_start_is_there_from_the_start(causal_model: Make, rng: np.random.Generator) -> None:
    sound = noise(rng, 5000)
    stream = Stream(RATE, model=causal_model("gain", 0.0), bypass=True)
    found = np.concatenate([stream.push(sound), stream.flush()])[stream.latency.samples :]
    np.testing.assert_array_equal(found, sound)
    np.testing.assert_array_equal(np.concatenate([stream.push(sound), stream.flush()])[-5000:], sound)  # and kept


def test_a_change_falls_on_the_same_sample_however_the_sound_is_cut(
    causal_model: Make, rng: np.random.Generator
) -> None:
    sound, model = noise(rng, 40000), CausalModel(causal_model("leveller"))

    def run(cuts: list[int]) -> np.ndarray:
        stream, parts = Stream(44100, model=model), []
        changes = {5000: ("mix", 0.5), 5300: ("bypass", True), 20000: ("bypass", False), 20100: ("atten_limit_db", 3)}
        places = sorted({0, len(sound), *cuts, *changes})
        for first, last in pairwise(places):
            if first in changes:
                setattr(stream, *changes[first])
            parts.append(stream.push(sound[first:last]))
        return np.concatenate([*parts, stream.flush()])

    expected = run([])
    for _ in range(3):
        np.testing.assert_allclose(run(rng.integers(0, 40000, 40).tolist()), expected, atol=CUT)
    np.testing.assert_allclose(run(list(range(0, 40000, 441))), expected, atol=CUT)


def test_any_thread_may_set_what_may_change(causal_model: Make, rng: np.random.Generator) -> None:
    """Of a model that changes nothing, every mixture of what goes in and comes out is the input."""
    stream, sound, end = Stream(RATE, model=causal_model()), noise(rng, 200000), threading.Event()

    def fiddle() -> None:
        while not end.is_set():
            for name, values in (("bypass", (True, False)), ("mix", (0.2, 1.0)), ("atten_limit_db", (3.0, None))):
                for value in values:
                    setattr(stream, name, value)

    thread = threading.Thread(target=fiddle)
    thread.start()
    try:
        parts = [stream.push(block) for block in np.split(sound, 500)]
    finally:
        end.set()
        thread.join()
    found = np.concatenate(parts)
    late = stream.latency.samples
    np.testing.assert_allclose(found[late:], sound[:-late], atol=ROUND_OFF)


@pytest.mark.parametrize(("name", "value"), [("mix", 1.5), ("mix", float("nan")), ("atten_limit_db", -1)])
def test_a_wrong_value_is_refused_and_changes_nothing(name: str, value: float, causal_model: Make) -> None:
    stream = Stream(RATE, model=causal_model(), mix=0.7, atten_limit_db=9)
    with pytest.raises(ConfigError, match=name):
        setattr(stream, name, value)
    assert (stream.mix, stream.atten_limit_db) == (0.7, 9)


class Slow(CausalModel):
    """A model that says when it is at work, and waits until it is let go on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.at_work, self.go_on = threading.Event(), threading.Event()

    def run(self, spectrum: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.at_work.set()
        assert self.go_on.wait(30)
        return super().run(spectrum, state)


def test_a_second_thread_is_told_at_once_and_spoils_nothing(causal_model: Make, rng: np.random.Generator) -> None:
    path, sound, found = causal_model("leveller"), noise(rng, 5000), []
    model = Slow(path)
    stream = Stream(RATE, model=model)
    state = stream.save()
    first = threading.Thread(target=lambda: found.append(stream.push(sound)))
    first.start()
    assert model.at_work.wait(30)
    for use in (
        lambda: stream.push(sound), stream.flush, stream.reset, stream.copy, stream.save,
        lambda: stream.restore(state), lambda: stream.analyse(sound),
        lambda: stream.synthesise(sound, np.zeros((1, 0, 769)), np.zeros((1, 0, 769))),
    ):  # fmt: skip
        with pytest.raises(AudioError, match="at work in another thread; give each thread a Stream of its own"):
            use()
    model.go_on.set()
    first.join()
    alone = Stream(RATE, model=CausalModel(path))
    np.testing.assert_array_equal(found[0], alone.push(sound))
    np.testing.assert_array_equal(stream.push(sound), alone.push(sound))  # and the next may come from anywhere
    np.testing.assert_array_equal(stream.copy().push(sound), alone.push(sound))  # a copy has an owner of its own
