"""Spectrograms of recordings, on one scale, and their levels, with pillow: matplotlib would add 80 MB to the base."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unhiss.atomic import atomic_write
from unhiss.dsp.stft import analyse, window
from unhiss.errors import AudioError
from unhiss.media.source import open_source

WIDTH, HEIGHT, LOW, MARGIN, GAP = 1000, 260, 120, 62, 34  # pixels; LOW: height of the level plot
RANGE_DB = 80.0
SILENT_DB = -80.0  # at most this is black, however quiet the rest is; a full-scale sine reaches about +48
N_FFT = 1024
# matplotlib's magma at nine points: dark to bright, perceptually uniform.
_MAGMA = np.array([
    (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122),
    (229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191),
])  # fmt: skip
_INK = (40, 40, 48)
_LINES = ((150, 150, 150), (0, 114, 178), (213, 94, 0))  # colours of the level curves

Panel = tuple[np.ndarray, int, float]  # levels in dB, the rate in Hz, the seconds


def levels(
    path: Path, start_s: float = 0.0, end_s: float | None = None, columns: int = WIDTH, track: int | None = None
) -> Panel:
    """Power spectra over time in dB `(bins, N)`, the rate in Hz, and the length in seconds, in bounded memory.

    Each of at most `columns` columns is the mean over an equal part of the recording; channels are averaged.
    """
    source = open_source(path, track)
    first = round(start_s * source.rate)
    stop = source.frames if end_s is None else min(source.frames, round(end_s * source.rate))
    size = max(1, -(-(stop - first) // columns))
    total = np.full((N_FFT // 2 + 1, columns), 1e-12)
    recent = np.zeros(0, np.float32)  # a column shorter than the window includes the samples before it
    used = 1
    blocks = source.blocks(size, first, None if end_s is None else stop)
    for column, block in zip(range(columns), blocks, strict=False):
        used = column + 1
        mono = block.mean(axis=0)
        # The start is mirrored: with zeros before it, it would be a step, which contains all frequencies.
        recent = np.concatenate([recent[-N_FFT:], mono]) if recent.size else np.pad(mono, (N_FFT, 0), mode="symmetric")
        mono = recent[-max(N_FFT, block.shape[1]) :]
        starts = np.linspace(0, mono.size - N_FFT, min(16, 1 + 2 * (mono.size // N_FFT - 1))).astype(int)
        pieces = np.stack([mono[start : start + N_FFT] for start in starts]) * window(N_FFT)
        total[:, column] += (np.abs(np.fft.rfft(pieces, axis=-1)) ** 2).mean(axis=0)
    return 10 * np.log10(total[:, :used]), source.rate, (stop - first) / source.rate


def spectrogram(audio: np.ndarray, rate: int, top_db: float | None = None, size: tuple[int, int] = (640, 200)) -> bytes:
    """A WebP image of `(T,)` without axes: 80 dB from bright to dark.

    top_db: the brightest level, from loudest_db(), if several images share one scale.
    """
    columns = spectra_db(audio)
    top = loudest_db(audio) if top_db is None else top_db
    image = Image.fromarray(_colour((columns[::-1] - max(top, SILENT_DB + RANGE_DB)) / RANGE_DB + 1))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BILINEAR).save(buffer, format="WEBP", quality=70)
    return buffer.getvalue()


def loudest_db(audio: np.ndarray) -> float:
    """The level of the strongest bin of `(T,)` in dB, on the scale of spectrogram()."""
    return float(spectra_db(audio).max())


def spectra_db(audio: np.ndarray) -> np.ndarray:
    """Power spectra of `(T,)` in dB `(bins, N)`, four per window; N is at least 1."""
    padded = np.pad(audio, (N_FFT // 2, max(N_FFT // 2, N_FFT - audio.size)))
    spectra: np.ndarray = 20 * np.log10(np.maximum(np.abs(analyse(padded, N_FFT, N_FFT // 4)), 1e-6))
    return spectra


def compare(target: str | Path, panels: dict[str, Panel]) -> None:
    """Write a PNG with the spectrogram of each recording, on one scale of 80 dB, and a plot of their levels.

    panels: name -> levels(). Raises AudioError if it cannot be written.
    """
    top = max(SILENT_DB + RANGE_DB, *(float(level.max()) for level, _, _ in panels.values()))
    high = len(panels) * (HEIGHT + GAP) + GAP
    picture = Image.new("RGB", (MARGIN + WIDTH + 16, high + LOW + GAP), (255, 255, 255))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for number, (name, (level, rate, seconds)) in enumerate(panels.items()):
        y = GAP + number * (HEIGHT + GAP)
        image = Image.fromarray(_colour((level[::-1] - top) / RANGE_DB + 1))
        picture.paste(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR), (MARGIN, y))
        draw.text((MARGIN, y - 6), f"{name}  ({seconds:.1f} s, {rate:,} Hz)", _INK, font, anchor="ls")
        for khz in _ticks(rate / 2000):
            height = y + HEIGHT - round(khz / (rate / 2000) * HEIGHT)
            draw.line((MARGIN - 5, height, MARGIN, height), _INK)
            draw.text((MARGIN - 8, height), f"{khz:g} kHz", _INK, font, anchor="rm")
    _draw_levels(draw, font, {name: level for name, (level, _, _) in panels.items()}, high)
    _draw_times(draw, font, max(seconds for _, _, seconds in panels.values()), high + LOW)
    try:
        with atomic_write(Path(target)) as temporary:
            picture.save(temporary, format="PNG")
    except OSError as error:
        raise AudioError(f"{target}: the picture cannot be written ({error.strerror or error})") from error


def _draw_levels(draw: ImageDraw.ImageDraw, font: Any, panels: dict[str, np.ndarray], y: int) -> None:
    """The level of each recording over time, 60 dB from top to bottom."""
    curves = {name: 10 * np.log10((10 ** (level / 10)).sum(axis=0)) for name, level in panels.items()}
    top = max(float(curve.max()) for curve in curves.values())
    draw.text((MARGIN, y - 6), "level", _INK, font, anchor="ls")
    for db in (0, 20, 40, 60):
        height = y + round(db / 60 * LOW)
        draw.line((MARGIN, height, MARGIN + WIDTH, height), (225, 225, 225))
        draw.text((MARGIN - 8, height), f"-{db} dB" if db else "0 dB", _INK, font, anchor="rm")
    x = MARGIN + draw.textlength("level  ", font)
    for (name, curve), colour in zip(curves.items(), _LINES * len(curves), strict=False):
        draw.text((x, y - 6), name, colour, font, anchor="ls")
        x += draw.textlength(f"{name}  ", font)
        columns = np.linspace(MARGIN, MARGIN + WIDTH, curve.size)
        heights = y + np.clip((top - curve) / 60, 0, 1) * LOW
        draw.line(list(zip(columns.tolist(), heights.tolist(), strict=True)), colour, 1)


def _draw_times(draw: ImageDraw.ImageDraw, font: Any, seconds: float, y: int) -> None:
    for second in [0.0, *_ticks(seconds, most=10)]:
        x = MARGIN + round(second / max(seconds, 1e-9) * WIDTH)
        draw.line((x, y, x, y + 5), _INK)
        draw.text((x, y + 8), f"{second:,g} s", _INK, font, anchor="mt")


def _ticks(top: float, most: int = 6) -> list[float]:
    """At most `most` round numbers, evenly spaced, up to `top`.

    >>> _ticks(24), _ticks(75, most=10)
    ([4.0, 8.0, 12.0, 16.0, 20.0, 24.0], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
    """
    steps = (digit * 10.0**power for power in range(-2, 7) for digit in (1, 2, 4, 5))
    step = next((step for step in steps if top / step <= most), 1e9)
    return [step * count for count in range(1, int(top / step) + 1)]


def _colour(values: np.ndarray) -> np.ndarray:
    """Map `(H, W)` in [0, 1] to RGB uint8 `(H, W, 3)`."""
    positions = np.clip(values, 0, 1) * (len(_MAGMA) - 1)
    channels = [np.interp(positions, np.arange(len(_MAGMA)), _MAGMA[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
