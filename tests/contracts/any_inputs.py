"""Inputs of every kind: format, coding, rate, channels, length, content, and damage to the bytes.

Four files of every coding that libsndfile writes: two whole, one cut off at a random byte, one with random
bytes after its header. The rest of each is drawn, seeded by the coding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import soundfile as sf

RATES = (4000, 8000, 11025, 16000, 22050, 24000, 32000, 44056, 44100, 48000, 88200, 96000, 176400, 192000)
SIZES = (0, 1, 2, 255, 256, 257, 4999, -1)  # -1: long, several of the blocks that are read at a time
CONTENTS = ("silence", "dc", "clipped", "denormal", "square", "speech", "nan", "inf")
DAMAGES = ("whole", "whole", "cut", "random")

# What the codings themselves can hold.
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
MPEG_RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)
FIXED_RATES = {"WVE": 8000, "XI": 44100}
MONO = ("GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM", "HTK", "WVE", "XI", "SDS", "SVX")
STEREO = ("IMA_ADPCM", "MS_ADPCM", "MPEG", "AVR", "MPC2K", "VOC")
# Listed by libsndfile, which cannot write it, or cannot read what it writes.
UNWRITABLE = {("MP3", "MPEG_LAYER_I"), ("MP3", "MPEG_LAYER_II"), ("RAW", "VOX_ADPCM"), ("WAV", "MPEG_LAYER_III"),
          *((form, f"DWVW_{bits}") for form in ("AIFF", "RAW") for bits in (12, 16, 24))}  # fmt: skip


@dataclass(frozen=True)
class Case:
    number: int
    format: str
    subtype: str
    rate: int
    channels: int
    size: int
    content: str
    damage: str

    def __str__(self) -> str:
        size = "long" if self.size < 0 else self.size
        coding = f"{self.format}-{self.subtype}-{self.rate}Hz-{self.channels}ch-{size}"
        return f"{self.number:03}-{coding}-{self.content}-{self.damage}"

    @property
    def extension(self) -> str:
        return "opus" if self.subtype == "OPUS" else {"WAVEX": "wav"}.get(self.format, self.format.lower())

    @property
    def facets(self) -> set[object]:
        """The values of this case in each dimension."""
        shown = {self.format, self.subtype, self.rate, -self.channels, (self.size, "size"), self.content}
        return shown | {self.damage, (self.damage, self.format), (self.damage, self.content)}


def cases() -> Iterator[Case]:
    numbers = count()
    kinds = ((form, subtype) for form in sf.available_formats() for subtype in sf.available_subtypes(form))
    for form, subtype in sorted(set(kinds) - UNWRITABLE):
        rng = np.random.default_rng(list(f"{form} {subtype}".encode()))  # the same whatever else there is
        rates = OPUS_RATES if subtype == "OPUS" else MPEG_RATES if subtype.startswith("MPEG") else RATES
        most = 1 if is_one_of((form, subtype), MONO) else 2 if is_one_of((form, subtype), STEREO) else 8
        # NaN and Inf are samples of floating-point codings alone.
        contents = CONTENTS if subtype in ("FLOAT", "DOUBLE") else CONTENTS[:-2]
        for damage in DAMAGES:
            number = next(numbers)
            sizes = SIZES if damage == "whole" else SIZES[-3:]
            yield Case(
                number, form, subtype, int(FIXED_RATES.get(form, rng.choice(rates))), int(rng.integers(1, most + 1)),
                int(rng.choice(sizes)), contents[int(rng.integers(len(contents)))], damage,
            )  # fmt: skip


def is_one_of(kind: tuple[str, str], names: tuple[str, ...]) -> bool:
    return any(part.startswith(names) for part in kind)


def spanning(every: list[Case], at_most: int) -> list[Case]:
    """A greedy cover: each case adds the most facets that no case before it has."""
    chosen: list[Case] = []
    seen: set[object] = set()
    for _ in range(at_most):
        best = max((case for case in every if case not in chosen), key=lambda case: len(case.facets - seen))
        chosen.append(best)
        seen |= best.facets
    return chosen


def sound(case: Case, rng: np.random.Generator) -> np.ndarray:
    """(C, T) of a case's content, each channel another."""
    size = case.size if case.size >= 0 else min(5 * case.rate // 2 + 1, 600_000 // case.channels)
    time = np.arange(size) / case.rate + 0.01 * np.arange(case.channels)[:, None]
    speech = 0.2 * sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 8)) * (1 + np.sin(2 * np.pi * 3 * time))
    speech += 0.003 * rng.standard_normal(time.shape)
    made = {
        "silence": 0 * time, "dc": 0.25 + 0 * time, "clipped": np.clip(4 * speech, -1, 1),
        "denormal": 1e-40 * rng.standard_normal(time.shape),
        "square": np.where(np.arange(size) // 32 % 2, -1.0, 1.0) + 0 * time,
    }.get(case.content, speech)  # fmt: skip
    if case.content in ("nan", "inf"):
        made[..., rng.integers(size, size=min(size, 1))] = np.nan if case.content == "nan" else -np.inf
    return made


def make(case: Case, folder: Path) -> Path:
    """The input of a case, written by soundfile alone, then damaged."""
    rng = np.random.default_rng(case.number)
    path = folder / f"a.{case.extension}"
    made = sound(case, rng)
    with sf.SoundFile(path, "w", case.rate, case.channels, case.subtype, format=case.format) as file:
        file.write(made.T)
    content = path.read_bytes()
    if case.damage == "cut":
        path.write_bytes(content[: int(rng.integers(len(content) + 1))])
    elif case.damage == "random":
        start = min(len(content), int(rng.choice([16, 44, 64, 128, 512, 4096])))
        path.write_bytes(content[:start] + rng.bytes(len(content) - start))
    return path


@dataclass(frozen=True)
class Decoded:
    """What soundfile reads of a file up to its end."""

    format: str
    subtype: str
    rate: int
    channels: int
    samples: np.ndarray  # (C, T)
    complete: bool  # as long as the header states


def decode(path: Path) -> Decoded | None:
    """The samples of a file; None if soundfile cannot read it."""
    try:
        with sf.SoundFile(path) as file:
            blocks, size = [np.zeros((0, file.channels), np.float32)], 1 << 16
            while len(blocks) == 1 or len(blocks[-1]) == size:
                blocks.append(file.read(size, dtype="float32", always_2d=True))
            samples = np.concatenate(blocks).T
            complete = samples.shape[1] >= file.frames
            return Decoded(file.format, file.subtype, file.samplerate, file.channels, samples, complete)
    except (sf.SoundFileError, RuntimeError, TypeError):
        return None
