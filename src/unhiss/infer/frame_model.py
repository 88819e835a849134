"""Frame models (U-Net, R-CED) on recordings of any length: overlapping frames, one scale, the input's phase."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from unhiss.dsp import frames
from unhiss.dsp.frames import BINS, HOP, N_FFT, SIZE
from unhiss.dsp.stft import analyse, istft, synthesise, window
from unhiss.errors import ModelError
from unhiss.infer.session import OnnxSession

BATCH = 8  # frames per call: more gains no speed and takes more memory
STRIDE = BINS // 2  # columns from one frame to the next: two frames cover each column
SEGMENT = 8 * STRIDE  # columns processed at a time
LEAD = -(-(N_FFT - HOP) // HOP) * HOP  # zeros before the input, so that all windows over its first sample exist
FADE = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(BINS) + 0.5) / BINS)).astype(np.float32)
# Sum of squared windows at each position within a hop, where all windows over it exist.
OVERLAP = np.pad(window(N_FFT) ** 2, (0, -N_FFT % HOP)).reshape(-1, HOP).sum(axis=0)


class FrameProcessor:
    """Applies a network for frames of 128 x 128 magnitudes to audio of any length, at the network's rate.

    predict: scaled frames `(n, 128, 128)` -> the change of each bin in dB (mostly negative), same shape.
    scaling: "file" or "frame" (see FrameConfig).
    """

    def __init__(self, predict: Callable[[np.ndarray], np.ndarray], scaling: str) -> None:
        self._predict, self.scaling = predict, scaling

    def reference(self, blocks: Iterable[np.ndarray], channels: int) -> np.ndarray:
        """First pass: the loudest STFT magnitude of each channel, `(C,)`; the scale of all its frames."""
        loudest = np.zeros(channels, np.float32)
        for piece in _windows(_padded(blocks, channels), _span(SEGMENT), SEGMENT * HOP):
            loudest = np.maximum(loudest, np.abs(analyse(piece, N_FFT, HOP)).max(axis=(-1, -2)))
        return loudest

    def denoise(self, blocks: Iterable[np.ndarray], reference: np.ndarray, limit_db: float) -> Iterator[np.ndarray]:
        """Second pass: `(C, T)` blocks -> denoised blocks, aligned with the input's start.

        Frames of 128 columns overlap by half, and their changes in dB are cross-faded:

            columns   0 ....... 64 ...... 128 ..... 192 ..... 256
            frame 0   |------- fades out -|
            frame 1             |- fades in ------ out -|
            frame 2                        |- fades in ------- …

        No bin is attenuated by more than `limit_db`. In total the blocks are longer than the input.
        """
        faded, carry, first = None, None, True
        for piece in _windows(_padded(blocks, len(reference)), _span(SEGMENT + STRIDE), SEGMENT * HOP):
            spectrum = analyse(piece, N_FFT, HOP)
            total = np.zeros(spectrum.shape, np.float32)
            change_db = self._change_db(spectrum, reference)
            for index in range(SEGMENT // STRIDE):
                total[..., index * STRIDE : index * STRIDE + BINS] += change_db[:, index] * FADE
            # No frame precedes the first one, so its first half counts in full.
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
        """The change of each frame of a segment: `(C, 128, columns)` -> `(C, n, 128, 128)`."""
        starts = range(0, SEGMENT, STRIDE)
        magnitude = np.stack([np.abs(spectrum[..., s : s + BINS]) for s in starts], axis=1)
        change_db = np.zeros(magnitude.shape, np.float32)
        audible = magnitude.any(axis=(-1, -2))  # digital silence needs no network
        if audible.any():
            selected = magnitude[audible]
            if self.scaling == "frame":
                scaled = frames.scale(selected, selected.max(axis=(-1, -2), keepdims=True))
            else:  # relative to 1, so that the amplitude floor of `scale` has no effect at any level
                relative = selected / np.broadcast_to(reference[:, None], audible.shape)[audible][:, None, None]
                scaled = frames.scale(relative, 1.0)
            change_db[audible] = self._predict(scaled)
        return change_db

    def denoise_end_to_end(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The reference's method: frames of 8,064 samples, each by itself, without overlap, with the input's phase."""
        for piece in _windows(blocks, SIZE, SIZE):
            scaled, spectrum, loudest = frames.frame(piece)
            denoised = scaled + self._predict(scaled) / -frames.FLOOR_DB
            phase = spectrum / np.maximum(np.abs(spectrum), 1e-12)
            yield istft(frames.unscale(denoised, loudest) * phase, N_FFT, HOP, SIZE)


class FrameModel(FrameProcessor):
    """An ONNX frame model. rate: Hz it works at. latency_ms: the length of one frame. Raises ModelError."""

    def __init__(self, session: OnnxSession) -> None:
        self._session = session
        inputs = [(name, *shape[1:]) for name, *shape in session.inputs]
        if inputs != [("frames", 1, BINS, BINS)]:
            expected = f"expected one, frames (B, 1, {BINS}, {BINS})"
            raise ModelError(f"{session.path}: a model with inputs {inputs}; {expected}")
        try:
            config = session.config["frames"]
            self.path, self.name, self.rate = session.path, session.name, int(config["sample_rate"])
            super().__init__(self._run, config["scaling"])
        except (KeyError, TypeError, ValueError) as error:
            raise session.damaged(error) from error
        self.latency_ms = SIZE / self.rate * 1000

    def _run(self, scaled: np.ndarray) -> np.ndarray:
        parts = []
        for first in range(0, len(scaled), BATCH):
            batch = scaled[first : first + BATCH, None]
            (denoised,) = self._session.run({"frames": batch})
            parts.append((denoised - batch)[:, 0])
        return np.concatenate(parts) * -frames.FLOOR_DB


def _span(columns: int) -> int:
    """Number of samples under `columns` columns."""
    return (columns - 1) * HOP + N_FFT


def _windows(blocks: Iterable[np.ndarray], size: int, step: int) -> Iterator[np.ndarray]:
    """Windows `(C, size)`, each `step` after the last, over blocks of any length; zeros fill the last."""
    buffer: np.ndarray | None = None
    for block in blocks:
        buffer = block if buffer is None else np.concatenate([buffer, block], axis=-1)
        while buffer.shape[-1] >= size:
            yield buffer[:, :size]
            buffer = buffer[:, step:]
    while buffer is not None and buffer.shape[-1]:
        yield np.pad(buffer[:, :size], ((0, 0), (0, max(0, size - buffer.shape[-1]))))
        buffer = buffer[:, step:]


def _padded(blocks: Iterable[np.ndarray], channels: int) -> Iterator[np.ndarray]:
    """Blocks with the zeros around them that `denoise` relies on."""
    yield np.zeros((channels, LEAD), np.float32)
    yield from blocks
    yield np.zeros((channels, N_FFT), np.float32)
