"""Loudness and true peak against the test signals of EBU Tech 3341, the filters of BS.1770, FFmpeg and pyloudnorm."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ffmpeg_meter import ffmpeg_loudness
from hypothesis import given, settings
from hypothesis import strategies as st

from unhiss.dsp.loudness import MAX_GAIN_DB, LoudnessMeter, channel_weights, k_weighting
from unhiss.dsp.resampling import resample

RATE = 48_000
TECH_3341 = 0.1  # LU, the tolerance of EBU Tech 3341
TRUE_PEAK_OVER, TRUE_PEAK_UNDER = 0.2, 0.4  # dB, of the same
EXACT = 0.02  # LU: FFmpeg sorts loudness into bins of 0.01 LU
RATES = (1000, 8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 384_000)


def measure(audio: np.ndarray, rate: int = RATE) -> LoudnessMeter:
    meter = LoudnessMeter(rate, len(audio))
    meter.add(audio.astype(np.float32))
    return meter


def tones(*parts: tuple[float, float], rate: int = RATE, hertz: float = 1000.0) -> np.ndarray:
    """A sine `(T,)` whose peak level changes: (dBFS, seconds)."""
    level = np.concatenate([np.full(round(seconds * rate), 10 ** (dbfs / 20)) for dbfs, seconds in parts])
    return level * np.sin(2 * np.pi * hertz * np.arange(level.size) / rate)


def bursts(rng: np.random.Generator, channels: int, rate: int, seconds: int = 12) -> np.ndarray:
    """White noise whose level changes by up to 30 dB from second to second, so that the relative gate matters."""
    level = np.repeat(10 ** rng.uniform(-2.0, -0.5, seconds), rate)
    return (0.3 * level * rng.standard_normal((channels, level.size))).astype(np.float32)


@pytest.mark.parametrize(
    ("parts", "lufs"),
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
        pytest.param([(-36, 10), (-23, 60), (-36, 10)], -23.0, marks=pytest.mark.soak),
        pytest.param([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0, marks=pytest.mark.soak),
    ],
)
def test_stereo_tones_of_tech_3341_have_their_loudness(parts: list[tuple[float, float]], lufs: float) -> None:
    assert measure(np.stack([tones(*parts)] * 2)).lufs == pytest.approx(lufs, abs=TECH_3341)


@pytest.mark.parametrize("levels", [(-28, -28, -24, -30, -30), (-28, -28, -24, 0, -30, -30)])  # the LFE counts nothing
def test_surround_tones_of_tech_3341_have_their_loudness(levels: tuple[float, ...]) -> None:
    audio = np.stack([tones((level, 20)) for level in levels])
    assert measure(audio).lufs == pytest.approx(-23.0, abs=TECH_3341)


@pytest.mark.parametrize(
    ("period", "amplitude", "degrees", "dbtp"),
    [(4, 0.5, 0, -6.0), (4, 0.5, 45, -6.0), (6, 0.5, 60, -6.0), (8, 0.5, 67.5, -6.0), (4, 1.41, 45, 3.0)],
)
def test_sines_of_tech_3341_have_their_true_peak(period: int, amplitude: float, degrees: float, dbtp: float) -> None:
    """Cases 15 to 19: at 45 degrees all samples of a sine of a quarter of the rate are 3 dB below its peak."""
    fade = np.minimum(1, np.arange(RATE) / 480) * np.minimum(1, np.arange(RATE)[::-1] / 480)
    sine = fade * amplitude * np.sin(2 * np.pi * np.arange(RATE) / period + np.deg2rad(degrees))
    peak = measure(np.stack([sine, sine])).true_peak_dbtp
    assert -TRUE_PEAK_UNDER <= peak - dbtp <= TRUE_PEAK_OVER


@pytest.mark.parametrize("offset", range(4))
def test_a_peak_between_samples_is_found_wherever_it_lies(offset: int) -> None:
    """As cases 20 to 23: a pulse whose peak at four times the rate is 0 dBFS, decimated at each of four offsets."""
    time = np.arange(-2000, 2000) / 4
    pulse = np.sinc(0.7 * time) * np.exp(-((time / 40) ** 2))
    peak = measure(pulse[None, offset::4]).true_peak_dbtp
    assert -TRUE_PEAK_UNDER <= peak <= TRUE_PEAK_OVER


def test_a_peak_between_the_last_samples_is_found() -> None:
    assert measure(np.array([[0, 0, 0, 0.7, 0.7]])).true_peak_dbtp > 20 * np.log10(0.8)


def test_k_weighting_has_the_frequency_response_of_the_filters_of_bs_1770() -> None:
    from scipy.signal import freqz

    hertz = np.array([10, 38, 100, 997, 1682, 4000, 10_000, 20_000])
    shelf = freqz([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585],
                  hertz, fs=RATE)[1]  # fmt: skip
    high_pass = freqz([1, -2, 1], [1, -1.99004745483398, 0.99007225036621], hertz, fs=RATE)[1]
    np.testing.assert_allclose(k_weighting(hertz), np.abs(shelf * high_pass), rtol=1e-9)
    assert 20 * np.log10(k_weighting(np.array([997.0]))) == pytest.approx(0.691, abs=1e-3)


@pytest.mark.parametrize("channels", range(1, 7))
def test_loudness_is_that_of_ffmpeg(channels: int, rng: np.random.Generator) -> None:
    audio = bursts(rng, channels, RATE)
    assert measure(audio).lufs == pytest.approx(ffmpeg_loudness(audio, RATE)[0], abs=EXACT)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("band", ["narrow", "full"])
def test_the_sample_rate_changes_no_loudness(rate: int, band: str, rng: np.random.Generator) -> None:
    """As FFmpeg measures the same sound at 48 kHz; at low rates FFmpeg's own filter has another response."""
    source = 800 if band == "narrow" else min(rate, RATE) * 4 // 5
    audio = resample(bursts(rng, 1, source), source, rate, "VHQ")
    expected, _ = ffmpeg_loudness(resample(audio, rate, RATE, "VHQ"), RATE)
    assert measure(audio, rate).lufs == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_loudness_is_that_of_pyloudnorm(channels: int, rng: np.random.Generator) -> None:
    from pyloudnorm import Meter

    audio = bursts(rng, channels, RATE)
    expected = Meter(RATE).integrated_loudness(audio.T.astype(np.float64))
    coefficients = 0.05  # LU: it designs its filters anew
    assert measure(audio).lufs == pytest.approx(expected, abs=coefficients)


