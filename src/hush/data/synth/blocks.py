"""What the kinds are built from: shaped noise, slow curves, resonances, pulses, harmonic tones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def shaped(rng: np.random.Generator, n: int, rate: int, curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Gaussian noise with the amplitude spectrum `curve(frequency in Hz)`, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) * curve(np.fft.rfftfreq(n, 1 / rate))
    noise = np.fft.irfft(spectrum, n)
    return noise / max(1e-9, float(np.sqrt(np.mean(noise**2))))


def slow(rng: np.random.Generator, n: int, rate: int, speed_hz: float) -> np.ndarray:
    """A random curve that wanders at about `speed_hz`, of unit power."""
    points = max(4, int(n / rate * speed_hz * 2) + 2)
    return np.interp(np.linspace(0, points - 1, n), np.arange(points), rng.standard_normal(points))


def peak(centre_hz: float, width_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    """A resonance as an amplitude curve."""
    return lambda f: 1 / np.sqrt(1 + ((f - centre_hz) / width_hz) ** 2)


def scatter(rng: np.random.Generator, n: int, starts: np.ndarray, sound: Callable[[], np.ndarray]) -> np.ndarray:
    """One fresh `sound()` at each start, added up."""
    out = np.zeros(n)
    for start in starts.astype(int):
        event = sound()[: n - start]
        out[start : start + event.size] += event
    return out


def burst(rng: np.random.Generator, rate: int, seconds: float, tones: int, low: float, high: float) -> np.ndarray:
    """A struck body: decaying tones between `low` and `high` Hz with a short noisy attack."""
    t = np.arange(int(seconds * rate)) / rate
    out = rng.standard_normal(t.size) * np.exp(-t * rng.uniform(80, 300)) * rng.uniform(0.1, 0.6)
    for _ in range(tones):
        frequency = np.exp(rng.uniform(np.log(low), np.log(high)))
        out += np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6.3)) * np.exp(-t * rng.uniform(8, 50))
    return out * rng.uniform(0.2, 1.0)
