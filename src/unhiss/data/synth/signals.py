"""Warning sounds: sirens, horns, beeps, bells."""

import numpy as np

from unhiss.data.synth.acoustics import apply_acoustics
from unhiss.data.synth.blocks import (
    body_response,
    convolve,
    drift,
    exp_decay,
    harmonics,
    impulses,
    log_uniform,
    on_off,
    phases,
    shaped_noise,
    smooth,
)


def siren(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Wail, yelp or two tones, with harmonics and the echo of a street."""
    t = np.arange(n) / rate
    low, high, speed = rng.uniform(400, 700), rng.uniform(900, 1600), log_uniform(rng, 0.15, 4)
    phase = t * speed + rng.uniform(0, 1)
    shape = rng.integers(3)
    sweep = (phase % 1 < 0.5) * 1.0 if shape == 2 else 0.5 - 0.5 * np.cos(2 * np.pi * phase)
    frequency = low + (high - low) * sweep
    angle = 2 * np.pi * np.cumsum(frequency) / rate
    out = np.zeros(n)
    for harmonic in range(1, 6):
        strength = rng.uniform(0.2, 1) * harmonic ** -rng.uniform(0.7, 2)
        out += strength * np.sin(harmonic * angle) * (frequency * harmonic < rate / 2)
    for delay_s in rng.uniform(0.02, 0.4, 3):
        delay = min(n - 1, int(delay_s * rate))
        out[delay:] += rng.uniform(0.05, 0.3) * out[: n - delay].copy()
    street = shaped_noise(rng, n, rate, lambda f: 1 / (1 + (f / 300) ** 1.2))
    return out * (1 + 0.3 * drift(rng, n, rate, 1)) + rng.uniform(0.02, 0.3) * street


def car_horn(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Two or three reeds a third or fourth apart, rich in harmonics; bips, honks and long blasts in a street."""
    spans = [((0.06, 0.2), (0.06, 0.2)), ((0.15, 0.6), (0.1, 1.5)), ((0.5, 4), (0.3, 3))][rng.integers(3)]
    gate = np.clip(smooth(on_off(rng, n, rate, *spans), rate, log_uniform(rng, 0.004, 0.03)), 0, 1)
    root = log_uniform(rng, 110, 260) if rng.random() < 0.2 else log_uniform(rng, 290, 540)
    ratios = [1.0, rng.choice([1.19, 1.25, 1.26, 1.335, 1.5]), rng.choice([1.5, 1.587, 1.68])]
    hump_hz, width_hz, fall = log_uniform(rng, 1200, 4500), log_uniform(rng, 600, 3000), rng.uniform(0.3, 1.3)
    passing = rng.uniform(0.03, 0.09) if rng.random() < 0.2 else 0.0  # half the Doppler shift of a car
    moment = (np.arange(n) / n - rng.uniform(0.2, 0.8)) * rng.uniform(3, 12)
    reed = (1 - 0.03 * (1 - gate)) * (1 - passing * np.tanh(moment)) * (1 + 0.002 * drift(rng, n, rate, 6))
    out = np.zeros(n)
    for ratio in ratios[: rng.choice([1, 2, 2, 2, 3])]:
        pitch = root * ratio * rng.uniform(0.99, 1.01)
        orders = np.arange(1, max(1, int(0.43 * rate / pitch / (1 + passing))) + 1)
        hump = 1 / (1 + ((pitch * orders - hump_hz) / width_hz) ** 2)
        strengths = rng.uniform(0.3, 1, orders.size) * orders**-fall * (0.08 + hump)
        strengths /= 1 + (pitch * orders / 8000) ** 3
        loudness = rng.uniform(0.6, 1)
        out += loudness * harmonics(np.cumsum(pitch * reed) / rate, strengths * phases(rng, orders.size))
    out *= gate * (1 + log_uniform(rng, 0.001, 0.03) * rng.standard_normal(n)) / (1 + moment**2 * (passing > 0))
    return apply_acoustics(rng, rate, out, echo=0.75, noise=0.85, noise_db=(-45, -5))


def _beeps(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Beeps of one or two pitches in a regular pattern: smoke alarms, reversing lorries, ovens, trilling phones."""
    pitch = log_uniform(rng, min(500, 0.1 * rate), min(4500, 0.4 * rate))
    second = pitch * rng.choice([1, 1, rng.uniform(0.7, 1.4)])
    period_s = log_uniform(rng, 0.12, 1.6)
    phase = np.arange(n) / rate / period_s + rng.uniform(0, 1)
    group = rng.integers(2, 6)  # beeps before each pause
    on = (phase % 1 < rng.uniform(0.25, 0.75)) * (rng.random() < 0.5 or (phase // 1 % (group + 1) < group))
    trill = np.sign(np.sin(2 * np.pi * log_uniform(rng, 4, 28) * np.arange(n) / rate)) > 0
    frequency = np.where(trill if rng.random() < 0.5 else phase % 2 < 1, pitch, second)
    orders = np.arange(1, max(1, int(0.45 * rate / max(pitch, second))) + 1)
    even = np.where(orders % 2 == 0, rng.choice([0.02, 1]), 1)  # absent in a square wave
    strengths = orders ** -rng.uniform(0.9, 3) * even * phases(rng, orders.size)
    gate = smooth(on * 1.0, rate, log_uniform(rng, 0.0005, 0.01))
    result: np.ndarray = harmonics(np.cumsum(frequency) / rate, strengths) * gate
    return result


def _bells(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Bells: struck now and then, or 8 to 25 times a second as in an old telephone."""
    root, q = log_uniform(rng, 250, 3000), log_uniform(rng, 150, 2500)
    partials = np.array([0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.17, 5.43]) * rng.uniform(0.98, 1.02, 10)
    hz = (root * partials)[root * partials < 0.45 * rate]
    t = np.arange(int(min(3.0, 2 * q / hz.min()) * rate)) / rate
    response = np.zeros(t.size)
    for frequency in hz:
        response += rng.exponential() * np.exp(-np.pi * frequency / q * t) * np.sin(2 * np.pi * frequency * t)
    rings = log_uniform(rng, 8, 25) if rng.random() < 0.5 else log_uniform(rng, 0.4, 4)
    at = np.arange(rng.uniform(0, 1), n * rings / rate) / rings * rate
    heights = rng.uniform(0.6, 1, at.size) * on_off(rng, n, rate, (0.5, 4), (0.3, 3))[np.minimum(at.astype(int), n - 1)]
    if not heights.any():
        heights[:] = 1
    clapper = body_response(rng, rate, 5, (1500, 9000), (3, 10))
    train = impulses(n, at * rng.uniform(0.995, 1.005, at.size), heights)
    clapper = np.convolve(clapper, exp_decay(rate, 0.0005))
    return convolve(train, response) + rng.uniform(0, 2) * convolve(train, clapper)


def alarm(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Alarms: beeps in a pattern, trilling phones, bells."""
    dry = _bells(rng, n, rate) if rng.random() < 0.35 else _beeps(rng, n, rate)
    return apply_acoustics(rng, rate, dry, echo=0.7, noise=0.6)