def test_true_peak_is_that_of_ffmpeg(rng: np.random.Generator) -> None:
    audio = resample(bursts(rng, 2, 24_000), 24_000, RATE)
    assert 10 ** (measure(audio).true_peak_dbtp / 20) == pytest.approx(ffmpeg_loudness(audio, RATE)[1], rel=0.01)


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=6), rate=st.sampled_from([8000, 11_025, 44_100]))
def test_blocks_of_any_size_give_the_loudness_of_the_whole(sizes: list[int], rate: int) -> None:
    audio = bursts(np.random.default_rng(sum(sizes)), 2, rate, 12)[:, : sum(sizes)]
    meter = LoudnessMeter(rate, 2)
    for block in np.split(audio, np.cumsum(sizes)[:-1], axis=1):
        meter.add(block)
        assert meter.lufs is None or meter.true_peak_dbtp > -100  # looking changes nothing
    whole = measure(audio, rate)
    assert meter.lufs == (None if whole.lufs is None else pytest.approx(whole.lufs, abs=1e-4))
    assert meter.true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=1e-4)


@pytest.mark.parametrize("rate", [8000, 11_025, 48_000])
def test_loudness_begins_with_the_first_400_ms(rate: int) -> None:
    size = 4 * rate // 10
    audio = tones((-23, 1), rate=rate)[None]
    assert measure(audio[:, : size - 1], rate).lufs is None
    assert measure(audio[:, :size], rate).lufs == pytest.approx(-26.0, abs=TECH_3341)


