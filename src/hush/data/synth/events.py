"""Short sounds one after the other: blows, bangs, keys, clicks."""

from __future__ import annotations

import numpy as np

from hush.data.synth.blocks import burst, scatter


def thuds(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Heavy blows: steps above, doors, a table that is hit."""
    starts = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.4, 3)))))
    return scatter(rng, n, starts, lambda: burst(rng, rate, 0.4, 4, 40, 300))


def knocks(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Short rows of knocks on wood."""
    rows = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.3, 1)))))
    gap = rng.uniform(0.09, 0.3) * rate
    starts = np.concatenate([row + np.cumsum(gap * rng.uniform(0.85, 1.15, rng.integers(2, 6))) for row in rows])
    return scatter(rng, n, starts[starts < n], lambda: burst(rng, rate, 0.12, 5, 150, 2500))
