"""Sequences of short sounds: blows, bangs, keys, clicks."""

import numpy as np

from unhiss.data.synth.acoustics import apply_acoustics
from unhiss.data.synth.blocks import (
    active_rms,
    add_events,
    body_response,
    convolve,
    exp_decay,
    impact,
    impulses,
    log_uniform,
    shaped_noise,
)


def thuds(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Heavy blows: steps on the floor above, doors, a hit table."""
    starts = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.4, 3)))))
    return add_events(n, starts, lambda: impact(rng, rate, 0.4, 4, 40, 300))


def knocks(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Short series of knocks on wood."""
    rows = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.3, 1)))))
    gap = rng.uniform(0.09, 0.3) * rate
    starts = np.concatenate([row + np.cumsum(gap * rng.uniform(0.85, 1.15, rng.integers(2, 6))) for row in rows])
    return add_events(n, starts[starts < n], lambda: impact(rng, rate, 0.12, 5, 150, 2500))


def _shot(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A blast wave after Friedlander, (1 - t/T) exp(-b t/T), followed by turbulent gas."""
    length_s, t = log_uniform(rng, 0.0002, 0.006), np.arange(int(0.5 * rate)) / rate
    blast = (1 - t / length_s) * np.exp(-rng.uniform(1, 3) * t / length_s)
    if rng.random() < 0.3:  # the bullet's own N-wave arrives first
        ahead = int(rng.uniform(0.003, 0.06) * rate)
        shock_s = rng.uniform(0.0002, 0.0008)
        shock = rng.uniform(0.2, 0.8) * np.where(t < shock_s, 1 - 2 * t / shock_s, 0)
        blast = shock + np.concatenate([np.zeros(ahead), blast])[: t.size]
    corner = log_uniform(rng, 400, 8000)
    gas = shaped_noise(rng, t.size, rate, lambda f: 1 / (1 + f / corner)) * np.exp(-t / log_uniform(rng, 0.005, 0.12))
    return blast + log_uniform(rng, 0.1, 1.5) * gas


def _slam(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A door: the latch, then the panel hitting its frame, then rattling."""
    n = int(0.6 * rate)
    latch, hit = rng.uniform(0.0, 0.08) * rate, rng.uniform(0.08, 0.12) * rate
    rattle = hit + rng.exponential(0.05, 6) * rate
    panel = body_response(rng, rate, 7, (40, 600), (2, 8), 0.3)
    metal = body_response(rng, rate, 10, (900, 14000), (3, 30))
    blow = exp_decay(rate, log_uniform(rng, 0.0003, 0.003))
    body = convolve(impulses(n, np.array([hit]), np.ones(1)), np.convolve(panel, blow / blow.sum()))
    clicks = impulses(n, np.array([latch, hit, *rattle]), np.append([0.5, 1], rng.uniform(0, 0.5, 6)))
    result: np.ndarray = body / np.abs(body).max() + log_uniform(rng, 0.02, 0.5) * convolve(clicks, metal)
    return result


def _drop(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A dropped object that bounces, faster and softer each time; metal, glass, wood or plastic."""
    n, q = int(1.5 * rate), log_uniform(rng, 5, 150)
    bounces, rebound = int(rng.integers(1, 9)), rng.uniform(0.45, 0.8)
    gaps = rng.uniform(0.08, 0.35) * rebound ** np.arange(bounces)
    at = np.concatenate([[0], np.cumsum(gaps * rng.uniform(0.9, 1.1, bounces))]) * rate
    heights = rebound ** np.arange(at.size) * rng.uniform(0.5, 1, at.size)
    low = log_uniform(rng, 200, 2500)
    thing = body_response(rng, rate, 10, (low, low * rng.uniform(3, 8)), (q, 2 * q), rng.uniform(-0.3, 0.4))
    floor = body_response(rng, rate, 3, (60, 300), (1.5, 5))
    train = impulses(n, at, heights)
    return convolve(train, thing) + rng.uniform(0, 1.5) * convolve(train, floor)


def bang(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Shots, slammed doors, dropped objects: a sharp attack and its reverberation."""
    sound = (_shot, _shot, _shot, _slam, _drop)[rng.integers(5)]
    master = sound(rng, rate)
    gap = log_uniform(rng, 0.07, 0.25) if rng.random() < 0.25 and sound is _shot else log_uniform(rng, 0.5, 3)
    starts = np.cumsum(gap * rate * rng.exponential(0.5, int(6 + n / rate / gap)) + 0.5 * gap * rate)
    starts -= rng.uniform(0, starts[0])
    starts[0] = min(starts[0], 0.5 * n)  # never silent
    starts = starts[starts < 0.95 * n]

    def one() -> np.ndarray:  # mostly the same gun or door
        return rng.uniform(0.4, 1) * (sound(rng, rate) if rng.random() < 0.2 else master)

    return apply_acoustics(rng, rate, add_events(n, starts, one), echo=0.9, noise=0.6)


def _key(rng: np.random.Generator, rate: int, case: np.ndarray, bright: float) -> np.ndarray:
    """A keystroke: the contact and, a little later, the stop; each is a tick of noise and a knock of the case."""
    n = int(0.05 * rate)
    at = np.array([0.0, rng.uniform(0.002, 0.015) * rate])
    train = impulses(n, at, np.array([rng.uniform(0.1, 0.8), 1.0]))
    ticks = shaped_noise(rng, n, rate, lambda f: (f / 1500) / (1 + (f / (3000 + 7000 * bright)) ** 2))
    ticks *= convolve(train, exp_decay(rate, log_uniform(rng, 0.0006, 0.003)))
    cap = body_response(rng, rate, 4, (1500, 9000), (4, 15))
    return convolve(train, case) + rng.uniform(0.3, 1.5) * convolve(train, cap) + (0.3 + bright) * ticks


def keyboard(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Typing: pairs of key down and key up in bursts of words, over a desk."""
    case = body_response(rng, rate, 5, (180, 2200), (3, 12), rng.uniform(0, 0.8))
    bright = rng.uniform(0, 1)
    keys = [_key(rng, rate, case, bright) for _ in range(12)]
    releases = [_key(rng, rate, 0.3 * case, min(1, bright + 0.3)) for _ in range(6)]
    gap_s, word_s = log_uniform(rng, 0.09, 0.3), rng.uniform(0.1, 0.9)
    count = int(n / rate / gap_s) + 2
    gaps = gap_s * np.exp(0.35 * rng.standard_normal(count))
    gaps += word_s * rng.exponential(1, count) * (rng.random(count) < 0.15)
    down = (np.cumsum(gaps) - rng.uniform(0, gaps[0])) * rate
    up = down + np.exp(rng.normal(np.log(0.09), 0.3, count)) * rate
    out = add_events(n, down[down < n], lambda: keys[rng.integers(12)] * np.exp(0.35 * rng.standard_normal()))
    soft = log_uniform(rng, 0.08, 0.5)
    out += add_events(n, up[up < n], lambda: releases[rng.integers(6)] * soft * rng.uniform(0.5, 1.2))
    return apply_acoustics(rng, rate, out, echo=0.6, noise=0.7)


def _switches(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A mouse, relay, pen or clock: pairs of small hard clicks, regular or not."""
    bodies = [body_response(rng, rate, 6, (1000, 12000), (3, 20), rng.uniform(-0.4, 0.3)) for _ in range(2)]
    period_s, regular = log_uniform(rng, 0.15, 1.5), rng.random() < 0.35
    count = int(n / rate / period_s) + 2
    gaps = np.full(count, period_s) if regular else period_s * (0.3 + rng.exponential(0.7, count))
    first = (np.cumsum(gaps) - rng.uniform(0, period_s)) * rate
    first[0] = min(first[0], 0.5 * n)  # never silent
    second = first + rate * (rng.uniform(0.1, 0.7) * period_s if regular else rng.uniform(0.05, 0.14, count))
    out = np.zeros(n)
    for at, body, loud in zip((first, second), bodies, (1.0, rng.uniform(0.2, 1)), strict=True):
        out += loud * convolve(impulses(n, at, rng.uniform(0.7, 1.2, count)), body)
        bounce = at + rng.uniform(0.0005, 0.004) * rate
        out += loud * rng.uniform(0, 0.6) * convolve(impulses(n, bounce, rng.uniform(0.5, 1, count)), body)
    return out


def _crackle(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Vinyl, a fire, a bad contact: clicks at random moments, few loud and many soft, some of them dull pops."""
    count = int(n / rate * log_uniform(rng, 4, 300)) + 1
    train = impulses(
        n, rng.uniform(0, n, count), rng.choice([-1, 1], count) * rng.lognormal(0, rng.uniform(0.6, 1.6), count)
    )
    body = body_response(rng, rate, 5, (600, 14000), (0.7, 4), rng.uniform(-0.5, 0.5))
    dull = int(n / rate * log_uniform(rng, 0.3, 10)) + 1
    pops = impulses(n, rng.uniform(0, n, dull), rng.lognormal(0, 0.7, dull))
    return convolve(train, body) + rng.uniform(0, 3) * convolve(pops, body_response(rng, rate, 2, (50, 900), (0.5, 3)))


def clicks(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Mouse buttons, relays, pens, clocks; crackle and pops; or both."""
    choice = rng.integers(5)
    dry = _crackle(rng, n, rate) if choice < 2 else _switches(rng, n, rate)
    if choice == 4:
        other = _crackle(rng, n, rate)
        dry = dry + other * active_rms(dry) / active_rms(other) * rng.uniform(0.1, 0.7)
    return apply_acoustics(rng, rate, dry, echo=0.5, noise=0.6)
