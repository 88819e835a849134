"""What is meant to be heard: sirens, horns, beeps, bells."""

from __future__ import annotations

import numpy as np

from hush.data.synth.blocks import shaped, slow


def siren(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Wail, yelp or two tones, with harmonics and the echo of a street."""
    t = np.arange(n) / rate
    low, high, speed = (
        rng.uniform(400, 700),
        rng.uniform(900, 1600),
        np.exp(rng.uniform(np.log(0.15), np.log(4))),
    )
    phase = t * speed + rng.uniform(0, 1)
    shape = rng.integers(3)
    sweep = (phase % 1 < 0.5) * 1.0 if shape == 2 else 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    frequency = low + (high - low) * sweep
    angle = 2 * np.pi * np.cumsum(frequency) / rate
    out = np.zeros(n)
    for harmonic in range(1, 6):
        out += (
            rng.uniform(0.2, 1)
            * harmonic ** -rng.uniform(0.7, 2)
            * np.sin(harmonic * angle)
            * (frequency * harmonic < rate / 2)
        )
    for delay_s in rng.uniform(0.02, 0.4, 3):
        delay = min(n - 1, int(delay_s * rate))
        out[delay:] += rng.uniform(0.05, 0.3) * out[: n - delay].copy()
    street = shaped(rng, n, rate, lambda f: 1 / (1 + (f / 300) ** 1.2))
    return out * (1 + 0.3 * slow(rng, n, rate, 1)) + rng.uniform(0.02, 0.3) * street
