"""16-bit WAV in memory, for folders of thousands of small files.

soundfile asks the disk to confirm each file it closes (fsync), some milliseconds every time: right for a
user's one recording, wasted where a lost file is simply made again.
"""

from __future__ import annotations

import io
import wave

import numpy as np


def wav_bytes(audio: np.ndarray, rate: int) -> bytes:
    """A whole WAV file of float32 `(T,)`: each sample the nearest of the 65,536 steps, full scale 32,768."""
    samples = np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype("<i2")
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return held.getvalue()
