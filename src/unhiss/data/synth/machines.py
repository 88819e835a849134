"""Machines: mains hum, engines, tools, fans."""

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
    mix_levels,
    on_off,
    phases,
    resonance,
    shaped_noise,
    smooth,
)


def hum(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Mains hum: harmonics of 50 or 60 Hz with a little hiss."""
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    t = np.arange(n) / rate
    slope = rng.uniform(0.3, 1.3)
    hiss = 0.02 * shaped_noise(rng, n, rate, lambda f: 1 / (1 + f / 2000))
    coefficients = []  # amplitude and phase of each harmonic as one complex number
    for harmonic in range(1, int(min(4000, rate / 2) / base)):
        strength = rng.exponential() * harmonic**-slope * (1.0 if harmonic % 2 == 0 else 0.6)
        coefficients.append(strength * np.exp(1j * rng.uniform(0, 6.3)))
    turn, total = np.exp(2j * np.pi * base * t), np.zeros(n, complex)
    for coefficient in reversed(coefficients):  # Horner's rule takes a third of the time of 80 sines
        total += coefficient
        total *= turn
    result: np.ndarray = hiss + total.imag
    return result


def _speed(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Speed of an engine relative to idling: it idles, is revved, or accelerates through its gears."""
    wobble = 1 + rng.uniform(0.002, 0.02) * drift(rng, n, rate, rng.uniform(0.5, 4))
    driving = rng.random()
    if driving < 0.5:
        course = rng.choice([1.0, rng.uniform(1, 3)])
    elif driving < 0.75:
        pedal = on_off(rng, n, rate, (0.2, 1.2), (0.4, 2.5)) * rng.uniform(0.8, 3.5)
        course = 1 + smooth(pedal, rate, rng.uniform(0.15, 0.6))
    else:
        shift_s, top, bottom = rng.uniform(1.5, 5), rng.uniform(2.2, 4.5), rng.uniform(1.1, 1.8)
        gear = (np.arange(n) / rate / shift_s + rng.uniform(0, 1)) % 1
        course = smooth(bottom + (top - bottom) * gear ** rng.uniform(0.5, 1), rate, 0.12)
    speed: np.ndarray = wobble * course
    return speed


def _motor(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A piston engine without reverberation; four strokes, so each cylinder fires every second turn of the crank."""
    heavy, cylinders = rng.random() < 0.35, int(rng.choice([1, 2, 3, 4, 4, 4, 4, 6, 6, 8]))
    speed = _speed(rng, n, rate)
    turns = np.cumsum(log_uniform(rng, *((6.5, 11) if heavy else (10, 18))) * speed) / rate
    firings = turns / 2 * cylinders
    which = np.arange(1, int(firings[-1]))
    spread = log_uniform(rng, 0.02, 0.3)  # cylinders differ, which gives lines at half the rotation rate
    late = (rng.normal(0, 0.15 * spread, cylinders)[which % cylinders]) + rng.normal(0, 0.02, which.size)
    at = np.interp(which + late, firings, np.arange(n))
    load = speed[np.minimum(at.astype(int), n - 1)] ** rng.uniform(0.3, 1.1)
    heights = load * (1 + rng.normal(0, spread, cylinders)[which % cylinders])
    train = impulses(n, at, heights * (1 + rng.normal(0, log_uniform(rng, 0.03, 0.2), which.size)))
    blow = exp_decay(rate, log_uniform(rng, 0.0006, 0.004))  # the valve opens, the pressure leaves
    pipe = body_response(rng, rate, 3, (25, 300), (1.5, 8))
    silencer = body_response(rng, rate, 5, (90, 1200), (2, 9), rng.uniform(0, 0.7))
    exhaust = convolve(train, blow / blow.sum())
    metal = body_response(rng, rate, 8, (800, 8000), (3, 14), rng.uniform(0, 0.5))
    clatter = convolve(impulses(n, at, heights * rng.exponential(1, which.size)), metal)
    breath = rng.uniform(0.1, 1.5) + convolve(train, exp_decay(rate, log_uniform(rng, 0.004, 0.04)))
    corner, steep = log_uniform(rng, 300, 3000), rng.uniform(0.5, 1.6)
    rush = shaped_noise(rng, n, rate, lambda f: 1 / (1 + (f / corner) ** steep)) * breath
    whine = speed**1.5 * harmonics(turns * rng.uniform(4, 30), rng.exponential(1, 3) * phases(rng, 3))
    parts = [(0, convolve(exhaust, pipe)), (rng.uniform(-15, 3), convolve(exhaust, silencer))]
    parts += [(rng.uniform(-32, -4 if heavy else -12), clatter), (rng.uniform(-28, 6), rush)]
    return mix_levels([*parts, (rng.uniform(-60, -22), whine)])


def engine(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A car, truck, motorcycle or generator: firing pulses through exhaust and body, valves, rushing air."""
    return apply_acoustics(rng, rate, _motor(rng, n, rate))


def drill(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A drill, grinder or saw: motor harmonics that sag under load, gears, and the noise of cutting."""
    on = on_off(rng, n, rate, (0.5, 15), (0.05, 1.2))
    pressed = smooth(np.clip(rng.uniform(0.2, 1.5) + drift(rng, n, rate, rng.uniform(0.5, 3)), 0, 1) * on, rate, 0.03)
    turning = smooth(on, rate, rng.uniform(0.03, 0.25)) * (1 - rng.uniform(0.02, 0.3) * pressed)
    turning = np.maximum(0, turning) * (1 + log_uniform(rng, 0.001, 0.02) * drift(rng, n, rate, 25))
    motor_hz, teeth, ratio = log_uniform(rng, 70, 420), rng.integers(5, 14), rng.uniform(5, 20)
    turns = np.cumsum(motor_hz * turning) / rate
    orders = np.arange(1, max(2, int(0.45 * rate / motor_hz)) + 1)
    strengths = rng.exponential(1, orders.size) * orders ** -rng.uniform(0.4, 1.4)
    strengths = strengths * phases(rng, orders.size)
    whirr = harmonics(turns, strengths[: int(0.45 * rate / motor_hz)])
    mesh = strengths[: max(1, int(0.45 * rate / motor_hz / teeth))]
    gears = harmonics(turns * teeth, mesh) * (1 + rng.uniform(0, 0.8) * np.sin(2 * np.pi * turns / ratio))
    bump, tilt = resonance(log_uniform(rng, 1000, 8000), log_uniform(rng, 500, 5000)), rng.uniform(0, 0.4)
    chips = shaped_noise(rng, n, rate, lambda f: (0.1 + bump(f)) * (f / 1000 + 0.2) ** -tilt)
    chips *= (0.1 + pressed) * (1 + rng.uniform(0, 0.6) * np.sin(2 * np.pi * turns * rng.choice([1, 1 / ratio])))
    body = body_response(rng, rate, 12, (200, 9000), (4, 40), rng.uniform(-0.3, 0.3))
    parts = [(rng.uniform(-24, 0), whirr), (rng.uniform(-24, 0), gears), (rng.uniform(-12, 4), chips)]
    parts.append((rng.uniform(-8, 4), convolve(chips + 0.3 * whirr, body)))
    if rng.random() < 0.35:  # a hammer drill: the chuck jumps over a ratchet
        blows = turns * rng.uniform(20, 70) / motor_hz
        at = np.interp(np.arange(1, int(blows[-1])), blows, np.arange(n))
        heights = pressed[at.astype(int)] * rng.uniform(0.6, 1.2, at.size)
        parts.append((rng.uniform(-4, 8), convolve(impulses(n, at, heights), body)))
    return apply_acoustics(rng, rate, mix_levels(parts) * turning ** rng.uniform(0.5, 2))


def jackhammer(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Blows of 10 to 30 Hz: a ringing chisel, the ground, chips and exhaust air, perhaps with a compressor's engine."""
    on = on_off(rng, n, rate, (2, 30), (0.2, 1.5))
    blows = np.cumsum(log_uniform(rng, 10, 30) * (1 + 0.03 * drift(rng, n, rate, 2))) / rate
    which = np.arange(1, int(blows[-1]))
    at = np.interp(which + rng.normal(0, log_uniform(rng, 0.005, 0.05), which.size), blows, np.arange(n))
    at = np.clip(at, 0, n - 2)
    heights = on[at.astype(int)] * (1 + rng.normal(0, 0.15, which.size))
    train, rebound = impulses(n, at, heights), np.roll(impulses(n, at, heights), int(rng.uniform(0.005, 0.03) * rate))
    chisel = body_response(rng, rate, int(rng.integers(5, 14)), (600, 11000), (8, 70), rng.uniform(-0.2, 0.4))
    ground = body_response(rng, rate, 4, (50, 400), (1.5, 6))
    bump, corner = resonance(log_uniform(rng, 1500, 7000), log_uniform(rng, 800, 5000)), log_uniform(rng, 500, 6000)
    chips = shaped_noise(rng, n, rate, lambda f: 0.15 + bump(f))
    chips *= convolve(train, exp_decay(rate, log_uniform(rng, 0.003, 0.02)))
    spent = convolve(rebound, exp_decay(rate, rng.uniform(0.008, 0.03)))
    air = shaped_noise(rng, n, rate, lambda f: (f / corner) / (1 + (f / corner) ** 2)) * (spent + 0.1 * on)
    parts = [(0, convolve(train + 0.3 * rebound, chisel)), (rng.uniform(-10, 8), convolve(train, ground))]
    parts += [(rng.uniform(-10, 4), chips), (rng.uniform(-18, 2), air)]
    if rng.random() < 0.5:
        parts.append((rng.uniform(-20, -4), _motor(rng, n, rate)))
    return apply_acoustics(rng, rate, mix_levels(parts), echo=0.7, noise=0.8, noise_db=(-40, -3))


def air_conditioner(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Broadband noise and blade tones of a fan, compressor hum, slow flutter; some rattle or tick."""
    corner, steep, rough = log_uniform(rng, 60, 2500), rng.uniform(0.8, 2.2), log_uniform(rng, 0.0005, 0.06)
    ducts = [resonance(log_uniform(rng, 80, 4000), log_uniform(rng, 20, 800)) for _ in range(4)]
    gains = rng.exponential(0.6, 4)
    air = shaped_noise(
        rng, n, rate,
        lambda f: (1 / (1 + (f / corner) ** steep)) * (1 + sum(g * d(f) for g, d in zip(gains, ducts, strict=True)))
        * np.minimum(1, (f / 30) ** 2) + rough / (1 + (f / 4000) ** 1.5),
    )  # fmt: skip
    shaft_hz, blades = log_uniform(rng, 9, 45), rng.integers(3, 12)
    turns = np.cumsum(shaft_hz * (1 + log_uniform(rng, 0.0005, 0.01) * drift(rng, n, rate, 1))) / rate
    orders = np.arange(1, 13)
    fading = orders ** -rng.uniform(0.5, 2) * rng.exponential(1, 12) * phases(rng, 12)
    beat = 1 + rng.uniform(0, 0.5) * np.sin(2 * np.pi * turns * rng.choice([1, 0.5]))
    blade_tones = harmonics(turns * blades, fading) * (1 + 0.3 * drift(rng, n, rate, 4))
    mains = np.arange(n) / rate * rng.choice([100.0, 120.0]) * rng.uniform(0.998, 1.002)
    buzz = harmonics(mains, rng.exponential(1, 30) * np.arange(1, 31) ** -rng.uniform(0.8, 2) * phases(rng, 30))
    parts = [(0, air * beat), (rng.uniform(-28, -2), blade_tones), (rng.uniform(-40, -4), buzz)]
    if rng.random() < 0.4:
        plate = body_response(rng, rate, 6, (300, 6000), (4, 25))
        at = np.interp(np.arange(1, int(turns[-1])), turns, np.arange(n))
        parts.append((rng.uniform(-25, -5), convolve(impulses(n, at, rng.exponential(1, at.size) ** 2), plate)))
    flutter = np.exp(rng.uniform(0.02, 0.2) * drift(rng, n, rate, log_uniform(rng, 0.3, 8)))
    return apply_acoustics(rng, rate, mix_levels(parts) * flutter)
