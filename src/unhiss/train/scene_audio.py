"""The sound of scenes: speech, its part to be kept, and noise, for a whole batch at once, on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from unhiss.dsp.audio import FULL_SCALE
from unhiss.train.batches import ClipPool, to_device
from unhiss.train.early_rooms import Rooms
from unhiss.train.pieces import play
from unhiss.train.scenes import Scene

DITHER_DBFS = -45.0  # quieter recordings get the rounding of 16 bits
LOWEST_RMS = 1e-3


@dataclass
class SceneAudio:
    """speech, noise `(B, length)`: as the microphone gets them. level `(B,)`: RMS of the loudest active speech.

    early `(R, length)`: the part of the speech to be kept, of the rows in rooms, `rows` `(R,)`; elsewhere all is kept.
    """

    speech: Tensor
    noise: Tensor
    early: Tensor
    rows: Tensor
    level: Tensor


def render(
    scenes: list[Scene], speech: ClipPool, noise: ClipPool, rooms: Rooms | None, length: int, rate: int, seed: int
) -> SceneAudio:
    """Signals of `length` samples at `rate` Hz; the seed is that of the rounding of quiet recordings."""
    voices = play([scene.speech for scene in scenes], speech, length, rate)
    noises = _noises(scenes, speech, noise, length, rate)
    rows = [row for row, scene in enumerate(scenes) if scene.room is not None and rooms]
    index = to_device(np.array(rows, np.int64), voices.device)
    early = voices[index]
    if rooms and rows:
        numbers = to_device(np.array([scenes[row].room for row in rows], np.int64), voices.device)
        voices[index], early, noises[index] = rooms.reverberate(numbers, early, noises[index])
    lossy = {row: scene.received for row, scene in enumerate(scenes) if scene.received is not None}
    scale_rows([voices, noises], lossy)
    scale_rows([early], {place: lossy[row] for place, row in enumerate(rows) if row in lossy})
    return _recorded(scenes, voices, noises, early, index, seed)


def _noises(scenes: list[Scene], speech: ClipPool, noise: ClipPool, length: int, rate: int) -> Tensor:
    """Noises at their levels below the speech."""
    gains = 10 ** (np.array([scene.noise_db for scene in scenes], np.float32) / 20)
    out = play([scene.noise for scene in scenes], noise, length, rate) * to_device(gains, noise.device)[:, None]
    chatter = [row for row, scene in enumerate(scenes) if scene.babble]
    if chatter:
        babble = play([scenes[row].babble for row in chatter], speech, length, rate)
        babble /= babble.square().mean(1, keepdim=True).sqrt().clamp(min=LOWEST_RMS)
        out[to_device(np.array(chatter), out.device)] = babble * to_device(gains[chatter], out.device)[:, None]
    gates = enumerate(scene.gate_db for scene in scenes)
    scale_rows([out], {row: 10 ** (gate_db / 20) for row, gate_db in gates if gate_db is not None})
    return out


def scale_rows(signals: list[Tensor], gains: dict[int, np.ndarray]) -> None:
    """Multiply some rows of signals `(B, length)` by gains, one a millisecond, with straight lines between them."""
    if not gains:
        return
    device, length = signals[0].device, signals[0].shape[1]
    points = to_device(np.stack(list(gains.values())).astype(np.float32), device)[:, None]
    curves = functional.interpolate(points, length, mode="linear", align_corners=True)[:, 0]
    rows = to_device(np.array(list(gains)), device)
    for signal in signals:
        signal[rows] *= curves


def _recorded(scenes: list[Scene], speech: Tensor, noise: Tensor, early: Tensor, rows: Tensor, seed: int) -> SceneAudio:
    """The scenes at their levels, clipped in some cases, with the rounding of 16 bits where they are quiet."""
    device = speech.device
    levels_dbfs = np.array([scene.level_dbfs for scene in scenes])
    ceilings = np.array([min(scene.ceiling, 2.0) for scene in scenes], np.float32)
    noisy = speech + noise
    peak = noisy.abs().amax(1).clamp(min=1e-6)
    ceiling = (peak * to_device(ceilings, device))[:, None]
    level = torch.minimum(to_device((10 ** (levels_dbfs / 20)).astype(np.float32), device), 1 / peak)
    noise = (noisy.clamp(-ceiling, ceiling) - speech) * level[:, None]
    generator = torch.Generator(device).manual_seed(seed)
    dither = to_device((levels_dbfs < DITHER_DBFS).astype(np.float32) / FULL_SCALE, device)[:, None]
    noise += (torch.rand(noise.shape, device=device, generator=generator) - 0.5) * dither
    return SceneAudio(speech * level[:, None], noise, early * level[rows, None], rows, level)
