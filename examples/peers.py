"""Two denoisers from PyPI as systems for `unhiss evaluate`: pip install noisereduce pyrnnoise

unhiss evaluate --system nr=python:peers:noisereduce --system rnnoise=python:peers:rnnoise --pairs PAIRS/ -o report/
A system is a function: audio float32 (T,) or (C, T) and its rate in Hz in, an array of the same shape out.
"""

import ctypes

import numpy as np
import soxr


def noisereduce(audio, rate):
    """Spectral gating, with the settings it comes with."""
    from noisereduce import reduce_noise

    return reduce_noise(y=audio, sr=rate)


LATE = 960  # at 48 kHz: two frames, as the lag of `unhiss evaluate` tells it


def rnnoise(audio, rate):
    """RNNoise: frames of 10 ms at 48 kHz, samples scaled as 16-bit integers. Its output comes LATE samples late."""
    from pyrnnoise.rnnoise import FRAME_SIZE, create, destroy, lib

    def channel(samples):
        sound = soxr.resample(samples, rate, 48_000) * 32767
        frames = -(-(len(sound) + LATE) // FRAME_SIZE)
        sound = np.pad(sound, (0, frames * FRAME_SIZE - len(sound))).astype(np.float32).reshape(frames, FRAME_SIZE)
        state = create()
        for frame in sound:
            place = frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            lib.rnnoise_process_frame(state, place, place)
        destroy(state)
        clean = soxr.resample(sound.reshape(-1)[LATE:] / 32767, 48_000, rate)[: len(samples)]
        return np.pad(clean, (0, len(samples) - len(clean)))

    return np.stack([channel(samples) for samples in np.atleast_2d(audio)]).reshape(audio.shape)
