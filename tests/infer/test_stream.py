"""Stream: any cutting gives the same samples, exactly `latency` late, at every rate; and a file gives them too."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unhiss
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream
from unhiss.media.audio import read
from unhiss.media.writer import write

Make = Callable[..., Path]
OWN = [8000, 12000, 16000, 24000, 32000, 48000, 96000]  # rates the models work at
MADE = [11025, 22050, 44100, 88200, 192000, 44056]  # rates that are resampled
UGLY = [1, 255, 256, 257, 8193]
CUT = 1e-5  # issue's tolerance between cuttings: other orders of float32 sums
ROUND_OFF = 1e-5
RESAMPLED = 1e-4  # -80 dB: both resamplers' ripple


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


def streamed(stream: Stream, sound: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Everything pushed in blocks of these sizes, again and again, and flushed; less the latency."""
    parts, start, turn = [], 0, 0
    while start < sound.shape[-1]:
        block = sound[..., start : start + sizes[turn % len(sizes)]]
        parts.append(stream.push(block))
        assert (parts[-1].shape, parts[-1].dtype) == (block.shape, np.float32)
        start, turn = start + block.shape[-1], turn + 1
    return np.concatenate([*parts, stream.flush()], axis=-1)[..., stream.latency.samples :]


@pytest.fixture(scope="module")
def identity(causal_model: Make) -> CausalModel:
    return CausalModel(causal_model())


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> CausalModel:
    """Each frame's gain depends on the frame before, so a state that is lost is heard."""
    return CausalModel(causal_model("leveller"))


@pytest.mark.parametrize("size", UGLY)
@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_stream_equals_offline_for_any_block_size(
    size: int, rate: int, causal_model: Make, rng: np.random.Generator
) -> None:
    model, sound = causal_model("leveller"), noise(rng, 2, 8193 if size > 1 else 1500)
    found = streamed(Stream(rate, 2, model), sound, [size])
    np.testing.assert_allclose(found, unhiss.denoise(sound, rate, model=model), atol=CUT)


CUTTINGS = {
    "sizes": st.lists(st.one_of(st.integers(0, 50), st.integers(0, 5000)), max_size=12),
    "rate": st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000]),
    "guard": st.booleans(),
    "limit": st.sampled_from([None, 6.0]),
    "mix": st.sampled_from([1.0, 0.7]),
}


@settings(max_examples=80, deadline=None)
@given(**CUTTINGS)
def test_stream_equals_offline_for_random_cuts(causal_models: dict[str, Path], **cutting: Any) -> None:
    check_cutting(causal_models["leveller"], **cutting)


@pytest.mark.soak
@settings(max_examples=1000, deadline=None)
@given(**CUTTINGS)
def test_stream_equals_offline_for_a_thousand_random_cuts(causal_models: dict[str, Path], **cutting: Any) -> None:
    check_cutting(causal_models["leveller"], **cutting)


@pytest.mark.soak
@settings(max_examples=1000, deadline=None)
@given(**CUTTINGS)
def test_small_streams_as_offline_for_a_thousand_random_cuts(**cutting: Any) -> None:
    check_cutting("small", **cutting)


def check_cutting(model: str | Path, sizes: list[int], rate: int, guard: bool, limit: float | None, mix: float) -> None:
    options: dict[str, Any] = {"guard": guard, "atten_limit_db": limit, "mix": mix}
    sound = noise(np.random.default_rng(len(sizes)), 1, sum(sizes))
    stream = Stream(rate, 1, model, **options)
    parts = [stream.push(sound[:, a:b]) for a, b in pairwise(np.cumsum([0, *sizes]))]
    late, rest = stream.latency.samples, np.atleast_2d(stream.flush())
    found = np.concatenate([*parts, rest], axis=1)[:, late:]
    np.testing.assert_allclose(found, unhiss.denoise(sound, rate, model=model, **options), atol=CUT)


@pytest.fixture(scope="module")
def causal_models(causal_model: Make) -> dict[str, Path]:
    return {kind: causal_model(kind) for kind in ("leveller", "counter")}


@pytest.mark.parametrize(
    ("rate", "most_ms"), [*((rate, 32) for rate in OWN), (11025, 60), (22050, 60), (44100, 60), (44056, 60)]
)
@pytest.mark.parametrize("place", [0, 1000, 1777])
def test_an_impulse_comes_out_as_late_as_is_said(rate: int, most_ms: float, place: int, identity: CausalModel) -> None:
    stream = Stream(rate, model=identity)
    blocks = np.zeros((120, 100), np.float32)
    blocks.reshape(-1)[place] = 1
    out = np.concatenate([stream.push(block) for block in blocks])
    assert int(np.argmax(out)) - place == stream.latency.samples
    assert stream.latency.ms == pytest.approx(stream.latency.samples / rate * 1000)
    assert stream.latency.ms <= most_ms
    if rate in OWN:
        assert out.max() == pytest.approx(1, abs=ROUND_OFF)


def test_the_documented_latencies_are_these(identity: CausalModel) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    documented = {int(rate.replace(",", "")): float(ms) for rates, ms, _ in rows for rate in rates.split(", ")}
    assert {*OWN, 11025, 22050, 44100} <= documented.keys()
    for rate, ms in documented.items():
        assert Stream(rate, model=identity).latency.ms == pytest.approx(ms, abs=0.051)


