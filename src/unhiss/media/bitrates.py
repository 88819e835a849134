"""Lossy files of a given bit rate, although libsndfile takes a compression level from 0 (large) to 1 (small).

The bit rate of a variable coding depends on the audio: denoised speech takes up to a third fewer bits than noisy
speech. So the level is searched by encoding excerpts, with the audio buffered on disk until it is known.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from unhiss import atomic

_MP3_KBPS = {  # bit rates of MP3 frames
    32000: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1: from this rate in Hz on
    16000: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2
    0: (8, 16, 24, 32, 40, 48, 56, 64),  # MPEG-2.5
}
_MAX_MP3_ERROR = 0.05  # relative distance to a standard bit rate
_LAME_TAG = 156  # bytes; without this tag decoders know neither the encoder's delay nor the length
_EXCERPT_ERROR = 0.06  # relative error of the bit rate by which excerpts may differ from the whole
_TOLERANCE = 0.02  # relative error of the bit rate at which the search ends
_EXCERPT_TRIALS, _FILE_TRIALS = 6, 4
_TRIAL_S, _TRIAL_SAMPLES = 60, 6_000_000  # of audio in one trial; the samples are of all channels together
_EXCERPT_S = 3  # each excerpt has a start-up cost in bits, so not too short
_BUFFER_S, _BUFFER_SAMPLES = 1200, 250_000_000  # buffered before the level must be chosen; 1 GB at most
_MAX_LEVEL = 0.998  # LAME refuses 1
_CHUNK = 1 << 16  # samples per channel

Level = tuple[float | None, str | None]  # libsndfile's compression level and bit rate mode


def constant_level(rate: int, channels: int, frames: int, bit_rate: int) -> Level | None:
    """The level of the nearest standard MP3 bit rate; None if none is near, or LAME's tag does not fit."""
    frame_size = 1152 if rate >= 32000 else 576
    audio_kbps = bit_rate * frames / (frames + 2.5 * frame_size) / 1000  # without the tag's frame and the delay
    kbps = min(_mp3_kbps(rate), key=lambda value: abs(value - audio_kbps))
    offset = ((21, 36) if rate >= 32000 else (13, 21))[channels > 1]  # bytes before the tag
    if abs(kbps - audio_kbps) > _MAX_MP3_ERROR * audio_kbps or frame_size * kbps * 125 // rate < offset + _LAME_TAG:
        return None
    return _level("MPEG_LAYER_III", rate, channels, math.log(kbps)), "CONSTANT"


def _mp3_kbps(rate: int) -> tuple[int, ...]:
    return next(rates for minimum, rates in _MP3_KBPS.items() if rate >= minimum)


def _level(subtype: str, rate: int, channels: int, log_kbps: float) -> float:
    """The level whose nominal bit rate is e**log_kbps; for Vorbis, which has no nominal rate, in a unit of its own."""
    if subtype == "VORBIS":
        level = 1 - log_kbps / 2
    elif subtype == "OPUS":
        level = (256 - math.exp(log_kbps) / channels) / 250
    else:
        rates = _mp3_kbps(rate)
        level = (rates[-1] - math.exp(log_kbps) - 0.5) / (rates[-1] - rates[0])  # libsndfile rounds down
    return min(_MAX_LEVEL, max(0.0, level))


def solve(
    function: Callable[[float], float], start: float, target: float,
    tolerance: float = _TOLERANCE, max_trials: int = _EXCERPT_TRIALS,
) -> tuple[float, float]:  # fmt: skip
    """(x, y) where y = function(x) is nearest to `target`, by the secant method with a slope of 1/4 to 4.

    function: rising, with a slope of about 1.
    """
    best, tried = (math.inf, start, target), list[tuple[float, float]]()
    x = start
    for _ in range(max_trials):
        y = function(x)
        best = min(best, (abs(y - target), x, y))
        if best[0] < tolerance or any(abs(x - other) < 1e-6 for other, _ in tried):
            break
        slope = 1.0
        if tried:
            nearest = min(tried, key=lambda pair: abs(pair[1] - target))
            slope = min(4.0, max(0.25, (y - nearest[1]) / (x - nearest[0] or 1)))
        tried.append((x, y))
        x += (target - y) / slope
    return best[1:]


