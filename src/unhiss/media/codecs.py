"""Codec artefacts as an augmentation: audio is encoded and decoded again by libsndfile, in memory."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile

from unhiss.dsp.resampling import resample


@dataclass(frozen=True)
class Codec:
    """One lossy codec: libsndfile's names of container and coding, its rate in Hz, and its bandwidth."""

    container: str
    coding: str
    rate: int
    width_hz: float

    def __call__(self, audio: np.ndarray, rate: int, compression: float) -> np.ndarray:
        """Encode and decode float32 `(L,)` at `rate` Hz; returns the same length, aligned.

        compression: 0 (best) to 1 (smallest), where the coding has levels.
        """
        buffer = BytesIO()
        with soundfile.SoundFile(
            buffer, "w", self.rate, 1, self.coding, format=self.container,
            compression_level=compression if self.container == "OGG" else None,
        ) as file:  # fmt: skip
            file.write(resample(audio, rate, self.rate).clip(-1, 1))
        buffer.seek(0)
        decoded = resample(soundfile.read(buffer, dtype="float32")[0], self.rate, rate)[: audio.size]
        return np.pad(decoded, (0, audio.size - decoded.size))


CODECS = (
    Codec("WAV", "ULAW", 8000, 3600),
    Codec("WAV", "GSM610", 8000, 3600),
    Codec("OGG", "VORBIS", 48000, 24000),
    Codec("OGG", "OPUS", 48000, 20000),
)
