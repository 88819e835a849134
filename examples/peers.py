"""Two denoisers from PyPI as systems for `unhiss evaluate`: pip install noisereduce pyrnnoise

unhiss evaluate --system nr=python:peers:noisereduce --system rnnoise=python:peers:rnnoise --pairs PAIRS/ -o report/
A system is a function of (audio, rate): float32 (T,) or (C, T) and Hz in, an array of the same shape out.
bench/peers.py compares more of them, each in its own environment.
"""

import ctypes

import numpy as np
import soxr


def noisereduce(audio, rate):
    """Spectral gating with its default settings."""
    from noisereduce import reduce_noise

    return reduce_noise(y=audio, sr=rate)


DELAY = 960  # samples at 48 kHz: two frames; the metric `lag` of `unhiss evaluate` shows it


def rnnoise(audio, rate):
    """RNNoise: frames of 10 ms at 48 kHz, samples scaled as 16-bit integers. Its output is DELAY samples late."""
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    def channel(samples):
        audio48 = soxr.resample(samples, rate, 48_000) * 32768
        frames = -(-(len(audio48) + DELAY) // FRAME_SIZE)
        audio48 = (
            np.pad(audio48, (0, frames * FRAME_SIZE - len(audio48))).astype(np.float32).reshape(frames, FRAME_SIZE)
        )
        state = create()
        for frame in audio48:
            pointer = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            lib.rnnoise_process_frame(state, pointer, pointer)
        destroy(state)
        clean = soxr.resample(audio48.reshape(-1)[DELAY:] / 32768, 48_000, rate)[: len(samples)]
        return np.pad(clean, (0, len(samples) - len(clean)))

    return np.stack([channel(samples) for samples in np.atleast_2d(audio)]).reshape(audio.shape)
