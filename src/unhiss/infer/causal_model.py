"""Causal models: spectra and a state in, denoised spectra and the next state out. They never look ahead."""

from pathlib import Path

import numpy as np

from unhiss.errors import ModelError
from unhiss.infer.session import OnnxSession

MAX_FRAMES = 128  # per call: more gains no speed, and memory stays bounded
INPUTS = "spectrum (B, T, F, 2) and state (B, S)"


class CausalModel:
    """An ONNX causal model: `model.run(spectrum, state)` for any number of frames, and for any number of streams.

    path; name; config: its "model" and "stft" tables; state_size: S; window_s: seconds per frame, twice the hop;
    fingerprint: equal for equal models. has_speech: whether it gives the probability of speech.
    Raises ModelError if the file is of another kind or damaged.
    """

    def __init__(self, path: str | Path | OnnxSession, threads: int = 1) -> None:
        self._session = session = path if isinstance(path, OnnxSession) else OnnxSession(Path(path), threads)
        kinds = [(name, len(shape)) for name, *shape in session.inputs]
        size = session.inputs[-1][-1]
        if kinds != [("spectrum", 4), ("state", 2)] or not isinstance(size, int):
            raise ModelError(f"{session.path}: a model with inputs {session.inputs}; expected {INPUTS}, S a number")
        try:
            stft = session.config["stft"]
            self.window_s, hop_s = float(stft["window_s"]), float(stft["hop_s"])
        except (KeyError, TypeError, ValueError) as error:
            raise session.damaged(error) from error
        if not (self.window_s > 0 and abs(hop_s - self.window_s / 2) < 1e-9):
            expected = f"expected {self.window_s / 2}, half of stft.window_s"
            raise ModelError(f"{session.path}: stft.hop_s = {hop_s}; {expected}")
        self.path, self.name, self.config, self.state_size = session.path, session.name, session.config, size
        self.fingerprint, self.latency_ms = session.fingerprint, self.window_s * 1000
        self.has_speech = session.has_speech

    def start(self, streams: int) -> np.ndarray:
        """The state `(B, S)` before the first frame."""
        return np.zeros((streams, self.state_size), np.float32)

    def run(self, spectrum: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """complex64 `(B, T, F)` and the state before it -> denoised `(B, T, F)`, the state after it, and speech.

        speech: the probability of speech `(B, T)`, None if the model gives none.
        The rows of a batch are independent, so several streams may share a call. Raises ModelError.
        """
        if spectrum.shape[1] == 0:
            return spectrum, state, np.zeros(spectrum.shape[:2], np.float32) if self.has_speech else None
        parts, speech_parts = [], []
        for first in range(0, spectrum.shape[1], MAX_FRAMES):
            part = np.ascontiguousarray(spectrum[:, first : first + MAX_FRAMES], np.complex64)
            pairs = part.view(np.float32).reshape(*part.shape, 2)
            out, state, *speech = self._session.run({"spectrum": pairs, "state": state})
            parts.append(np.ascontiguousarray(out).view(np.complex64)[..., 0])
            speech_parts += speech
        return _joined(parts), state, _joined(speech_parts) if speech_parts else None


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
