"""Building blocks of synthetic noise: shaped noise, random curves, resonances, impulses, harmonic tones."""

from collections.abc import Callable

import numpy as np


def shaped_noise(rng: np.random.Generator, n: int, rate: int, curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Gaussian noise with the amplitude spectrum `curve(frequency in Hz)`, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) * curve(np.fft.rfftfreq(n, 1 / rate))
    noise = np.fft.irfft(spectrum, n)
    return noise / max(1e-9, float(np.sqrt(np.mean(noise**2))))


def drift(rng: np.random.Generator, n: int, rate: int, speed_hz: float) -> np.ndarray:
    """A random curve of unit power that varies at about `speed_hz`."""
    points = max(4, int(n / rate * speed_hz * 2) + 2)
    return np.interp(np.linspace(0, points - 1, n), np.arange(points), rng.standard_normal(points))


def resonance(centre_hz: float, width_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    """The amplitude curve of a resonance, as a function of frequency in Hz."""
    return lambda f: 1 / np.sqrt(1 + ((f - centre_hz) / width_hz) ** 2)


def add_events(n: int, starts: np.ndarray, sound: Callable[[], np.ndarray]) -> np.ndarray:
    """The sum of a new `sound()` at each start, `(n,)`."""
    out = np.zeros(n)
    for start in starts.astype(int):
        event = sound()[: n - start]
        out[start : start + event.size] += event
    return out


def impact(rng: np.random.Generator, rate: int, seconds: float, tones: int, low: float, high: float) -> np.ndarray:
    """The sound of a blow: decaying tones between `low` and `high` Hz with a short noisy attack."""
    t = np.arange(int(seconds * rate)) / rate
    out = rng.standard_normal(t.size) * np.exp(-t * rng.uniform(80, 300)) * rng.uniform(0.1, 0.6)
    for _ in range(tones):
        frequency = log_uniform(rng, low, high)
        out += np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6.3)) * np.exp(-t * rng.uniform(8, 50))
    return out * rng.uniform(0.2, 1.0)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A random number between `low` and `high`, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def active_rms(audio: np.ndarray) -> float:
    """RMS weighted by power, sqrt(Σx⁴ / Σx²), so that pauses between events do not count."""
    power = audio**2
    return float(np.sqrt(np.sum(power**2) / max(1e-18, float(np.sum(power)))))


def mix_levels(parts: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Sum of (level in dB, sound); the sounds are first scaled to the same `active_rms`."""
    return sum((10 ** (db / 20) / max(1e-9, active_rms(x)) * x for db, x in parts), np.zeros(parts[0][1].size))


def convolve(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """`audio` filtered by a causal impulse response, cut to the length of `audio`."""
    total = audio.size + response.size
    step = 1 << max(0, total.bit_length() - 5)  # a multiple of a large power of two transforms fast
    size = -(-total // step) * step
    return np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)[: audio.size]


def body_response(
    rng: np.random.Generator, rate: int, count: int, band_hz: tuple[float, float], q: tuple[float, float],
    tilt: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Impulse response of a body, of unit energy: `count` resonances in a band, each ringing for Q periods.

    The amplitude falls with frequency^tilt. Metal has a Q of 20 to 200, wood 5 to 20, earth 1 to 5.
    """
    low, high = min(band_hz[0], 0.3 * rate), min(band_hz[1], 0.45 * rate)
    hz = np.exp(rng.uniform(np.log(low), np.log(high), (count, 1)))
    decay = np.pi * hz / np.exp(rng.uniform(np.log(q[0]), np.log(q[1]), (count, 1)))
    t = np.arange(int(min(1.0, 5 / decay.min()) * rate) + 2) / rate
    strength = rng.uniform(0.2, 1, (count, 1)) * np.sqrt(decay) * (hz / low) ** -tilt
    response = (strength * np.exp(-decay * t) * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6.3, (count, 1)))).sum(0)
    result: np.ndarray = response / max(1e-9, float(np.sqrt(np.sum(response**2))))
    return result


def exp_decay(rate: int, seconds: float) -> np.ndarray:
    """An exponential that falls to 1/e in `seconds`."""
    return np.exp(-np.arange(int(7 * seconds * rate) + 2) / (seconds * rate))


def impulses(n: int, at: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Impulses of given heights at times in samples; one between two samples is divided among them."""
    inside = (at >= 0) & (at < n - 1)
    at, heights = at[inside], heights[inside]
    first, part = at.astype(int), at % 1
    return np.bincount(first, heights * (1 - part), n) + np.bincount(first + 1, heights * part, n)


def phases(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` complex numbers of magnitude 1 and random phase."""
    result: np.ndarray = np.exp(1j * rng.uniform(0, 6.3, count))
    return result


def harmonics(turns: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """A harmonic tone: harmonic k has the complex amplitude `strengths[k - 1]` and the phase 2π·k·`turns`.

    Interpolated linearly in a table of one period; harmonics above 100 are left out, since they would alias.
    """
    size = 4096
    spectrum = np.zeros(size // 2 + 1, complex)
    spectrum[1 : 1 + min(100, len(strengths))] = strengths[:100]
    table = np.append(period := np.fft.irfft(spectrum, size) * size / 2, period[0])
    position = turns % 1 * size
    first = np.minimum(position.astype(int), size - 1)  # -1e-17 % 1 is 1
    result: np.ndarray = table[first] + (position - first) * (table[first + 1] - table[first])
    return result


def on_off(
    rng: np.random.Generator, n: int, rate: int, on_s: tuple[float, float], off_s: tuple[float, float]
) -> np.ndarray:
    """1 while something is switched on, 0 while it is off, for random times in turn, from a random moment on."""
    spans = np.ravel([(log_uniform(rng, *on_s), log_uniform(rng, *off_s)) for _ in range(int(n / rate / on_s[0]) + 3)])
    edges = (np.cumsum(spans) - rng.uniform(0, spans[0] + 0.5 * spans[1])) * rate
    result: np.ndarray = (np.searchsorted(edges, np.arange(n), "right") % 2 == 0) * 1.0
    return result


def smooth(x: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    """`x` through a first-order low-pass with the time constant `seconds`, which starts at x[0]."""
    response = exp_decay(rate, seconds)
    result: np.ndarray = x[0] + convolve(x - x[0], response / response.sum())
    return result
