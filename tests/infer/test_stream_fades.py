"""A running Stream: limit, mix and bypass change without a click or a time shift, and only one thread may use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from unhiss.errors import AudioError, ConfigError
from unhiss.infer.causal_model import CausalModel, OnSpeech
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
CUT = 1e-5
ROUND_OFF = 1e-5
RATE = 48000
CLICK = butter(6, 4000, "highpass", fs=RATE, output="sos")  # removes a tone of 500 Hz and keeps a click
TONE = (0.5 * np.sin(2 * np.pi * 500 * np.arange(2 * RATE) / RATE + 1)).astype(np.float32)
# The model removes everything; each of these settings lets something through.
CHANGES = [("bypass", True), ("mix", 0.3), ("atten_limit_db", 6.0)]


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


def click_db(audio: np.ndarray) -> float:
    """The loudest sample above 4 kHz, in dB below full scale."""
    return 20 * float(np.log10(np.abs(sosfilt(CLICK, audio)[RATE // 10 :]).max()))


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_change_makes_no_click(name: str, value: float, causal_model: Make) -> None:
    stream = Stream(RATE, model=causal_model("gain", 0.0))
    before, parts = getattr(stream, name), []
    for number, block in enumerate(TONE.reshape(-1, 480)):
        if number % 33 == 20:
            setattr(stream, name, value)
        elif number % 33 == 0:
            setattr(stream, name, before)
        parts.append(stream.push(block))
    out = np.concatenate(parts)
    assert 0.1 < np.abs(out).max() <= 0.51
    assert click_db(out) < -60
    assert click_db(np.where(np.arange(TONE.size) // 9600 % 2, TONE, 0)) > -20  # a step would be detected


def test_bypass_is_the_input_at_the_same_latency(causal_model: Make, rng: np.random.Generator) -> None:
    for rate in (16000, 44100):
        stream, audio = Stream(rate, 2, causal_model("gain", 0.5)), noise(rng, 2, rate)
        parts = [stream.push(audio[:, :4000])]
        stream.bypass = True
        parts.append(stream.push(audio[:, 4000:12000]))
        stream.bypass = False
        parts += [stream.push(audio[:, 12000:]), stream.flush()]
        out, fade = np.concatenate(parts, axis=1), rate // 50
        delayed = np.concatenate([np.zeros((2, stream.latency.samples), np.float32), audio], axis=1)
        np.testing.assert_array_equal(out[:, 4000 + fade : 12000], delayed[:, 4000 + fade : 12000])
        if rate == 16000:
            np.testing.assert_allclose(out[:, :4000], 0.5 * delayed[:, :4000], atol=ROUND_OFF)
            np.testing.assert_allclose(out[:, 12000 + fade :], 0.5 * delayed[:, 12000 + fade :], atol=ROUND_OFF)


def test_an_initial_bypass_applies_from_the_first_sample(causal_model: Make, rng: np.random.Generator) -> None:
    audio = noise(rng, 5000)
    stream = Stream(RATE, model=causal_model("gain", 0.0), bypass=True)
    out = np.concatenate([stream.push(audio), stream.flush()])[stream.latency.samples :]
    np.testing.assert_array_equal(out, audio)
    np.testing.assert_array_equal(
        np.concatenate([stream.push(audio), stream.flush()])[-5000:], audio
    )  # and after flush


def test_a_change_applies_at_the_same_sample_for_any_block_size(causal_model: Make, rng: np.random.Generator) -> None:
    audio, model = noise(rng, 40000), CausalModel(causal_model("leveller"))

    def run(cuts: list[int]) -> np.ndarray:
        stream, parts = Stream(44100, model=model), []
        changes = {5000: ("mix", 0.5), 5300: ("bypass", True), 20000: ("bypass", False), 20100: ("atten_limit_db", 3)}
        positions = sorted({0, len(audio), *cuts, *changes})
        for first, last in pairwise(positions):
            if first in changes:
                setattr(stream, *changes[first])
            parts.append(stream.push(audio[first:last]))
        return np.concatenate([*parts, stream.flush()])

    expected = run([])
    for _ in range(3):
        np.testing.assert_allclose(run(rng.integers(0, 40000, 40).tolist()), expected, atol=CUT)
    np.testing.assert_allclose(run(list(range(0, 40000, 441))), expected, atol=CUT)


def test_any_thread_may_change_the_settings(causal_model: Make, rng: np.random.Generator) -> None:
    """With a model that changes nothing, every mix is the input."""
    stream, audio, end = Stream(RATE, model=causal_model()), noise(rng, 200000), threading.Event()

    def change_settings() -> None:
        while not end.is_set():
            for name, values in (("bypass", (True, False)), ("mix", (0.2, 1.0)), ("atten_limit_db", (3.0, None))):
                for value in values:
                    setattr(stream, name, value)

    thread = threading.Thread(target=change_settings)
    thread.start()
    try:
        parts = [stream.push(block) for block in np.split(audio, 500)]
    finally:
        end.set()
        thread.join()
    out = np.concatenate(parts)
    late = stream.latency.samples
    np.testing.assert_allclose(out[late:], audio[:-late], atol=ROUND_OFF)


@pytest.mark.parametrize(("name", "value"), [("mix", 1.5), ("mix", float("nan")), ("atten_limit_db", -1)])
def test_an_invalid_value_is_refused_and_changes_nothing(name: str, value: float, causal_model: Make) -> None:
    stream = Stream(RATE, model=causal_model(), mix=0.7, atten_limit_db=9)
    with pytest.raises(ConfigError, match=name):
        setattr(stream, name, value)
    assert (stream.mix, stream.atten_limit_db) == (0.7, 9)


class Blocking(CausalModel):
    """A model that signals when it runs, and waits until it may continue."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.running, self.may_continue = threading.Event(), threading.Event()

    def run(
        self, spectrum: np.ndarray, state: np.ndarray, on_speech: OnSpeech | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.running.set()
        assert self.may_continue.wait(30)
        return super().run(spectrum, state, on_speech)


def test_a_second_thread_is_refused_at_once_and_changes_nothing(causal_model: Make, rng: np.random.Generator) -> None:
    path, audio, out = causal_model("leveller"), noise(rng, 5000), []
    model = Blocking(path)
    stream = Stream(RATE, model=model)
    state = stream.save()
    first = threading.Thread(target=lambda: out.append(stream.push(audio)))
    first.start()
    assert model.running.wait(30)
    for use in (
        lambda: stream.push(audio), stream.flush, stream.reset, stream.copy, stream.save,
        lambda: stream.restore(state), lambda: Stream.push_many([stream], [audio]),
    ):  # fmt: skip
        with pytest.raises(AudioError, match="in use in another thread; give each thread a Stream of its own"):
            use()
    model.may_continue.set()
    first.join()
    alone = Stream(RATE, model=CausalModel(path))
    np.testing.assert_array_equal(out[0], alone.push(audio))
    np.testing.assert_array_equal(stream.push(audio), alone.push(audio))  # another thread may continue
    np.testing.assert_array_equal(stream.copy().push(audio), alone.push(audio))  # a copy has its own lock