@settings(max_examples=15, deadline=None)
@given(rate=st.integers(2000, 200000), size=st.integers(1, 400))
def test_the_next_sample_is_always_there_at_any_rate(rate: int, size: int, identity: CausalModel) -> None:
    stream = Stream(rate, model=identity)
    block = np.ones(size, np.float32)
    for _ in range(40):
        assert stream.push(block).shape == block.shape  # a queue that runs dry gives fewer


@pytest.mark.parametrize("rate", OWN)
@pytest.mark.parametrize("size", [0, *UGLY])
def test_identity_gives_every_sample_back(
    size: int, rate: int, identity: CausalModel, rng: np.random.Generator
) -> None:
    sound = noise(rng, 2, size)
    np.testing.assert_allclose(streamed(Stream(rate, 2, identity), sound, [1000]), sound, atol=ROUND_OFF)


@pytest.mark.parametrize("rate", [*MADE, 4000, 44101])
def test_identity_gives_the_band_back_aligned_at_resampled_rates(rate: int, identity: CausalModel) -> None:
    top = 0.45 * min(rate, 96000)
    time_s = np.arange(rate // 3) / rate
    fade = np.hanning(time_s.size)  # a sudden start is sound of all frequencies
    sound = np.stack([fade * np.sin(2 * np.pi * hertz * time_s) for hertz in (0.02 * top, 0.5 * top, top)])
    found = streamed(Stream(rate, 3, identity), sound.astype(np.float32), [1001])
    np.testing.assert_allclose(found, sound, atol=RESAMPLED)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_file_is_the_stream(rate: int, causal_models: dict[str, Path], tmp_path: Path) -> None:
    sound = noise(np.random.default_rng(5), 2, 3 * rate + 17)
    write(tmp_path / "in.wav", sound, rate, "FLOAT")
    report = unhiss.denoise_file(tmp_path / "in.wav", tmp_path / "out.wav", model=causal_models["counter"], mix=0.9)
    found, found_rate = read(tmp_path / "out.wav")
    assert (found.shape, found_rate, report.seconds) == (sound.shape, rate, sound.shape[1] / rate)
    expected = streamed(Stream(rate, 2, causal_models["counter"], mix=0.9), sound, [480])
    np.testing.assert_allclose(found, expected, atol=CUT)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_state_counts_frames_from_the_start(rate: int, causal_models: dict[str, Path]) -> None:
    sound = np.ones(2 * rate, np.float32)
    found = unhiss.denoise(sound, rate, model=causal_models["counter"], guard=False)
    frame, hop_s = np.arange(120), 0.016  # frame n + 1 begins with hop n; a constant shows both gains over it
    before, after = (0.6 + 0.4 * np.sin(frame + k) for k in (1, 2))
    start, middle = (np.round((frame + part) * hop_s * rate).astype(int) for part in (0, 0.5))
    np.testing.assert_allclose(found[start[2:]], before[2:], atol=2e-3)
    np.testing.assert_allclose(found[middle[2:]], ((before + after) / 2)[2:], atol=2e-2)


def test_bins_keep_their_places_at_every_rate(causal_model: Make) -> None:
    model = CausalModel(causal_model("tilt"))
    for rate in OWN:
        time_s = np.arange(rate // 2) / rate
        for bin_ in (10, 100):
            tone = np.cos(2 * np.pi * 31.25 * bin_ * time_s).astype(np.float32)
            out = streamed(Stream(rate, model=model, guard=False), tone, [1000])[rate // 10 : -rate // 10]
            assert np.sqrt(2 * np.square(out).mean()) == pytest.approx(1 / (1 + bin_ / 20), rel=2e-2)


def test_a_tone_has_the_same_size_at_every_rate(identity: CausalModel) -> None:
    sizes = []
    for rate in OWN:
        stream = Stream(rate, model=identity)
        spectrum = stream.analyse(np.cos(2 * np.pi * 1000 * np.arange(rate // 2) / rate).astype(np.float32))
        sizes.append(np.abs(spectrum[0, 5, 32]))
    np.testing.assert_allclose(sizes, 0.5 * 512 * 2 / np.pi, rtol=1e-3)  # half the sum of the window, sin


@pytest.mark.parametrize("rate", [16000, 44100])
def test_channels_do_not_hear_each_other(rate: int, leveller: CausalModel, rng: np.random.Generator) -> None:
    sound = noise(rng, 3, 5000) * np.array([[1], [0.01], [0]], np.float32)
    both = streamed(Stream(rate, 3, leveller), sound, [777])
    for one in range(2):
        alone = streamed(Stream(rate, 1, leveller), sound[one], [777])
        np.testing.assert_allclose(both[one], alone, atol=CUT)
    assert not both[2].any()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_stays_silent_and_does_no_harm(rate: int, leveller: CausalModel) -> None:
    stream = Stream(rate, 2, leveller)
    for size in (0, 5000, 0, 1, 0, 30000):
        assert not stream.push(np.zeros((2, size), np.float32)).any()
    assert np.isfinite(stream.push(np.ones((2, 3000), np.float32))).all()


def test_empty_pushes_change_nothing(leveller: CausalModel, rng: np.random.Generator) -> None:
    sound, one, other = noise(rng, 3000), Stream(44100, model=leveller), Stream(44100, model=leveller)
    for block in np.split(sound, 30):
        assert one.push(block[:0]).shape == (0,)
        np.testing.assert_array_equal(one.push(block), other.push(block))
