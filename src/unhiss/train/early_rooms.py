"""Rooms whose early reflections belong to the speech, and whose late ones are to be removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

EARLY_S = 0.05  # reflections up to here make speech louder and clearer; later ones blur it
LENGTH_S = 0.7
SMALLEST_M, LARGEST_M = (2.0, 2.0, 2.2), (12.0, 9.0, 4.5)
RT60_S, NEAR_M = (0.15, 1.0), (0.3, 3.0)
MIXING_S, SOUND_M_PER_S = 0.06, 343.0  # image sources up to here; then a diffuse tail


@dataclass(frozen=True)
class Room:
    """Spectra complex64 `(size / 2 + 1,)` of responses: of the speech, of its early part, and of noise elsewhere."""

    speech: Tensor
    early: Tensor
    noise: Tensor


class Rooms:
    """Some rooms for signals of `length` samples, simulated once by the image source method (Allen and Berkley 1979).

    `reverberate(rng, speech, noise)` puts both into a random room: speech, its early part, and noise, each `(length,)`.
    """

    def __init__(self, count: int, length: int, rate: int, seed: int) -> None:
        self.length, self.size = length, fast_size(length + int(LENGTH_S * rate))
        self.rooms = [self._room(np.random.default_rng([seed, number]), rate) for number in range(count)]

    def _room(self, rng: np.random.Generator, rate: int) -> Room:
        speech, noise = (response / np.sqrt(np.sum(response**2)) for response in simulate(rng, rate))
        size = round(EARLY_S * rate)
        fade = np.linspace(1, 0, size // 5)
        early = speech * np.concatenate([np.ones(size - fade.size), fade, np.zeros(speech.size - size)])
        return Room(*(_forward(response, self.size) for response in (speech, early, noise)))

    def reverberate(
        self, rng: np.random.Generator, speech: np.ndarray, noise: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        room = self.rooms[rng.integers(len(self.rooms))]
        dry = _forward(speech, self.size)
        spectra = dry * room.speech, dry * room.early, _forward(noise, self.size) * room.noise
        full, early, noise = (_back(spectrum, self.size)[: self.length] for spectrum in spectra)
        return full, early, noise


def fast_size(least: int) -> int:
    """The smallest length from `least` on of which a transform is fast: 2^a 3^b 5^c, even."""
    powers = (2**a * 3**b * 5**c for a in range(1, 22) for b in range(5) for c in range(5))
    return int(min(size for size in powers if size >= least))


def _forward(audio: np.ndarray, size: int) -> Tensor:
    spectrum: Tensor = torch.fft.rfft(torch.from_numpy(audio.astype(np.float32, copy=False)), size)
    return spectrum


def _back(spectrum: Tensor, size: int) -> np.ndarray:
    audio: np.ndarray = torch.fft.irfft(spectrum, size).numpy()
    return audio


def simulate(rng: np.random.Generator, rate: int) -> list[np.ndarray]:
    """Responses of two sources to one microphone, speech near it, noise anywhere; each starts with the direct sound."""
    from pyroomacoustics import ShoeBox

    size, rt60_s = rng.uniform(SMALLEST_M, LARGEST_M), rng.uniform(*RT60_S)
    absorption, order = _walls(size, rt60_s)
    room: Any = ShoeBox(size, fs=rate, materials=absorption, max_order=order)
    microphone = rng.uniform(0.3, size - 0.3)
    direction = rng.standard_normal(3)
    near = microphone + direction / np.linalg.norm(direction) * np.exp(rng.uniform(*np.log(NEAR_M)))
    room.add_source(np.clip(near, 0.2, size - 0.2))
    room.add_source(rng.uniform(0.3, size - 0.3))
    room.add_microphone(microphone)
    room.compute_rir()
    return [_with_tail(rng, response, rate, rt60_s) for response in room.rir[0]]


def _with_tail(rng: np.random.Generator, response: np.ndarray, rate: int, rt60_s: float) -> np.ndarray:
    """The response from its direct sound on, `(LENGTH_S * rate,)`, continued by noise that decays as the room does."""
    length, mixing = int(LENGTH_S * rate), int(MIXING_S * rate)
    start = int(np.argmax(np.abs(response)))
    out = np.zeros(length)
    kept = response[start : start + length]
    out[: kept.size] = kept
    decay = 10 ** (-3 * np.arange(length) / (rt60_s * rate))
    before = np.sqrt(np.mean(out[mixing // 2 : mixing] ** 2)) / decay[mixing * 3 // 4]
    tail = rng.standard_normal(length) * decay * before
    share = np.clip((np.arange(length) - mixing / 2) / (mixing / 2), 0, 1)
    return np.asarray(out * np.sqrt(1 - share) + tail * np.sqrt(share))


def _walls(size: np.ndarray, rt60_s: float) -> tuple[Any, int]:
    """Wall material and reflection order for a reverberation time, or for the shortest that the room allows."""
    from pyroomacoustics import Material, inverse_sabine

    shortest_s = 0.161 * size.prod() / (2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2]))
    absorption, order = inverse_sabine(max(rt60_s, shortest_s * 1.1), size)
    return Material(absorption), min(order, int(MIXING_S * SOUND_M_PER_S / size.mean()) + 2)
