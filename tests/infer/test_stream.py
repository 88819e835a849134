"""Stream: blocks of any size give the samples of the offline result, delayed by exactly `latency`, at every rate."""

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
from unhiss.media.source import read
from unhiss.media.writer import write

Make = Callable[..., Path]
ENGINE_RATES = [8000, 12000, 16000, 24000, 32000, 48000, 96000]  # rates of the engine
RESAMPLED_RATES = [11025, 22050, 44100, 88200, 192000, 44056]  # rates that need resampling
UGLY = [1, 255, 256, 257, 8193]
CUT = 1e-5  # between different block sizes: float32 sums in another order
ROUND_OFF = 1e-5
RIPPLE = 1e-4  # -80 dB, of both resamplers


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape).astype(np.float32)


def streamed(stream: Stream, audio: np.ndarray, sizes: list[int]) -> np.ndarray:
    """The output of blocks with these sizes in turn, and of the flush, without the latency."""
    parts, start, turn = [], 0, 0
    while start < audio.shape[-1]:
        block = audio[..., start : start + sizes[turn % len(sizes)]]
        parts.append(stream.push(block))
        assert (parts[-1].shape, parts[-1].dtype) == (block.shape, np.float32)
        start, turn = start + block.shape[-1], turn + 1
    return np.concatenate([*parts, stream.flush()], axis=-1)[..., stream.latency.samples :]


@pytest.fixture(scope="module")
def identity(causal_model: Make) -> CausalModel:
    return CausalModel(causal_model())


@pytest.fixture(scope="module")
def leveller(causal_model: Make) -> CausalModel:
    """The gain of each frame depends on the frame before, so a lost state changes the output."""
    return CausalModel(causal_model("leveller"))


@pytest.mark.parametrize("size", UGLY)
@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_stream_equals_offline_for_any_block_size(
    size: int, rate: int, causal_model: Make, rng: np.random.Generator
) -> None:
    model, audio = causal_model("leveller"), noise(rng, 2, 8193 if size > 1 else 1500)
    out = streamed(Stream(rate, 2, model), audio, [size])
    np.testing.assert_allclose(out, unhiss.denoise(audio, rate, model=model), atol=CUT)


CUTTINGS = {
    "sizes": st.lists(st.one_of(st.integers(0, 50), st.integers(0, 5000)), max_size=12),
    "rate": st.sampled_from([8000, 11025, 16000, 22050, 24000, 44100, 48000, 96000]),
    "limit": st.sampled_from([None, 6.0]),
    "mix": st.sampled_from([1.0, 0.7]),
}


@settings(max_examples=40, deadline=None)
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


def check_cutting(model: str | Path, sizes: list[int], rate: int, limit: float | None, mix: float) -> None:
    options: dict[str, Any] = {"atten_limit_db": limit, "mix": mix}
    audio = noise(np.random.default_rng(len(sizes)), 1, sum(sizes))
    stream = Stream(rate, 1, model, **options)
    parts = [stream.push(audio[:, a:b]) for a, b in pairwise(np.cumsum([0, *sizes]))]
    latency, rest = stream.latency.samples, np.atleast_2d(stream.flush())
    out = np.concatenate([*parts, rest], axis=1)[:, latency:]
    np.testing.assert_allclose(out, unhiss.denoise(audio, rate, model=model, **options), atol=CUT)


@pytest.fixture(scope="module")
def causal_models(causal_model: Make) -> dict[str, Path]:
    return {kind: causal_model(kind) for kind in ("leveller", "counter")}


@pytest.mark.parametrize(
    ("rate", "max_ms"), [*((rate, 32) for rate in ENGINE_RATES), (11025, 60), (22050, 60), (44100, 60), (44056, 60)]
)
@pytest.mark.parametrize("position", [0, 1000, 1777])
def test_an_impulse_is_delayed_by_the_latency(rate: int, max_ms: float, position: int, identity: CausalModel) -> None:
    stream = Stream(rate, model=identity)
    blocks = np.zeros((120, 100), np.float32)
    blocks.reshape(-1)[position] = 1
    out = np.concatenate([stream.push(block) for block in blocks])
    assert int(np.argmax(out)) - position == stream.latency.samples
    assert stream.latency.ms == pytest.approx(stream.latency.samples / rate * 1000)
    assert stream.latency.ms <= max_ms
    if rate in ENGINE_RATES:
        assert out.max() == pytest.approx(1, abs=ROUND_OFF)


def test_the_documented_latencies_are_these(identity: CausalModel) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d, ]+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)
    documented = {int(rate.replace(",", "")): float(ms) for rates, ms, _ in rows for rate in rates.split(", ")}
    assert {*ENGINE_RATES, 11025, 22050, 44100} <= documented.keys()
    for rate, ms in documented.items():
        assert Stream(rate, model=identity).latency.ms == pytest.approx(ms, abs=0.051)


@settings(max_examples=8, deadline=None)
@given(rate=st.integers(2000, 200000), size=st.integers(1, 400))
def test_the_output_queue_never_runs_dry_at_any_rate(rate: int, size: int, identity: CausalModel) -> None:
    stream = Stream(rate, model=identity)
    block = np.ones(size, np.float32)
    for _ in range(40):
        assert stream.push(block).shape == block.shape  # an empty queue would return fewer samples


