"""Frame models (U-Net, R-CED) on recordings of any length: overlapped frames, one scale, noisy phase."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hush.dsp import frames
from hush.dsp.frames import BINS, HOP, N_FFT, SIZE
from hush.dsp.stft import analyse, istft, synthesise, window
from hush.errors import ModelError

BATCH = 8  # frames per call: more gains no speed, less memory is always welcome
STRIDE = BINS // 2  # columns from one frame to the next: each column is judged twice
SEGMENT = 8 * STRIDE  # columns worked on at a time
LEAD = -(-(N_FFT - HOP) // HOP) * HOP  # zeros before the input, so that every window over it exists
FADE = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(BINS) + 0.5) / BINS)).astype(np.float32)
# Sum of squared windows at each place within a hop, once all windows over it are there.
OVERLAP = np.pad(window(N_FFT) ** 2, (0, -N_FFT % HOP)).reshape(-1, HOP).sum(axis=0)


class FrameModel:
    """An ONNX frame model. rate: Hz it works at. scaling: "file" or "frame" (see FrameConfig)."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(f"{path}: no model onnxruntime can load ({str(error).splitlines()[0]})") from error
        facts = self.session.get_modelmeta().custom_metadata_map
        if facts.get("hush.format") != "1":
            raise ModelError(
                f"{path}: not written by hush export, or by a newer one (format {facts.get('hush.format')})"
            )
        inputs = [item.name for item in self.session.get_inputs()]
        if inputs != ["frames"]:
            raise ModelError(f"{path}: a model with inputs {inputs}; expected ['frames']")
        config = json.loads(facts["hush.config"])
        self.name = facts["hush.model"]
        self.rate = int(config["frames"]["sample_rate"])
        self.scaling = str(config["frames"]["scaling"])

    def attenuation(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled frames `(n, 128, 128)` -> what the model adds to them, in dB (mostly below 0)."""
        parts = []
        for first in range(0, len(scaled), BATCH):
            batch = scaled[first : first + BATCH, None]
            (cleaned,) = self.session.run(None, {"frames": batch})
            parts.append((cleaned - batch)[:, 0])
        return np.concatenate(parts) * -frames.FLOOR_DB

    def reference(self, blocks: Iterable[np.ndarray]) -> float:
        """First pass: the loudest STFT magnitude in a stream of `(C, T)` blocks; the scale of all frames."""
        size, step = _span(SEGMENT + STRIDE), SEGMENT * HOP
        spectra = (analyse(piece, N_FFT, HOP) for piece in _windows(blocks, size, step))
        return max((float(np.abs(spectrum).max()) for spectrum in spectra), default=0.0)

    def clean(self, blocks: Iterable[np.ndarray], reference: float) -> Iterator[np.ndarray]:
        """Second pass: `(C, T)` blocks at `rate` -> cleaned blocks, aligned with the input's start.

        Frames of 128 columns overlap by half and their attenuations, in dB, are cross-faded:

            columns   0 ....... 64 ...... 128 ..... 192 ..... 256
            frame 0   |------- fades out -|
            frame 1             |- fades in ------ out -|
            frame 2                        |- fades in ------- …

        The blocks add up to more than the input's length; what lies beyond it is nearly silent.
        """
        faded, carry, first = None, None, True
        for piece in _windows(blocks, _span(SEGMENT + STRIDE), SEGMENT * HOP):
            spectrum = analyse(piece, N_FFT, HOP)
            total = np.zeros(spectrum.shape, np.float32)
            change_db = self._change_db(spectrum, reference)
            for index in range(SEGMENT // STRIDE):
                total[..., index * STRIDE : index * STRIDE + BINS] += change_db[:, index] * FADE
            # Nothing lies before the first frame, so its first half counts in full.
            total[..., :STRIDE] = change_db[:, 0, :, :STRIDE] if faded is None else total[..., :STRIDE] + faded
            faded = total[..., SEGMENT:]
            audio = synthesise(spectrum[..., :SEGMENT] * 10 ** (total[..., :SEGMENT] / 20), N_FFT, HOP)
            if carry is not None:
                audio[:, : carry.shape[-1]] += carry
            audio, carry = audio[:, : SEGMENT * HOP], audio[:, SEGMENT * HOP :]
            audio = (audio.reshape(len(audio), -1, HOP) / OVERLAP).reshape(len(audio), -1)
            yield audio[:, LEAD:] if first else audio
            first = False

    def _change_db(self, spectrum: np.ndarray, reference: float) -> np.ndarray:
        """Attenuation of each frame of a segment: `(C, 128, columns)` -> `(C, n, 128, 128)`."""
        starts = range(0, SEGMENT, STRIDE)
        magnitude = np.stack([np.abs(spectrum[..., s : s + BINS]) for s in starts], axis=1)
        change_db = np.zeros(magnitude.shape, np.float32)
        sounding = magnitude.any(axis=(-1, -2))  # silence needs no network
        if sounding.any():
            loud = magnitude[sounding]
            scale = loud.max(axis=(-1, -2), keepdims=True) if self.scaling == "frame" else reference
            change_db[sounding] = self.attenuation(frames.scale(loud, scale))
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
