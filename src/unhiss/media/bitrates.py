"""Lossy files of a wanted bit rate, though libsndfile is told a compression level from 0 (large) to 1 (small).

MP3 (LAME) and Opus levels are bit rates in disguise; Vorbis levels are qualities. What a variable-rate coding
then makes of a sound depends on the sound: cleaned speech, with quiet pauses, takes up to a third fewer bits
than it had. So the level is found by encoding excerpts, held back on disk until the sound is known.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss import atomic

_STANDARD = {  # kbit/s of MP3 frames
    32000: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1: from this rate in Hz on
    16000: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2
    0: (8, 16, 24, 32, 40, 48, 56, 64),  # MPEG-2.5
}
_NEAR = 0.05  # share by which a standard rate may be off
_LAME = 156  # bytes of LAME's tag; without it decoders know neither the encoder's delay nor the length
_SOUND = 0.06  # share of the bit rate by which excerpts may mislead
_CLOSE = 0.02  # share of the bit rate within which a level is good enough
_TRIALS, _WHOLE_TRIALS = 6, 4
_MOST_S, _MOST_SAMPLES = 60, 6_000_000  # of sound in one trial, all channels together
_EXCERPT_S = 3  # beginning anew costs bits, so not too short
_HELD_S, _HELD_SAMPLES = 1200, 250_000_000  # held back before the level must be chosen; 1 GB at most
_SMALLEST = 0.998  # LAME refuses 1

Level = tuple[float | None, str | None]  # libsndfile's compression level and bit rate mode


def constant(rate: int, channels: int, frames: int, bit_rate: int) -> Level | None:
    """The MP3 level of the standard bit rate next to `bit_rate`; None if none is near or LAME's tag had no room."""
    rates = _mp3(rate)
    size = 1152 if rate >= 32000 else 576
    sound = bit_rate * frames / (frames + 2.5 * size) / 1000  # less the tag's frame and the encoder's delay
    kbps = min(rates, key=lambda value: abs(value - sound))
    side = ((21, 36) if rate >= 32000 else (13, 21))[channels > 1]  # bytes before the tag
    if abs(kbps - sound) > _NEAR * sound or size * kbps * 125 // rate < side + _LAME:
        return None
    return _nominal("MPEG_LAYER_III", rate, channels, math.log(kbps)), "CONSTANT"


def _mp3(rate: int) -> tuple[int, ...]:
    return next(rates for least, rates in _STANDARD.items() if rate >= least)


def _nominal(subtype: str, rate: int, channels: int, log_kbps: float) -> float:
    """The level whose nominal rate is e**log_kbps; for Vorbis, which has none, a rate in a unit of its own."""
    if subtype == "VORBIS":
        level = 1 - log_kbps / 2
    elif subtype == "OPUS":
        level = (256 - math.exp(log_kbps) / channels) / 250
    else:
        rates = _mp3(rate)
        level = (rates[-1] - math.exp(log_kbps) - 0.5) / (rates[-1] - rates[0])  # libsndfile rounds down
    return min(_SMALLEST, max(0.0, level))


def found(
    measure: Callable[[float], float], start: float, wanted: float, close: float = _CLOSE, trials: int = _TRIALS
) -> tuple[float, float]:
    """(x, y) where y = measure(x) is next to `wanted`, all logarithms; y rises about as x does."""
    best, seen = (math.inf, start, wanted), list[tuple[float, float]]()
    x = start
    for _ in range(trials):
        y = measure(x)
        best = min(best, (abs(y - wanted), x, y))
        if best[0] < close or any(abs(x - other) < 1e-6 for other, _ in seen):
            break
        slope = 1.0
        if seen:
            near = min(seen, key=lambda pair: abs(pair[1] - wanted))
            slope = min(4.0, max(0.25, (y - near[1]) / (x - near[0] or 1)))
        seen.append((x, y))
        x += (wanted - y) / slope
    return best[1:]


