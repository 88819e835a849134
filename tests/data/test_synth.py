from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from hush.data import synth
from hush.data.synth import KINDS, SECONDS, make
from hush.errors import CorpusError

RATE = 22050
SEEDS = range(8)
every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


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


@every_kind
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_every_kind_is_finite_and_peaks_at_minus_3_dbfs_at_any_rate(kind: str, rate: int) -> None:
    audio = make(kind, 7, rate)
    assert audio.dtype == np.float32
    assert audio.shape == (int(SECONDS * rate),)
    assert np.abs(audio).max() == pytest.approx(10 ** (-3 / 20), rel=1e-6)


@every_kind
def test_the_seed_decides_every_sample(kind: str) -> None:
    assert np.array_equal(make(kind, 3, RATE), make(kind, 3, RATE))
    for other in (0, 1, 2):
        assert abs(np.corrcoef(make(kind, 3, RATE), make(kind, other, RATE))[0, 1]) < 0.9


def test_kinds_of_the_same_seed_share_no_noise() -> None:
    assert abs(np.corrcoef(make("wind", 1, RATE), make("rain", 1, RATE))[0, 1]) < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_hum_has_its_power_in_lines_at_multiples_of_50_or_60_hz(seed: int) -> None:
    hz, density = power(make("hum", seed, RATE), 65536)

    def on_lines(base: float) -> float:
        # The generator detunes by 0.2 %, so a line lies within 8 Hz of its multiple up to 4 kHz.
        near = np.abs(hz - np.maximum(1, np.round(hz / base)) * base) < 0.5 + 0.002 * hz
        return float(density[near].sum() / density.sum())

    assert max(on_lines(50), on_lines(60)) > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_wind_lies_low(seed: int) -> None:
    assert share(make("wind", seed, RATE), 0, 500) > 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_rain_is_bright(seed: int) -> None:
    assert share(make("rain", seed, RATE), 1000, RATE) > 0.6


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
def test_blows_are_short_loud_and_where_they_sound(kind: str, low: float, high: float, seed: int) -> None:
    audio = make(kind, seed, RATE)
    peak = np.abs(audio).max()
    crest_db = 20 * np.log10(peak / np.sqrt((audio.astype(np.float64) ** 2).mean()))
    assert crest_db > 12, "steady noise has about 12 dB"
    assert share(audio, low, high) > 0.5
    level = envelope_db(audio)
    loudest = int(level.argmax())
    assert level[loudest] - level[loudest + 1 : loudest + 25].min() > 10, "it dies away within half a second"


def test_coloured_noise_spans_white_to_brown() -> None:
    low = [share(make("coloured", seed, RATE), 0, 500) for seed in range(24)]
    assert min(low) < 0.1
    assert max(low) > 0.6


def test_clips_name_what_make_needs_and_carry_a_group_each() -> None:
    clips = list(synth.clips("wind=2,siren"))
    assert len(clips) == 2 + synth.CLIPS_PER_KIND
    assert len({clip.groups for clip in clips}) == len(clips)
    assert all(synth.is_made(clip) and clip.loose and clip.commercial_use for clip in clips)


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
def test_a_kind_or_count_that_cannot_be_is_refused(kinds: str, line: str) -> None:
    with pytest.raises(CorpusError) as caught:
        list(synth.clips(kinds))
    assert line in str(caught.value)