@pytest.mark.parametrize("rate", ENGINE_RATES)
@pytest.mark.parametrize("size", [0, *UGLY])
def test_identity_returns_every_sample(size: int, rate: int, identity: CausalModel, rng: np.random.Generator) -> None:
    audio = noise(rng, 2, size)
    np.testing.assert_allclose(streamed(Stream(rate, 2, identity), audio, [1000]), audio, atol=ROUND_OFF)


@pytest.mark.parametrize("rate", [*RESAMPLED_RATES, 4000, 44101])
def test_identity_returns_the_band_aligned_at_resampled_rates(rate: int, identity: CausalModel) -> None:
    top = 0.45 * min(rate, 96000)
    time_s = np.arange(rate // 3) / rate
    fade = np.hanning(time_s.size)  # a sudden start has energy at all frequencies
    audio = np.stack([fade * np.sin(2 * np.pi * hertz * time_s) for hertz in (0.02 * top, 0.5 * top, top)])
    out = streamed(Stream(rate, 3, identity), audio.astype(np.float32), [1001])
    np.testing.assert_allclose(out, audio, atol=RIPPLE)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_file_equals_the_stream(rate: int, causal_models: dict[str, Path], tmp_path: Path) -> None:
    audio = noise(np.random.default_rng(5), 2, 3 * rate + 17)
    write(tmp_path / "in.wav", audio, rate, "FLOAT")
    report = unhiss.denoise_file(tmp_path / "in.wav", tmp_path / "out.wav", model=causal_models["counter"], mix=0.9)
    out, out_rate = read(tmp_path / "out.wav")
    assert (out.shape, out_rate, report.seconds) == (audio.shape, rate, audio.shape[1] / rate)
    expected = streamed(Stream(rate, 2, causal_models["counter"], mix=0.9), audio, [480])
    np.testing.assert_allclose(out, expected, atol=CUT)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_the_state_counts_frames_from_the_start(rate: int, causal_models: dict[str, Path]) -> None:
    audio = np.ones(2 * rate, np.float32)
    out = unhiss.denoise(audio, rate, model=causal_models["counter"])
    frame, hop_s = np.arange(120), 0.016  # frame n + 1 starts with hop n; a constant input shows both gains over it
    before, after = (0.6 + 0.4 * np.sin(frame + k) for k in (1, 2))
    start, middle = (np.round((frame + part) * hop_s * rate).astype(int) for part in (0, 0.5))
    np.testing.assert_allclose(out[start[2:]], before[2:], atol=2e-3)
    np.testing.assert_allclose(out[middle[2:]], ((before + after) / 2)[2:], atol=2e-2)


def test_bins_have_the_same_frequency_at_every_rate(causal_model: Make) -> None:
    model = CausalModel(causal_model("tilt"))
    for rate in ENGINE_RATES:
        time_s = np.arange(rate // 2) / rate
        for bin_ in (10, 100):
            tone = np.cos(2 * np.pi * 31.25 * bin_ * time_s).astype(np.float32)
            out = streamed(Stream(rate, model=model), tone, [1000])[rate // 10 : -rate // 10]
            assert np.sqrt(2 * np.square(out).mean()) == pytest.approx(1 / (1 + bin_ / 20), rel=2e-2)


def test_a_tone_has_the_same_magnitude_at_every_rate(identity: CausalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    magnitudes = []
    run = identity.run

    def spy(spectrum: np.ndarray, state: np.ndarray, on_speech: None) -> tuple[np.ndarray, np.ndarray]:
        magnitudes.append(np.abs(spectrum[0, 5, 32]))
        return run(spectrum, state, on_speech)

    monkeypatch.setattr(identity, "run", spy)
    for rate in ENGINE_RATES:
        Stream(rate, model=identity).push(np.cos(2 * np.pi * 1000 * np.arange(rate // 2) / rate).astype(np.float32))
    assert len(magnitudes) == len(ENGINE_RATES)
    np.testing.assert_allclose(magnitudes, 0.5 * 512 * 2 / np.pi, rtol=1e-3)  # half the sum of the window, sin


@pytest.mark.parametrize("rate", [16000, 44100])
def test_channels_do_not_influence_each_other(rate: int, leveller: CausalModel, rng: np.random.Generator) -> None:
    audio = noise(rng, 3, 5000) * np.array([[1], [0.01], [0]], np.float32)
    both = streamed(Stream(rate, 3, leveller), audio, [777])
    for one in range(2):
        alone = streamed(Stream(rate, 1, leveller), audio[one], [777])
        np.testing.assert_allclose(both[one], alone, atol=CUT)
    assert not both[2].any()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_silence_stays_silent_and_keeps_the_state_finite(rate: int, leveller: CausalModel) -> None:
    stream = Stream(rate, 2, leveller)
    for size in (0, 5000, 0, 1, 0, 30000):
        assert not stream.push(np.zeros((2, size), np.float32)).any()
    assert np.isfinite(stream.push(np.ones((2, 3000), np.float32))).all()


def test_empty_pushes_change_nothing(leveller: CausalModel, rng: np.random.Generator) -> None:
    audio, one, other = noise(rng, 3000), Stream(44100, model=leveller), Stream(44100, model=leveller)
    for block in np.split(audio, 30):
        assert one.push(block[:0]).shape == (0,)
        np.testing.assert_array_equal(one.push(block), other.push(block))