class TwoPassEncoder:
    """A file `path` written once its first 20 minutes, or all, are known, at the level that gives the bit
    rate wanted: `opener(level)` opens it. `beside` names the file that holds the sound until then, raw float32.
    """

    def __init__(
        self, path: Path, opener: Callable[[Level], sf.SoundFile], beside: Path, like: tuple[int, int], bit_rate: int
    ) -> None:
        self._path, self._open, self._beside = path, opener, beside
        (self._rate, self._channels), self._wanted = like, bit_rate
        self._file: sf.SoundFile | None = None
        with opener((None, None)) as probe:  # what cannot be written is told now
            self._form, self._subtype = probe.format, probe.subtype
        atomic.create(beside, path)
        self._spool = beside.open("r+b")
        self._held = 0

    def write(self, columns: np.ndarray) -> None:
        """float `(T, C)`."""
        if self._file is not None:
            self._file.write(columns)
            return
        np.ascontiguousarray(columns, np.float32).tofile(self._spool)
        self._held += len(columns)
        if self._held > min(_HELD_S * self._rate, _HELD_SAMPLES // self._channels):
            self._begin()

    def close(self, keep: bool = True) -> None:
        """Write what is held back, unless it is not wanted any more."""
        try:
            if self._file is None and keep:
                self._begin()
        finally:
            self._spool.close()
            self._beside.unlink(missing_ok=True)
            if self._file is not None:
                self._file.close()

    def _begin(self) -> None:
        """Open the file and write what is held; anew if the excerpts did not stand for the whole."""
        mode = "AVERAGE" if self._form == "MP3" else None
        parts = self._excerpts()
        head = self._trial([np.zeros((1, self._channels), np.float32)], mode)
        wanted = math.log(max(1.0, self._wanted - self._rate_of(head, self._held)))
        size = sum(map(len, parts))

        def measure(x: float) -> float:
            return math.log(max(1.0, self._rate_of(self._trial(parts, mode, x) - head, size)))

        last = math.nan

        def whole(x: float) -> float:
            nonlocal last
            self._write_held(x, mode)
            last = x
            return math.log(max(1.0, self._rate_of(self._path.stat().st_size - head, self._held)))

        start = 0.8 if self._subtype == "VORBIS" else wanted - math.log(1000)
        x, _ = found(measure, start, wanted)
        if size < self._held:
            x, _ = found(whole, x, wanted, _SOUND, _WHOLE_TRIALS)
        if x != last:
            self._write_held(x, mode)

    def _rate_of(self, size: int, samples: int) -> float:
        return 8 * size * self._rate / max(1, samples)

    def _write_held(self, x: float, mode: str | None) -> None:
        if self._file is not None:
            self._file.close()
        file = self._file = self._open((_nominal(self._subtype, self._rate, self._channels, x), mode))
        for first in range(0, self._held, 1 << 16):
            file.write(self._sound(first, 1 << 16))

    def _sound(self, first: int, size: int) -> np.ndarray:
        self._spool.seek(4 * first * self._channels)
        part = np.fromfile(self._spool, np.float32, min(size, self._held - first) * self._channels)
        return part.reshape(-1, self._channels)

    def _excerpts(self) -> list[np.ndarray]:
        """All of the sound, or seconds of it from all over."""
        most = min(_MOST_S * self._rate, _MOST_SAMPLES // self._channels)
        if self._held <= most:
            return [self._sound(0, self._held)]
        count = max(1, most // (_EXCERPT_S * self._rate))
        return [self._sound(round(n * self._held / count), most // count) for n in range(count)]

    def _trial(self, parts: list[np.ndarray], mode: str | None, x: float = 1.0) -> int:
        """Bytes that sound takes."""
        out, level = io.BytesIO(), _nominal(self._subtype, self._rate, self._channels, x)
        with sf.SoundFile(
            out, "w", self._rate, self._channels, self._subtype, format=self._form,
            compression_level=level, bitrate_mode=mode,
        ) as file:  # fmt: skip
            for part in parts:
                for first in range(0, len(part), 1 << 16):
                    file.write(part[first : first + (1 << 16)])
        return len(out.getvalue())
