"""Frame models (U-Net, R-CED) on recordings of any length: overlapped frames, one scale, noisy phase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from unhiss.dsp import frames
from unhiss.dsp.frames import BINS, HOP, N_FFT, SIZE
from unhiss.dsp.stft import analyse, istft, synthesise, window
from unhiss.errors import ModelError
from unhiss.infer.session import Session

BATCH = 8  # frames per call: more gains no speed, less memory is always welcome
STRIDE = BINS // 2  # columns from one frame to the next: each column is judged twice
SEGMENT = 8 * STRIDE  # columns worked on at a time
LEAD = -(-(N_FFT - HOP) // HOP) * HOP  # zeros before the input, so that every window over it exists
FADE = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(BINS) + 0.5) / BINS)).astype(np.float32)
# Sum of squared windows at each place within a hop, once all windows over it are there.
OVERLAP = np.pad(window(N_FFT) ** 2, (0, -N_FFT % HOP)).reshape(-1, HOP).sum(axis=0)


class FrameModel:
    """An ONNX frame model.

    rate: Hz it works at. scaling: "file" or "frame" (see FrameConfig). latency_ms: the span of one frame.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        inputs = [(name, *shape[1:]) for name, *shape in session.inputs]
        if inputs != [("frames", 1, BINS, BINS)]:
            raise ModelError(
                f"{session.path}: a model with inputs {inputs}; expected one, frames (B, 1, {BINS}, {BINS})"
            )
        try:
            config = session.config["frames"]
            self.name, self.rate, self.scaling = session.name, int(config["sample_rate"]), config["scaling"]
        except (KeyError, TypeError, ValueError) as error:
            raise session.damaged(error) from error
        self.latency_ms = SIZE / self.rate * 1000

    def attenuation(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled frames `(n, 128, 128)` -> what the model adds to them, in dB (mostly below 0)."""
        parts = []
        for first in range(0, len(scaled), BATCH):
            batch = scaled[first : first + BATCH, None]
            (cleaned,) = self._session.run({"frames": batch})
            parts.append((cleaned - batch)[:, 0])
        return np.concatenate(parts) * -frames.FLOOR_DB

    def reference(self, blocks: Iterable[np.ndarray], channels: int) -> np.ndarray:
        """First pass: the loudest STFT magnitude of each channel, `(C,)`; the scale of all its frames."""
        loudest = np.zeros(channels, np.float32)
        for piece in _windows(surrounded(blocks, channels), _span(SEGMENT), SEGMENT * HOP):
            loudest = np.maximum(loudest, np.abs(analyse(piece, N_FFT, HOP)).max(axis=(-1, -2)))
        return loudest

    def clean(self, blocks: Iterable[np.ndarray], reference: np.ndarray, limit_db: float) -> Iterator[np.ndarray]:
        """Second pass: `(C, T)` blocks at `rate` -> cleaned blocks, aligned with the input's start.

        Frames of 128 columns overlap by half and their attenuations, in dB, are cross-faded:

            columns   0 ....... 64 ...... 128 ..... 192 ..... 256
            frame 0   |------- fades out -|
            frame 1             |- fades in ------ out -|
            frame 2                        |- fades in ------- …

        Never more than `limit_db` is taken out. The blocks add up to more than the input's length.
        """
        faded, carry, first = None, None, True
        for piece in _windows(surrounded(blocks, len(reference)), _span(SEGMENT + STRIDE), SEGMENT * HOP):
            spectrum = analyse(piece, N_FFT, HOP)
            total = np.zeros(spectrum.shape, np.float32)
            change_db = self._change_db(spectrum, reference)
            for index in range(SEGMENT // STRIDE):
                total[..., index * STRIDE : index * STRIDE + BINS] += change_db[:, index] * FADE
            # Nothing lies before the first frame, so its first half counts in full.
            total[..., :STRIDE] = change_db[:, 0, :, :STRIDE] if faded is None else total[..., :STRIDE] + faded
            faded = total[..., SEGMENT:]
            gain = 10 ** (np.maximum(total[..., :SEGMENT], -limit_db) / 20)
            audio = synthesise(spectrum[..., :SEGMENT] * gain, N_FFT, HOP)
            if carry is not None:
                audio[:, : carry.shape[-1]] += carry
            audio, carry = audio[:, : SEGMENT * HOP], audio[:, SEGMENT * HOP :]
            audio = (audio.reshape(len(audio), -1, HOP) / OVERLAP).reshape(len(audio), -1)
            yield audio[:, LEAD:] if first else audio
            first = False

    def _change_db(self, spectrum: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Attenuation of each frame of a segment: `(C, 128, columns)` -> `(C, n, 128, 128)`."""
        starts = range(0, SEGMENT, STRIDE)
        magnitude = np.stack([np.abs(spectrum[..., s : s + BINS]) for s in starts], axis=1)
        change_db = np.zeros(magnitude.shape, np.float32)
        sounding = magnitude.any(axis=(-1, -2))  # silence needs no network
        if sounding.any():
            loud = magnitude[sounding]
            if self.scaling == "frame":
                change_db[sounding] = self.attenuation(frames.scale(loud, loud.max(axis=(-1, -2), keepdims=True)))
            else:  # relative to 1, so that the floor of `scale` lies out of reach and no level is special
                share = loud / np.broadcast_to(reference[:, None], sounding.shape)[sounding][:, None, None]
                change_db[sounding] = self.attenuation(frames.scale(share, 1.0))
        return change_db

    def clean_end_to_end(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The reference's own way: frames of 8,064 samples, each alone, one after the other, noisy phase."""
        for piece in _windows(blocks, SIZE, SIZE):
            scaled, spectrum, loudest = frames.frame(piece)
            cleaned = scaled + self.attenuation(scaled) / -frames.FLOOR_DB
            phase = spectrum / np.maximum(np.abs(spectrum), 1e-12)
            yield istft(frames.unscale(cleaned, loudest) * phase, N_FFT, HOP, SIZE)


def _span(columns: int) -> int:
    """Samples that `columns` columns reach over."""
    return (columns - 1) * HOP + N_FFT


def _windows(blocks: Iterable[np.ndarray], size: int, step: int) -> Iterator[np.ndarray]:
    """Windows `(C, size)` each `step` on from the last, over blocks of any length; zeros fill the last."""
    held: np.ndarray | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=-1)
        while held.shape[-1] >= size:
            yield held[:, :size]
            held = held[:, step:]
    while held is not None and held.shape[-1]:
        yield np.pad(held[:, :size], ((0, 0), (0, max(0, size - held.shape[-1]))))
        held = held[:, step:]


def surrounded(blocks: Iterable[np.ndarray], channels: int) -> Iterator[np.ndarray]:
    """Blocks with the zeros around them that `clean` counts on."""
    yield np.zeros((channels, LEAD), np.float32)
    yield from blocks
    yield np.zeros((channels, N_FFT), np.float32)