@pytest.mark.parametrize("rate", [8000, 11_030])
def test_the_last_400_ms_count_wherever_they_end(rate: int) -> None:
    tone = tones((-23, 0.4), rate=rate)
    results = {measure(np.append(np.zeros(hops * rate // 10), tone)[None], rate).lufs for hops in range(4, 40)}
    assert None not in results
    assert max(results) - min(results) < 1e-3  # type: ignore[type-var, operator]


@pytest.mark.parametrize("seconds", [0, 0.3, 3])
def test_without_loudness_there_is_no_gain(seconds: float) -> None:
    gain = measure(np.zeros((2, round(seconds * RATE)))).gain_to(-16)
    assert (gain.gain_db, gain.factor, gain.lufs, gain.true_peak_dbtp) == (0.0, 1.0, None, -100.0)
    assert gain.warning == (
        "no loudness to measure (nothing is above -70 LUFS): the level stays as it is" if seconds == 3
        else "no loudness to measure (shorter than 400 ms): the level stays as it is"
    )  # fmt: skip


@pytest.mark.parametrize("target", [-60.0, -31.5, -23.0, -16.0])
@pytest.mark.parametrize("level_db", [-30, 0])
def test_the_gain_leads_to_the_target(target: float, level_db: float, rng: np.random.Generator) -> None:
    """Also where the gain brings quiet parts above the absolute gate, or below it."""
    audio = bursts(rng, 2, RATE) * 10 ** (level_db / 20)
    gain = measure(audio).gain_to(target)
    expected, _ = ffmpeg_loudness(audio * gain.factor, RATE)
    assert (gain.lufs, expected) == (pytest.approx(target, abs=0.002), pytest.approx(target, abs=EXACT))
    assert gain.warning == ""


def test_peaks_hold_the_gain_back_at_the_ceiling() -> None:
    audio = tones((-20, 10))[None].repeat(2, axis=0)
    audio[:, RATE] = 0.95  # a click: a peak far above the loudness
    gain = measure(audio).gain_to(-10)
    lufs, peak = ffmpeg_loudness((audio * gain.factor).astype(np.float32), RATE)
    assert peak == pytest.approx(10 ** (-1 / 20), rel=0.01)
    assert gain.true_peak_dbtp == pytest.approx(-1.0, abs=1e-6)
    assert gain.lufs == pytest.approx(lufs, abs=EXACT)
    assert gain.warning.startswith(f"loudness {gain.lufs:.1f} LUFS in place of -10: its peaks reach -1 dBTP; ")


def test_next_to_nothing_is_not_raised_without_end(rng: np.random.Generator) -> None:
    audio = 10 ** (-62 / 20) * rng.standard_normal((1, 5 * RATE))
    gain = measure(audio).gain_to(-16)
    assert gain.gain_db == MAX_GAIN_DB
    assert gain.lufs == pytest.approx(ffmpeg_loudness((100 * audio).astype(np.float32), RATE)[0], abs=EXACT)
    assert "it is raised by 40 dB, and not more" in gain.warning


def test_the_rear_of_seven_one_counts_as_the_front() -> None:
    """BS.1770-4 raises sources 60 to 120 degrees from the front; the rear loudspeakers of 7.1 are at 135."""
    assert channel_weights(8) == (1, 1, 1, 0, 1, 1, 1.41, 1.41)
    assert channel_weights(1) == (1,) and channel_weights(12) == (1,) * 12


@pytest.mark.soak
def test_an_hour_takes_half_a_megabyte() -> None:
    block = np.zeros((1, 600 * 1000), np.float32)
    meter = LoudnessMeter(1000, 1)
    meter.add(block)
    tracemalloc.start()
    for _ in range(6):
        meter.add(block)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 500_000  # 8 bytes for each of 36,000 times 100 ms, and what the array reserves
