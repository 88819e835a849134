"""Wind, rain, breathing, and noise of any colour."""

import numpy as np

from unhiss.data.synth.blocks import add_events, drift, impact, resonance, shaped_noise


def wind(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Low rumble in gusts, with a faint whistle that follows them."""
    gusts = np.exp(rng.uniform(0.5, 1.2) * drift(rng, n, rate, rng.uniform(0.3, 2)))
    corner = rng.uniform(60, 300)
    rumble = shaped_noise(rng, n, rate, lambda f: 1 / (1 + (f / corner) ** rng.uniform(1.2, 2.0)))
    whistle = shaped_noise(rng, n, rate, resonance(rng.uniform(300, 1500), rng.uniform(30, 150)))
    result: np.ndarray = gusts * rumble + gusts**2 * whistle * rng.uniform(0, 0.15)
    return result


def rain(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A bright hiss with single drops."""
    tilt = rng.uniform(0, 0.5)
    hiss = shaped_noise(rng, n, rate, lambda f: (f / 1000 + 0.3) ** -tilt * np.minimum(1, f / rng.uniform(200, 900)))
    drops = np.sort(rng.integers(0, n, int(n / rate * np.exp(rng.uniform(1.5, 5)))))
    return hiss + rng.uniform(0.5, 4) * add_events(n, drops, lambda: impact(rng, rate, 0.02, 1, 800, 6000))


def breathing(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Breathing in and out, through the resonances of a mouth close to the microphone."""
    t = np.arange(n) / rate
    phase = (t * rng.uniform(0.2, 0.6) + rng.uniform(0, 1)) % 1
    turn = rng.uniform(0.35, 0.5)
    inward = np.sin(np.pi * np.clip(phase / (turn * 0.85), 0, 1)) ** 1.5
    outward = np.sin(np.pi * np.clip((phase - turn) / ((1 - turn) * 0.8), 0, 1)) ** 1.5
    mouth = [resonance(rng.uniform(*band), rng.uniform(150, 600)) for band in ((300, 900), (1000, 2200), (2500, 4500))]
    air_in = shaped_noise(rng, n, rate, lambda f: 0.1 + mouth[1](f) + mouth[2](f))
    air_out = shaped_noise(rng, n, rate, lambda f: 0.1 + mouth[0](f) + 0.6 * mouth[1](f))
    result: np.ndarray = inward * air_in * rng.uniform(0.3, 1) + outward * air_out * (1 + 0.2 * drift(rng, n, rate, 8))
    return result


def coloured(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """White to brown noise, perhaps with a resonance, perhaps switched on and off."""
    slope, bump = rng.uniform(0, 1.2), resonance(np.exp(rng.uniform(5, 8.5)), rng.uniform(50, 1500))
    weight = rng.uniform(0, 3) * rng.integers(2)
    noise = shaped_noise(rng, n, rate, lambda f: (np.maximum(f, 30) / 1000) ** -slope * (1 + weight * bump(f)))
    gate = np.convolve(drift(rng, n, rate, 2) > -0.3, np.ones(rate // 50) / (rate // 50), "same")
    return noise * gate if rng.random() < 0.25 else noise
