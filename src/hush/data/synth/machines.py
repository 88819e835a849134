"""What turns and hammers: mains, engines, tools, fans."""

from __future__ import annotations

import numpy as np

from hush.data.synth.blocks import shaped


def hum(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Mains hum: harmonics of 50 or 60 Hz over a little hiss."""
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    t = np.arange(n) / rate
    decay = rng.uniform(0.3, 1.3)
    hiss = 0.02 * shaped(rng, n, rate, lambda f: 1 / (1 + f / 2000))
    chosen = []  # amplitude and phase of each harmonic as one complex number
    for harmonic in range(1, int(min(4000, rate / 2) / base)):
        strength = rng.exponential() * harmonic**-decay * (1.0 if harmonic % 2 == 0 else 0.6)
        chosen.append(strength * np.exp(1j * rng.uniform(0, 6.3)))
    turn, total = np.exp(2j * np.pi * base * t), np.zeros(n, complex)
    for coefficient in reversed(chosen):  # Horner's rule: a third of the time that 80 sines take
        total += coefficient
        total *= turn
    return hiss + total.imag
