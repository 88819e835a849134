"""Noise made from equations: seeded, free of any licence, and as long as wanted.

On the command line: `--noise synth:wind,siren` or `synth:wind=120` for 120 clips of it.
Each kind is a function `(rng, n, rate) -> (n,)`; `make` brings all of them to a peak of -3 dBFS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from hush.data.clips import Clip, group
from hush.errors import CorpusError, nearest

CLIPS_PER_KIND = 60
SECONDS = 6.0


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


def _scatter(rng: np.random.Generator, n: int, starts: np.ndarray, sound: Callable[[], np.ndarray]) -> np.ndarray:
    """One fresh `sound()` at each start, added up."""
    out = np.zeros(n)
    for start in starts.astype(int):
        event = sound()[: n - start]
        out[start : start + event.size] += event
    return out


def _burst(rng: np.random.Generator, rate: int, seconds: float, tones: int, low: float, high: float) -> np.ndarray:
    """A struck body: decaying tones between `low` and `high` Hz with a short noisy attack."""
    t = np.arange(int(seconds * rate)) / rate
    out = rng.standard_normal(t.size) * np.exp(-t * rng.uniform(80, 300)) * rng.uniform(0.1, 0.6)
    for _ in range(tones):
        frequency = np.exp(rng.uniform(np.log(low), np.log(high)))
        out += np.sin(2 * np.pi * frequency * t + rng.uniform(0, 6.3)) * np.exp(-t * rng.uniform(8, 50))
    return out * rng.uniform(0.2, 1.0)


def wind(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Low rumble in gusts, with a faint whistle that moves with them."""
    gusts = np.exp(rng.uniform(0.5, 1.2) * slow(rng, n, rate, rng.uniform(0.3, 2)))
    corner = rng.uniform(60, 300)
    rumble = shaped(rng, n, rate, lambda f: 1 / (1 + (f / corner) ** rng.uniform(1.2, 2.0)))
    whistle = shaped(rng, n, rate, peak(rng.uniform(300, 1500), rng.uniform(30, 150)))
    return gusts * rumble + gusts**2 * whistle * rng.uniform(0, 0.15)


def rain(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """A bright hiss under single drops."""
    tilt = rng.uniform(0, 0.5)
    hiss = shaped(rng, n, rate, lambda f: (f / 1000 + 0.3) ** -tilt * np.minimum(1, f / rng.uniform(200, 900)))
    drops = np.sort(rng.integers(0, n, int(n / rate * np.exp(rng.uniform(1.5, 5)))))
    return hiss + rng.uniform(0.5, 4) * _scatter(rng, n, drops, lambda: _burst(rng, rate, 0.02, 1, 800, 6000))


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


def breathing(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Breath in, breath out, through the resonances of a mouth close to the microphone."""
    t = np.arange(n) / rate
    phase = (t * rng.uniform(0.2, 0.6) + rng.uniform(0, 1)) % 1
    turn = rng.uniform(0.35, 0.5)
    inward = np.sin(np.pi * np.clip(phase / (turn * 0.85), 0, 1)) ** 1.5
    outward = np.sin(np.pi * np.clip((phase - turn) / ((1 - turn) * 0.8), 0, 1)) ** 1.5
    mouth = [peak(rng.uniform(*band), rng.uniform(150, 600)) for band in ((300, 900), (1000, 2200), (2500, 4500))]
    air_in = shaped(rng, n, rate, lambda f: 0.1 + mouth[1](f) + mouth[2](f))
    air_out = shaped(rng, n, rate, lambda f: 0.1 + mouth[0](f) + 0.6 * mouth[1](f))
    return inward * air_in * rng.uniform(0.3, 1) + outward * air_out * (1 + 0.2 * slow(rng, n, rate, 8))


def thuds(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Heavy blows: steps above, doors, a table that is hit."""
    starts = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.4, 3)))))
    return _scatter(rng, n, starts, lambda: _burst(rng, rate, 0.4, 4, 40, 300))


def knocks(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """Short rows of knocks on wood."""
    rows = np.sort(rng.integers(0, n, max(1, int(n / rate * rng.uniform(0.3, 1)))))
    gap = rng.uniform(0.09, 0.3) * rate
    starts = np.concatenate([row + np.cumsum(gap * rng.uniform(0.85, 1.15, rng.integers(2, 6))) for row in rows])
    return _scatter(rng, n, starts[starts < n], lambda: _burst(rng, rate, 0.12, 5, 150, 2500))


def coloured(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """White to brown noise, perhaps with a band of its own, perhaps switched on and off."""
    slope, bump = rng.uniform(0, 1.2), peak(np.exp(rng.uniform(5, 8.5)), rng.uniform(50, 1500))
    weight = rng.uniform(0, 3) * rng.integers(2)
    noise = shaped(rng, n, rate, lambda f: (np.maximum(f, 30) / 1000) ** -slope * (1 + weight * bump(f)))
    gate = np.convolve(slow(rng, n, rate, 2) > -0.3, np.ones(rate // 50) / (rate // 50), "same")
    return noise * gate if rng.random() < 0.25 else noise


KINDS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    kind.__name__: kind for kind in (wind, rain, hum, siren, breathing, thuds, knocks, coloured)
}


def make(kind: str, seed: int, rate: int, seconds: float = SECONDS) -> np.ndarray:
    """One clip of `kind`: float32 `(seconds * rate,)`, peak -3 dBFS, decided by the seed alone."""
    rng = np.random.default_rng([seed, *kind.encode()])
    audio = KINDS[kind](rng, int(seconds * rate), rate)
    audio = audio - audio.mean()
    return (audio * (10 ** (-3 / 20) / max(1e-9, float(np.abs(audio).max())))).astype(np.float32)


def is_made(clip: Clip) -> bool:
    """Whether `make` gives this clip's samples; no file holds them."""
    return clip.corpus == "synth" and clip.path.parts[:-1] == ("synth", clip.kind) and clip.path.name.isdigit()


def clips(kinds: str) -> Iterator[Clip]:
    """Clips for `wind,siren=120,…`; their path `synth/KIND/SEED` is what `make` needs."""
    for item in kinds.split(","):
        kind, _, count = item.partition("=")
        if kind not in KINDS:
            raise CorpusError(f"no synthetic noise {kind!r}; {nearest(kind, list(KINDS))}")
        if count and not (count.isdecimal() and int(count)):
            raise CorpusError(f"synth:{item}: {count!r} is no number of clips; try synth:{kind}={CLIPS_PER_KIND}")
        for seed in range(int(count or CLIPS_PER_KIND)):
            yield Clip(
                path=Path("synth", kind, str(seed)), corpus="synth", role="noise", kind=kind,
                groups=(group("synth", kind, str(seed)),), split="train", loose=True, licence="CC0",
                commercial_use=True, seconds=SECONDS,
            )  # fmt: skip
