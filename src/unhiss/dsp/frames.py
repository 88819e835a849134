"""Frames of the frame models: 8,064 samples <-> 128 x 128 magnitudes in dB, scaled to [0, 1]."""

import numpy as np

from unhiss.dsp.stft import stft

SIZE, N_FFT, HOP, BINS = 8064, 255, 63, 128  # samples, samples, samples; columns = bins = 128
FLOOR_DB = -80.0
AMIN = 1e-5  # librosa's amplitude floor: smaller magnitudes are raised to it


def scale(magnitude: np.ndarray, reference: np.ndarray | float) -> np.ndarray:
    """Scale magnitudes `(...)` to (dB + 80) / 80 in [0, 1]: dB relative to `reference`, clipped at -80 dB.

    With the maximum as `reference`: librosa.amplitude_to_db(magnitude, ref=reference, top_db=80), rescaled.
    """
    level_db = 20 * np.log10(np.maximum(magnitude, AMIN) / np.maximum(reference, AMIN))
    scaled: np.ndarray = (np.clip(level_db, FLOOR_DB, 0) / -FLOOR_DB + 1).astype(np.float32)
    return scaled


def unscale(frames: np.ndarray, reference: np.ndarray | float) -> np.ndarray:
    """Invert `scale`, above its floor: [0, 1] to magnitudes."""
    return (10 ** ((frames - 1) * -FLOOR_DB / 20) * np.maximum(reference, AMIN)).astype(np.float32)


def frame(audio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The input of a frame model for audio `(..., 8064)`.

    Returns scaled magnitudes `(..., 128, 128)`, the complex spectrum `(..., 128, 128)`, and the frame's maximum
    magnitude `(..., 1, 1)`, which is the reference of the scale.
    """
    spectrum = stft(audio, N_FFT, HOP)
    magnitude = np.abs(spectrum)
    reference = magnitude.max(axis=(-1, -2), keepdims=True)
    return scale(magnitude, reference), spectrum, reference
