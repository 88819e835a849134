"""Causal models: spectra and a state in, denoised spectra and the next state out. They never look ahead."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from unhiss.errors import ModelError
from unhiss.infer.session import OnnxSession

MAX_FRAMES = 128  # per call: more gains no speed, and memory stays bounded
OnSpeech = Callable[[np.ndarray], None]
INPUTS = "spectrum (B, T, F, 2) and state (B, S)"


class CausalModel:
    """An ONNX causal model: `model.run(spectrum, state)` for any number of frames, and for any number of streams.

    path; name; config: its "model" and "stft" tables; state_size: S; window_s: seconds per frame, twice the hop;
    fingerprint: equal for equal models. has_speech: whether it gives the probability of speech; its states then begin
    with that of the newest frame.
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

    def run(
        self, spectrum: np.ndarray, state: np.ndarray, on_speech: OnSpeech | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """complex64 `(B, T, F)` and the state before it -> denoised `(B, T, F)` and the state after it.

        on_speech: called with the probabilities of speech `(B, N)` of the next frames, if the model gives them.
        The rows of a batch are independent, so several streams may share a call. Raises ModelError.
        """
        if spectrum.shape[1] == 0:
            return spectrum, state
        parts = []
        for first in range(0, spectrum.shape[1], MAX_FRAMES):
            part = np.ascontiguousarray(spectrum[:, first : first + MAX_FRAMES], np.complex64)
            pairs = part.view(np.float32).reshape(*part.shape, 2)
            out, state, *speech = self._session.run({"spectrum": pairs, "state": state}, on_speech is not None)
            parts.append(np.ascontiguousarray(out).view(np.complex64)[..., 0])
            if speech and on_speech:
                on_speech(speech[0])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1), state
