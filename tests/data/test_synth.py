from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from unhiss.cli.prepare import EXAMPLES
from unhiss.data import synth
from unhiss.data.synth import KINDS, SECONDS, machines
from unhiss.errors import CorpusError

RATE = 22050
SEEDS = range(8)
BRIGHT = ("rain", "drill", "jackhammer", "alarm", "bang", "keyboard", "clicks", "music")
STEADY = ("wind", "rain", "hum", "engine", "drill", "jackhammer", "air_conditioner", "music")
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


@cache
def make(kind: str, seed: int, rate: int = RATE) -> np.ndarray:
    return synth.make(kind, seed, rate)


def power(audio: np.ndarray, size: int = 8192) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and mean power spectrum, by scipy."""
    return signal.welch(audio, RATE, nperseg=size)


def share(audio: np.ndarray, low: float, high: float) -> float:
    """Share of the power between two frequencies."""
    hz, density = power(audio)
    return float(density[(hz >= low) & (hz < high)].sum() / density.sum())


def envelope_db(audio: np.ndarray, seconds: float = 0.02) -> np.ndarray:
    size = int(seconds * RATE)
    frames = audio[: audio.size // size * size].reshape(-1, size)
    return 10 * np.log10((frames.astype(np.float64) ** 2).mean(1) + 1e-12)


def line_share(audio: np.ndarray) -> np.ndarray:
    """Per window of 93 ms, the share of the power that the strongest 5 % of the bins hold."""
    _, _, bins = signal.stft(audio, RATE, nperseg=2048)
    loud = np.sort(np.abs(bins) ** 2, 0)[::-1]
    return loud[: len(loud) // 20].sum(0) / np.maximum(1e-20, loud.sum(0))


@every_kind
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_every_kind_is_finite_and_peaks_at_minus_3_dbfs_at_any_rate(kind: str, rate: int) -> None:
    seconds = SECONDS if rate == 8000 else 1.0
    audio = synth.make(kind, 7, rate, seconds)
    assert audio.dtype == np.float32
    assert audio.shape == (int(seconds * rate),)
    assert np.isfinite(audio).all()
    assert np.abs(audio).max() == pytest.approx(10 ** (-3 / 20), rel=1e-6)


@every_kind
def test_the_seed_decides_every_sample(kind: str) -> None:
    assert np.array_equal(synth.make(kind, 3, 8000, 2.0), synth.make(kind, 3, 8000, 2.0))
    for other in (0, 1, 2):  # tonal kinds of close pitch correlate by up to 0.04, noise by 0.01
        assert abs(np.corrcoef(make(kind, 3, RATE), make(kind, other, RATE))[0, 1]) < 0.1


def test_kinds_of_the_same_seed_share_no_noise() -> None:
    assert abs(np.corrcoef(make("wind", 1, RATE), make("rain", 1, RATE))[0, 1]) < 0.05, (
        "wind has few independent samples: 1/sqrt(6 s x 300 Hz) = 0.02"
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_hum_has_its_power_in_lines_at_multiples_of_50_or_60_hz(seed: int) -> None:
    hz, density = power(make("hum", seed, RATE), 65536)

    def on_lines(base: float) -> float:
        # The generator detunes by 0.2 %, so a line lies within 8 Hz of its multiple up to 4 kHz.
        near = np.abs(hz - np.maximum(1, np.round(hz / base)) * base) < 0.5 + 0.002 * hz
        return float(density[near].sum() / density.sum())

    assert max(on_lines(50), on_lines(60)) > 0.99, "the hiss has less than 1 %"


@pytest.mark.parametrize("seed", SEEDS)
def test_wind_lies_low(seed: int) -> None:
    assert share(make("wind", seed, RATE), 0, 500) > 0.7, "corners are at 60 to 300 Hz"


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_is_bright(seed: int) -> None:
    assert share(make("rain", seed, RATE), 1000, RATE) > 0.75, "white noise has 0.91; the hiss falls by up to f^-0.5"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_siren_is_a_tone_that_moves(seed: int) -> None:
    hz, _, bins = signal.stft(make("siren", seed, RATE), RATE, nperseg=1024)
    inside = (hz >= 350) & (hz <= 1700)
    strength = np.abs(bins[inside]) ** 2
    track = hz[inside][strength.argmax(0)]
    assert np.median(strength.max(0) / strength.sum(0)) > 0.3, "a line, not a hiss"
    assert np.percentile(track, 90) - np.percentile(track, 10) > 150, "that sweeps"


@pytest.mark.parametrize("seed", SEEDS)
def test_breathing_comes_and_goes_every_two_to_five_seconds(seed: int) -> None:
    audio = make("breathing", seed, RATE)
    level = envelope_db(audio, 0.1)
    assert level.max() - np.percentile(level, 5) > 15, "there are pauses"
    slow = signal.filtfilt(np.ones(5) / 5, 1, 10 ** (level / 20))
    peaks, _ = signal.find_peaks(slow, height=slow.max() / 6, distance=3)
    assert 2 <= len(peaks) <= 10, "in and out, 0.2 to 0.6 times a second, 6 seconds long"
    assert share(audio, 200, 6000) > 0.75, "air through a mouth"


@pytest.mark.parametrize("kind, low, high", [("thuds", 30, 400), ("knocks", 120, 2800)])
@pytest.mark.parametrize("seed", SEEDS)
def test_blows_are_short_and_loud_and_in_their_band(kind: str, low: float, high: float, seed: int) -> None:
    audio = make(kind, seed, RATE)
    peak = np.abs(audio).max()
    crest_db = 20 * np.log10(peak / np.sqrt((audio.astype(np.float64) ** 2).mean()))
    assert crest_db > 12, "steady noise has about 12 dB"
    assert share(audio, low, high) > 0.5
    level = envelope_db(audio)
    loudest = int(level.argmax())
    assert level[loudest] - level[loudest + 1 : loudest + 25].min() > 10, "it decays within half a second"


def test_coloured_noise_spans_white_to_brown() -> None:
    low = [share(make("coloured", seed, RATE), 0, 500) for seed in range(24)]
    assert min(low) < 0.1
    assert max(low) > 0.6


@every_kind
def test_no_kind_has_much_power_below_10_hz(kind: str) -> None:
    for seed in range(4):
        hz, density = power(make(kind, seed), 16384)
        # Wind gusts and brown noise (1/f^2) have their most power at the lowest frequencies.
        assert density[hz < 10].sum() < (0.25 if kind in ("wind", "coloured") else 0.05) * density.sum()


@pytest.mark.parametrize("kind", STEADY)
def test_continuous_kinds_have_no_long_silence(kind: str) -> None:
    for seed in SEEDS[:5]:
        level = envelope_db(make(kind, seed), 0.05)
        assert np.mean(level < level.max() - 60) < 0.02


@pytest.mark.parametrize("kind", BRIGHT)
def test_bright_kinds_reach_above_8_khz(kind: str) -> None:
    shares = []
    for seed in range(4):
        hz, density = signal.welch(synth.make(kind, seed, 48000, 2.0), 48000, nperseg=4096)
        shares.append(density[hz > 8000].sum() / density.sum())
    assert max(shares) > 0.003, "25 dB below the total"
    assert min(shares) > 1e-6, "no seed is band-limited: a 16-bit rounding error has 1e-9"


def test_an_idling_engine_repeats_itself_every_two_turns_of_the_crank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_speed", lambda rng, n, rate: np.ones(n))
    gains = []
    for seed in SEEDS[:5]:
        audio = synth.make("engine", seed, RATE)
        hz, density = signal.periodogram(audio, RATE, "hann")
        low = (hz > 20) & (hz < 300)
        hz, density = hz[low], density[low] / density[low].sum()
        # 380 to 1080 turns a minute. By chance a comb holds what lies within 0.4 Hz of it: 0.8 / cycle.
        combs = [(cycle, np.abs(hz - np.round(hz / cycle) * cycle) < 0.4) for cycle in np.arange(3.2, 9.1, 0.01)]
        gains.append(max(density[near].sum() / (0.8 / cycle) for cycle, near in combs))
    assert min(gains) > 1.4, "even where rushing air drowns the exhaust"
    assert np.median(gains) > 4


def test_engines_idle_rev_and_pull_away() -> None:
    span = []
    for seed in range(10):
        level = envelope_db(make("engine", seed), 0.25)
        span.append(level.max() - level.min())
    assert min(span) < 3
    assert max(span) > 8


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_drill_is_a_whine_in_a_broad_noise(seed: int) -> None:
    audio = make("drill", seed)
    assert share(audio, 500, RATE) > 0.3
    assert np.median(line_share(audio)) > 0.5, "white noise has 0.2"


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_jackhammer_strikes_ten_to_thirty_times_a_second(seed: int) -> None:
    sos = signal.butter(4, 800, "highpass", fs=RATE, output="sos")
    envelope = np.abs(signal.hilbert(signal.sosfilt(sos, make("jackhammer", seed))))
    envelope = signal.resample_poly(envelope, 1, 49)  # 450 Hz
    hz, density = signal.welch(envelope, RATE / 49, nperseg=1024)
    inside = (hz > 8) & (hz < 35)
    strongest = float(hz[inside][density[inside].argmax()])
    assert 9 <= strongest <= 33
    assert density[inside].max() > 10 * np.median(density[inside]), "a line in the spectrum of the envelope"


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_an_air_conditioner_is_low_and_steady(seed: int) -> None:
    audio = make("air_conditioner", seed)
    assert share(audio, 0, 3000) > 0.9, "white noise has 0.27"
    level = envelope_db(audio, 0.25)
    assert np.percentile(level, 95) - np.percentile(level, 5) < 4


@pytest.mark.parametrize("kind", ["car_horn", "alarm", "music"])
@pytest.mark.parametrize("seed", SEEDS[:5])
def test_pitched_kinds_have_their_power_in_lines(kind: str, seed: int) -> None:
    assert np.percentile(line_share(make(kind, seed)), 80) > 0.8, "white noise has 0.2"


@pytest.mark.parametrize("kind", ["bang", "keyboard", "clicks"])
@pytest.mark.parametrize("seed", SEEDS[:5])
def test_blows_and_clicks_are_rare_and_far_above_the_rest(kind: str, seed: int) -> None:
    audio = make(kind, seed).astype(np.float64)
    kurtosis = np.mean(audio**4) / np.mean(audio**2) ** 2
    assert kurtosis > 30, "Gaussian noise has 3, a sine 1.5"


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_bang_starts_at_once_and_dies_away(seed: int) -> None:
    level = np.pad(envelope_db(make("bang", seed), 0.01), 60, mode="edge")
    loudest = 60 + int(level[60:-60].argmax())
    assert level[loudest] - level[loudest - 6 : loudest].min() > 8
    assert level[loudest] - level[loudest + 1 : loudest + 50].min() > 10


def test_typing_has_two_to_twelve_keys_a_second() -> None:
    for seed in SEEDS[:5]:
        level = envelope_db(make("keyboard", seed), 0.01)
        strokes, _ = signal.find_peaks(level, height=level.max() - 30, prominence=6, distance=6)
        assert 2 <= len(strokes) / SECONDS <= 12


def test_music_keeps_to_a_scale_of_seven_notes() -> None:
    shares = []
    for seed in SEEDS:
        hz, density = power(make("music", seed), 16384)
        inside = (hz > 110) & (hz < 1200)
        classes = np.round(12 * np.log2(hz[inside] / 440)).astype(int) % 12
        chroma = np.sort(np.bincount(classes, density[inside], 12))[::-1]
        shares.append(chroma[:7].sum() / chroma.sum())
    assert np.median(shares) > 0.85, "noise has 7/12 = 0.58"


def test_the_help_and_the_documentation_name_every_kind() -> None:
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for kind, maker in KINDS.items():
        line = (maker.__doc__ or "").splitlines()[0]
        assert f"| `{kind}` | {line} |" in text
    named = EXAMPLES.split("synth:KIND, of ")[1].split(".")[0]
    assert " ".join(named.split()).split(", ") == list(KINDS)


def test_clips_name_what_make_needs_and_carry_a_group_each() -> None:
    clips = list(synth.clips("wind=2,siren"))
    assert len(clips) == 2 + synth.CLIPS_PER_KIND
    assert len({clip.groups for clip in clips}) == len(clips)
    assert all(synth.is_synthetic(clip) and clip.flexible_split and clip.commercial_use for clip in clips)


@pytest.mark.parametrize(
    "kinds, line",
    [
        ("wnd", "no synthetic noise 'wnd'; did you mean 'wind'?"),
        ("", "no synthetic noise ''"),
        ("wind=many", "'many' is no number of clips; try synth:wind=60"),
        ("wind=0", "'0' is no number of clips"),
        ("wind=-3", "'-3' is no number of clips"),
        ("wind,,hum", "no synthetic noise ''"),
    ],
)
def test_an_unknown_kind_or_count_is_refused(kinds: str, line: str) -> None:
    with pytest.raises(CorpusError) as caught:
        list(synth.clips(kinds))
    assert line in str(caught.value)
