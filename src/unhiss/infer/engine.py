"""The causal engine at one of its own rates: STFT, model, stereo link, attenuation limit, overlap-add.

samples   0 ........ H ........ 2H ....... 3H        H: the hop, 16 ms; a frame is two hops long
frame 0   |==== half new ====|                       (zeros precede sample 0)
frame 1              |==== half new ====|
output once frame 1 is processed:  H … 2H            so a sample waits for 2H = 32 ms at most
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from unhiss.dsp.stft import window
from unhiss.errors import ModelError
from unhiss.infer.causal_model import CausalModel, OnSpeech
from unhiss.infer.stereo import StereoLinker

RATES = (8000, 12000, 16000, 24000, 32000, 48000, 96000)  # 32 ms have bins of 31.25 Hz at all of them
UNIT = 512  # samples: spectra are scaled as if every window had this length, so the rate changes no level


def nearest_rate(rate: int) -> int:
    """The engine's rate for audio at `rate` Hz: the lowest of RATES that is not below it, else the highest."""
    return next((candidate for candidate in RATES if candidate >= rate), RATES[-1])


class Engine:
    """The state of one stream, and the transforms around the model; see `process`.

    on_speech: called with the probabilities of speech `(C, N)` of the next frames, if the model gives them; for engines
    that share no calls.
    """

    STATE_FIELDS = ("state", "_pending", "_overlap", "_started")  # all else follows from the arguments of __init__

    def __init__(self, model: CausalModel, rate: int, channels: int) -> None:
        size = round(model.window_s * rate)
        if size % 2 or abs(size - model.window_s * rate) > 1e-6:
            raise ModelError(f"{model.name}: a window of {model.window_s} s is no even number of samples at {rate} Hz")
        self.model, self.hop = model, size // 2
        root = np.sqrt(window(size)).reshape(2, -1)  # squares of both halves add up to one
        self._analysis_window, self._synthesis_window = root * np.float32(UNIT / size), root * np.float32(size / UNIT)
        self.linker = StereoLinker(model.window_s / 2) if channels == 2 else None
        self.state = model.start(channels)
        self.on_speech: OnSpeech | None = None
        self._pending = np.zeros((channels, self.hop), np.float32)  # input that belongs to later frames too
        self._overlap = np.zeros((channels, self.hop), np.float32)  # second half of the last frame
        self._started = False

    # Only `_complete_hops` and `_overlap_add` use the stream's state; the others treat all streams of a rate alike.

    def _complete_hops(self, audio: np.ndarray) -> np.ndarray:
        """The hops of all frames that `audio` completes, `(C, frames + 1, hop)`: neighbouring frames share one."""
        audio = np.concatenate([self._pending, audio], axis=1)
        frames = audio.shape[1] // self.hop - 1
        self._pending = audio[:, frames * self.hop :]
        return audio[:, : (frames + 1) * self.hop].reshape(len(audio), frames + 1, self.hop)

    def _analyse(self, hops: np.ndarray) -> np.ndarray:
        """Hops `(C, frames + 1, hop)` -> spectra, complex64 `(C, frames, F)`."""
        channels, count = len(hops), hops.shape[1] - 1
        frames = np.empty((channels, count, 2, self.hop), np.float32)
        np.multiply(hops[:, :-1], self._analysis_window[0], out=frames[:, :, 0])
        np.multiply(hops[:, 1:], self._analysis_window[1], out=frames[:, :, 1])
        spectrum: np.ndarray = np.fft.rfft(frames.reshape(channels, count, 2 * self.hop), axis=2)
        return spectrum.astype(np.complex64, copy=False)

    def _synthesise(self, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spectra `(C, frames, F)` -> the first and second halves of the windowed frames, `(C, frames, hop)` each."""
        frames = np.fft.irfft(spectrum, 2 * self.hop, axis=2).astype(np.float32, copy=False)
        first, second = self._synthesis_window
        return frames[:, :, : self.hop] * first, frames[:, :, self.hop :] * second

    def _overlap_add(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Halves of the next frames -> `(C, frames * hop)`; writes to `first`."""
        first[:, 0] += self._overlap
        first[:, 1:] += second[:, :-1]
        self._overlap = second[:, -1]
        out = first.reshape(len(first), -1)
        started, self._started = self._started, True
        return out if started else out[:, self.hop :]  # half of the very first frame precedes the input


def process(engines: Sequence[Engine], inputs: Sequence[np.ndarray], limits_db: Sequence[float]) -> list[np.ndarray]:
    """The next float32 `(C, T)` of each engine -> its denoised hops that are complete, `(C, n * hop)`.

    The output starts at the first sample of the input; a hop comes out when the second frame over it is complete.
    Engines of the same model, rate and number of complete frames share one call of the model and the transforms.
    limits_db (infinite: no limit) may differ between calls: frames overlap, so the gain fades.
    """
    hops = [engine._complete_hops(audio) for engine, audio in zip(engines, inputs, strict=True)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, engine in enumerate(engines):
        groups.setdefault((id(engine.model), *hops[index].shape[1:]), []).append(index)
    outputs: list[np.ndarray] = [np.empty(0)] * len(engines)
    for group in groups.values():
        batch = _process_batch([engines[i] for i in group], [hops[i] for i in group], [limits_db[i] for i in group])
        for index, audio in zip(group, batch, strict=True):
            outputs[index] = audio
    return outputs


def _process_batch(engines: list[Engine], hops: list[np.ndarray], limits_db: list[float]) -> list[np.ndarray]:
    if hops[0].shape[1] == 1:
        return [engine._overlap[:, :0] for engine in engines]
    ends = accumulate(map(len, hops), initial=0)
    rows = [slice(*pair) for pair in pairwise(ends)]  # of each engine's channels in the batch
    noisy = engines[0]._analyse(_joined(hops))
    states = _joined([engine.state for engine in engines])
    denoised, states = engines[0].model.run(noisy, states, engines[0].on_speech)
    for engine, own in zip(engines, rows, strict=True):
        engine.state = states[own].copy()  # a view would keep the states of all
        if engine.linker:
            denoised[own] = engine.linker.apply(noisy[own], denoised[own])
    if min(limits_db) < np.inf:
        denoised = limit_attenuation(noisy, denoised, np.repeat(limits_db, list(map(len, hops)))[:, None, None])
    first, second = engines[0]._synthesise(denoised)
    return [engine._overlap_add(first[own], second[own].copy()) for engine, own in zip(engines, rows, strict=True)]


def _joined(rows: list[np.ndarray]) -> np.ndarray:
    """All rows; those of one engine, the usual case live, are not copied."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def limit_attenuation(noisy: np.ndarray, denoised: np.ndarray, limit_db: float | np.ndarray) -> np.ndarray:
    """`denoised` with no bin more than `limit_db` below `noisy`; complex64 `(C, T, F)`, limit a number or `(C, 1, 1)`.

    With X noisy, Y denoised, m = 10^(-limit_db / 20) and g = |Y| / |X|, where g < m:

        V = Y + (m - g) X,    out = m |X| V / |V|

    At g = m this is Y, at Y = 0 it is m X: the phase turns continuously from one to the other. Where Y points away
    from X and cancels it, the result is m X.
    """
    floor = np.asarray(10 ** (-limit_db / 20), np.float32) * np.abs(noisy)
    shortfall = floor - np.abs(denoised)  # (m - g) |X|
    below = shortfall > 0
    if not below.any():
        return denoised
    source, size, floor = noisy[below], np.abs(noisy[below]), floor[below]
    direction = denoised[below] + shortfall[below] / size * source
    length = np.abs(direction)
    cancelled = length < 1e-3 * floor
    direction, length = np.where(cancelled, source, direction), np.where(cancelled, size, length)
    out = denoised.copy()
    out[below] = direction * (floor / length)
    return out
