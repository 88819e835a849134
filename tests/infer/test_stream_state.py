"""Stream.save and load: bytes from which another process continues with the same samples, and what is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import unhiss
from unhiss.errors import ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream

Make = Callable[..., Path]
SOURCE = Path(unhiss.__file__).parent.parent
CONTINUE = """
import sys
from pathlib import Path
import numpy as np
import unhiss
for folder in map(Path, sys.argv[1:]):
    stream, audio = unhiss.Stream.load((folder / "state").read_bytes()), np.fromfile(folder / "in", np.float32)
    blocks = [stream.push(audio[first:first + 480]) for first in range(0, audio.size, 480)]
    np.concatenate([*blocks, stream.flush()]).tofile(folder / "out")
"""


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> CausalModel:
    return CausalModel(causal_model("leveller"))


@pytest.mark.parametrize("before", [0, 1, 3001, 60001])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_loaded_stream_continues_with_the_same_samples(
    rate: int, channels: int, before: int, leveller: CausalModel, rng: np.random.Generator
) -> None:
    stream = Stream(rate, channels, leveller, mix=0.8, atten_limit_db=12)
    stream.push(noise(rng, channels, before))
    stream.bypass = True
    stream.push(noise(rng, channels, 100))  # during the fade
    twin = Stream.load(stream.save(), leveller)
    assert (twin.rate, twin.channels, twin.mix, twin.atten_limit_db, twin.bypass) == (rate, channels, 0.8, 12, True)
    for size in (1, 0, 4000, 777):
        block = noise(rng, channels, size)
        np.testing.assert_array_equal(twin.push(block), stream.push(block))
        stream.bypass = twin.bypass = False
    np.testing.assert_array_equal(twin.flush(), stream.flush())


def test_another_process_continues_with_the_same_samples(tmp_path: Path, rng: np.random.Generator) -> None:
    expected = {}
    for rate in (48000, 44100):
        folder = tmp_path / str(rate)
        folder.mkdir()
        stream, audio = Stream(rate, atten_limit_db=30), 0.1 * noise(rng, rate)
        stream.push(audio)
        (folder / "state").write_bytes(stream.save())
        audio.tofile(folder / "in")
        blocks = [stream.push(audio[first : first + 480]) for first in range(0, audio.size, 480)]
        expected[folder] = np.concatenate([*blocks, stream.flush()])
    words = [sys.executable, "-c", CONTINUE, *map(str, expected)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert (done.returncode, done.stderr) == (0, "")
    for folder, samples in expected.items():
        np.testing.assert_array_equal(np.fromfile(folder / "out", np.float32), samples)


def test_saving_changes_nothing_and_a_saved_state_can_be_used_twice(
    leveller: CausalModel, rng: np.random.Generator
) -> None:
    stream, audio = Stream(44100, 2, leveller), noise(rng, 2, 5000)
    stream.push(audio)
    twin, state = stream.copy(), stream.save()
    assert state == stream.save()
    np.testing.assert_array_equal(stream.push(audio), twin.push(audio))
    other = Stream(44100, 2, leveller)
    for _ in range(2):  # the previous input does not matter
        other.restore(state)
        np.testing.assert_array_equal(other.push(audio), Stream.load(state, leveller).push(audio))


def test_a_state_is_a_safetensors_file(leveller: CausalModel, rng: np.random.Generator) -> None:
    stream = Stream(44100, 2, leveller)
    stream.push(noise(rng, 2, 5000))
    arrays = safetensors.numpy.load(stream.save())
    assert {
        "engine.state",
        "engine.pending",
        "engine.overlap",
        "linker.cross",
        "wet.samples",
        "dry.samples",
    } <= arrays.keys()
    np.testing.assert_array_equal(arrays["engine.state"], stream._engine.state)


def test_a_state_has_the_documented_size() -> None:
    small = Stream(48000).model
    assert all(34_000 <= len(Stream(rate, model=small).save()) <= 50_000 for rate in (16000, 44100, 48000))


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"rate": 16000}, "the state of a stream with rate = 44100; this one has 16000"),
        ({"channels": 1}, "the state of a stream with channels = 2; this one has 1"),
        ({"model": "counter"}, "the state of a stream with model = leveller; this one has counter"),
    ],
)
def test_a_state_of_another_stream_is_refused_and_changes_nothing(
    other: dict, line: str, leveller: CausalModel, causal_model: Make, rng: np.random.Generator
) -> None:
    state = Stream(44100, 2, leveller).save()
    if "model" in other:
        other = {"model": CausalModel(causal_model("counter"))}
    stream = Stream(**{"rate": 44100, "channels": 2, "model": leveller, **other})
    audio = noise(rng, stream.channels, 3000)
    stream.push(audio)
    twin = stream.copy()
    with pytest.raises(ModelError, match=line):
        stream.restore(state)
    np.testing.assert_array_equal(stream.push(audio), twin.push(audio))


def test_a_model_of_the_same_name_with_other_weights_is_refused(causal_model: Make) -> None:
    one, other = (CausalModel(causal_model(size=size)) for size in (1, 2))
    with pytest.raises(ModelError, match="fingerprint"):
        Stream.load(Stream(48000, model=one).save(), other)


def test_any_damage_is_refused(leveller: CausalModel, rng: np.random.Generator) -> None:
    stream = Stream(44100, 2, leveller)
    stream.push(noise(rng, 2, 5000))
    state = stream.save()
    positions = [*range(8), *rng.integers(8, len(state), 300).tolist(), len(state) - 1]
    for position in positions:
        damaged = bytearray(state)
        damaged[position] ^= 1
        with pytest.raises(ModelError, match=r"damaged|no state|version"):
            Stream.load(bytes(damaged), leveller)
    for size in (0, 7, 8, 9, 100, len(state) - 1):
        with pytest.raises(ModelError, match=r"no state|damaged"):
            Stream.load(state[:size], leveller)


def test_other_bytes_and_another_version_are_refused(leveller: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"hello, this is no state", pickle.dumps({"a": 1}), safetensors.numpy.save({"a": np.zeros(2)})):
        with pytest.raises(ModelError, match="no state of a stream; expected a result"):
            Stream.load(data, leveller)
    for version in (1, 3):  # before, and not yet
        monkeypatch.setattr("unhiss.infer.snapshot.VERSION", version)
        other = Stream(48000, model=leveller).save()
        monkeypatch.undo()
        with pytest.raises(ModelError, match=f"version {version}, expected 2"):
            Stream.load(other, leveller)
