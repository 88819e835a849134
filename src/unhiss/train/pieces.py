"""Pieces of clips, played at their places in many signals at once, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.data.manifest import ManifestRows
from unhiss.data.store import Store
from unhiss.train.augmentation import catmull_rom
from unhiss.train.batches import ClipPool, to_device

FADE_S = 0.005  # at both ends of a piece
MARGIN = 2  # samples that interpolation looks beyond a piece


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples `first` to `last` of a signal: a clip from its sample `start` on, played at `speed`, times `gain`."""

    clip: int
    first: int
    last: int
    start: int
    speed: float = 1.0
    gain: float = 1.0
    backwards: bool = False


class MappedClipPool(ClipPool):
    """A `ClipPool` that copies nothing on a processor: samples stay in the mapped shards, and processes share them."""

    def __init__(self, store: Store, rows: ManifestRows, device: torch.device) -> None:
        self.mapped = device.type == "cpu"
        if self.mapped:
            self.store, self.rows, self.device, self.lengths = store, list(rows), device, rows.column("length")
        else:
            super().__init__(store, rows, device)

    def cut(self, clip: int, first: int, last: int) -> Tensor:
        if not self.mapped:
            return super().cut(clip, first, last)
        return torch.from_numpy(self.store.samples(self.rows[clip])[first:last].astype(np.float32))


def play(pieces: list[list[Piece]], clips: ClipPool, length: int, rate: int) -> Tensor:
    """float32 `(B, length)`: the sum of the pieces of each signal, faded at their ends.

    Between samples, `catmull_rom`.
    """
    flat = [(row, piece) for row, of_row in enumerate(pieces) for piece in of_row if piece.last > piece.first]
    out = torch.zeros(len(pieces), length, device=clips.device)
    if clips.device.type != "cpu" and flat:
        _play_at_once(flat, clips, FADE_S * rate, out)
    else:
        for row, piece in flat:
            out[row, piece.first : piece.last] += _played(piece, clips, round(FADE_S * rate))
    return out


def _played(piece: Piece, clips: ClipPool, fade: int) -> Tensor:
    """One piece: a processor's caches hold it."""
    count, size = piece.last - piece.first, int(clips.lengths[piece.clip])
    low = min(max(0, piece.start - MARGIN), size - 1)
    high = min(size, max(low + 1, piece.start + int(np.ceil(count * piece.speed)) + MARGIN))
    samples = clips.cut(piece.clip, low, high).float()
    if piece.speed == 1 and len(samples) >= piece.start - low + count:
        audio = samples[piece.start - low :][:count] * piece.gain
    else:
        position = torch.arange(count, dtype=torch.float64) * piece.speed + (piece.start - low)
        edges = torch.tensor(0), torch.tensor(len(samples) - 1)
        audio = _between(samples, position, *edges) * piece.gain
    ramp = (torch.arange(min(fade, -(-count // 2))) + 0.5) / fade  # the shorter half ends before the longer begins
    end = ramp[: min(fade, count // 2)].flip(0)
    audio[: len(ramp)] *= ramp
    audio[count - len(end) :] *= end
    return audio.flip(0) if piece.backwards else audio


def _play_at_once(flat: list[tuple[int, Piece]], clips: ClipPool, fade: float, out: Tensor) -> None:
    """Add all pieces to `out`. They lie in one long row, so that a GPU plays them at once and nothing twice."""
    device, length = clips.device, out.shape[1]
    columns = [(p.clip, p.first, p.last, p.start, p.backwards, row) for row, p in flat]
    clip, first, last, start, backwards, row = np.array(columns, np.int64).T
    speed, gain = np.array([(p.speed, p.gain) for _, p in flat]).T
    count, base = last - first, clips.starts[clip]
    ends = np.cumsum(count)
    owner = torch.repeat_interleave(
        torch.arange(len(flat), device=device), to_device(count, device), output_size=int(ends[-1])
    )
    step = torch.arange(int(ends[-1]), device=device) - to_device(ends - count, device)[owner]
    after = to_device(count - 1, device)[owner] - step
    ahead = torch.where(to_device(backwards.astype(bool), device)[owner], after, step)
    position = to_device(base + start, device)[owner] + ahead * to_device(speed, device)[owner]  # float64
    low, high = (to_device(edge, device)[owner] for edge in (base, base + clips.lengths[clip] - 1))
    audio = _between(clips.samples, position, low, high)
    audio *= torch.minimum(step, after).float().add_(0.5).div_(fade).clamp_(max=1)
    audio *= to_device(gain.astype(np.float32), device)[owner]
    out.view(-1).index_add_(0, step + to_device(row * length + first, device)[owner], audio)


def _between(samples: Tensor, position: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values at fractional positions `(N,)`; beyond `low` and `high` the value there is repeated."""
    index = position.long()
    t = (position - index).float()
    return catmull_rom([samples[(index + k).clamp_(low, high)].float() for k in (-1, 0, 1, 2)], t)