class TwoPassEncoder:
    """Writes a lossy file of a given bit rate: up to 20 minutes are buffered, then encoded at the level that gives it.

    path: the file to write; opener(level): opens it; buffer: a path for the buffered audio, raw float32;
    shape: rate and channels; bit_rate: bits per second.
    """

    def __init__(
        self, path: Path, opener: Callable[[Level], sf.SoundFile], buffer: Path, shape: tuple[int, int], bit_rate: int
    ) -> None:
        self._path, self._open, self._buffer_path = path, opener, buffer
        (self._rate, self._channels), self._bit_rate = shape, bit_rate
        self._file: sf.SoundFile | None = None
        with opener((None, None)) as probe:  # a format that cannot be written fails here
            self._container, self._subtype = probe.format, probe.subtype
        self._mode = "AVERAGE" if self._container == "MP3" else None
        atomic.create(buffer, path)
        self._buffer = buffer.open("r+b")
        self._buffered = 0  # samples per channel

    def write(self, columns: np.ndarray) -> None:
        """Append float `(T, C)`."""
        if self._file is not None:
            self._file.write(columns)
            return
        np.ascontiguousarray(columns, np.float32).tofile(self._buffer)
        self._buffered += len(columns)
        if self._buffered > min(_BUFFER_S * self._rate, _BUFFER_SAMPLES // self._channels):
            self._encode()

    def close(self) -> None:
        """Encode what is buffered, and close the file."""
        try:
            if self._file is None:
                self._encode()
        finally:
            self.discard()

    def discard(self) -> None:
        """Close without encoding what is buffered."""
        self._buffer.close()
        self._buffer_path.unlink(missing_ok=True)
        if self._file is not None:
            self._file.close()

    def _encode(self) -> None:
        """Choose the level and encode the buffer; again if the excerpts had another bit rate than the whole."""
        excerpts = self._excerpts()
        header = self._encoded_size([np.zeros((1, self._channels), np.float32)])
        target = math.log(max(1.0, self._bit_rate - self._bits_per_s(header, self._buffered)))
        samples = sum(stop - start for start, stop in excerpts)
        tried = [math.nan]

        def excerpt_rate(x: float) -> float:
            return math.log(max(1.0, self._bits_per_s(self._encoded_size(self._chunks(excerpts), x) - header, samples)))

        def file_rate(x: float) -> float:
            self._encode_buffer(x)
            tried.append(x)
            return math.log(max(1.0, self._bits_per_s(self._path.stat().st_size - header, self._buffered)))

        x, _ = solve(excerpt_rate, 0.8 if self._subtype == "VORBIS" else target - math.log(1000), target)
        if samples < self._buffered:
            x, _ = solve(file_rate, x, target, _EXCERPT_ERROR, _FILE_TRIALS)
        if x != tried[-1]:
            self._encode_buffer(x)

    def _bits_per_s(self, size: int, samples: int) -> float:
        return 8 * size * self._rate / max(1, samples)

    def _encode_buffer(self, x: float) -> None:
        if self._file is not None:
            self._file.close()
        file = self._file = self._open((_level(self._subtype, self._rate, self._channels, x), self._mode))
        for chunk in self._chunks([(0, self._buffered)]):
            file.write(chunk)

    def _chunks(self, ranges: list[tuple[int, int]]) -> Iterator[np.ndarray]:
        """The buffered samples of each (start, stop), float32 `(T, C)`."""
        for start, stop in ranges:
            for first in range(start, stop, _CHUNK):
                self._buffer.seek(4 * first * self._channels)
                chunk = np.fromfile(self._buffer, np.float32, min(_CHUNK, stop - first) * self._channels)
                yield chunk.reshape(-1, self._channels)

    def _excerpts(self) -> list[tuple[int, int]]:
        """(start, stop) of the whole buffer if it is short, else of excerpts evenly spread over it."""
        most = min(_TRIAL_S * self._rate, _TRIAL_SAMPLES // self._channels)
        if self._buffered <= most:
            return [(0, self._buffered)]
        count = max(1, most // (_EXCERPT_S * self._rate))
        starts = [round(number * self._buffered / count) for number in range(count)]
        return [(start, min(start + most // count, self._buffered)) for start in starts]

    def _encoded_size(self, chunks: Iterable[np.ndarray], x: float = 1.0) -> int:
        """Bytes that samples take when they are encoded."""
        out, level = io.BytesIO(), _level(self._subtype, self._rate, self._channels, x)
        with sf.SoundFile(
            out, "w", self._rate, self._channels, self._subtype, format=self._container,
            compression_level=level, bitrate_mode=self._mode,
        ) as file:  # fmt: skip
            for chunk in chunks:
                file.write(chunk)
        return len(out.getvalue())
