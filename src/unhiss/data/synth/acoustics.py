"""Acoustics: distance, echoes of a street, reverberation of a room, and faint background noise."""

import numpy as np

from unhiss.data.synth.blocks import convolve, drift, exp_decay, log_uniform, shaped_noise


def _late_reverberation(rng: np.random.Generator, rate: int, t60_s: float) -> np.ndarray:
    """Diffuse reverberation of unit energy, which falls by 60 dB in `t60_s` below 1 kHz and faster above."""
    n = int(min(1.5, t60_s) * rate)
    fall = 6.9 * np.arange(n) / rate / t60_s
    dull = shaped_noise(rng, n, rate, lambda f: 1 / (1 + (f / 1000) ** 1.5)) * np.exp(-fall)
    bright = shaped_noise(rng, n, rate, lambda f: 1 / (1 + (f / 6000) ** 2)) * np.exp(-rng.uniform(1.5, 4) * fall)
    tail = dull + rng.uniform(0.2, 1) * bright
    result: np.ndarray = tail / np.sqrt(np.sum(tail**2))
    return result


def _impulse_response(rng: np.random.Generator, rate: int, echo: float) -> np.ndarray:
    """Direct sound, often low-passed by distance; with probability `echo` also reflections and reverberation."""
    response = np.zeros(int(1.6 * rate))
    if rng.random() < 0.5:
        corner = min(log_uniform(rng, 1500, 15000), 0.4 * rate)
        direct = exp_decay(rate, 1 / (2 * np.pi * corner))
        response[: direct.size] = direct / direct.sum()
    else:
        response[0] = 1
    if rng.random() >= echo:
        return response
    is_street = rng.random() < 0.5
    for _ in range(rng.integers(2, 9)):
        delay_s = log_uniform(rng, 0.01, 0.4) if is_street else log_uniform(rng, 0.001, 0.03)
        walls = exp_decay(rate, 1 / (2 * np.pi * min(log_uniform(rng, 800, 6000), 0.4 * rate)))
        start = int(delay_s * rate)
        response[start : start + walls.size] += rng.uniform(-0.5, 0.5) * walls / walls.sum()
    tail = _late_reverberation(rng, rate, log_uniform(rng, 0.4, 2.5) if is_street else log_uniform(rng, 0.12, 1.2))
    start = int((rng.uniform(0.02, 0.08) if is_street else 0.003) * rate)
    response[start : start + tail.size] += 10 ** (rng.uniform(-22, -4 if is_street else 2) / 20) * tail
    return response


def apply_acoustics(
    rng: np.random.Generator, rate: int, dry: np.ndarray, echo: float = 0.5, noise: float = 0.5,
    noise_db: tuple[float, float] = (-50, -10),
) -> np.ndarray:  # fmt: skip
    """`dry` as recorded in random acoustics. echo, noise: probabilities of reverberation and of background noise.

    noise_db: range of the level of that faint broadband noise relative to the RMS of the sound.
    """
    response = _impulse_response(rng, rate, echo)
    rumble = exp_decay(rate, 1 / (2 * np.pi * log_uniform(rng, 12, 120)))  # below the microphone's range
    audio = convolve(dry, response - convolve(response, rumble / rumble.sum()))
    if rng.random() >= noise:
        return audio
    corner, steep = log_uniform(rng, 80, 3000), rng.uniform(0.7, 1.5)
    background = shaped_noise(rng, dry.size, rate, lambda f: 1 / (1 + (f / corner) ** steep))
    background *= 1 + 0.2 * drift(rng, dry.size, rate, 0.5)
    result: np.ndarray = audio + np.sqrt(np.mean(audio**2)) * 10 ** (rng.uniform(*noise_db) / 20) * background
    return result
