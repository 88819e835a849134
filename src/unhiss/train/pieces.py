"""Pieces of clips, played at their places in many signals at once, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unhiss.data.manifest import ManifestRows
from unhiss.data.store import Store
from unhiss.train.batches import to_device

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


class ClipSamples:
    """The int16 samples of all clips of one role and split: on a GPU all of them, on a CPU mapped from the shards."""

    def __init__(self, store: Store, rows: ManifestRows, device: torch.device) -> None:
        self.store, self.device, self.lengths = store, device, rows.column("length")
        self.rows = list(rows)
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self.samples: Tensor | None = None
        if device.type != "cpu":
            whole = torch.empty(int(self.starts[-1]), dtype=torch.int16)
            for row, start in zip(self.rows, self.starts, strict=False):
                whole[start : start + row.length] = torch.from_numpy(np.array(store.samples(row)))
            self.samples = whole.to(device)

    def windows(self, clips: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Samples that hold `firsts` to `lasts` of each clip, and where in them each clip's sample 0 is, or would be."""
        if self.samples is not None:
            return self.samples, self.starts[clips]
        cuts = [self.store.samples(self.rows[c])[a:b] for c, a, b in zip(clips, firsts, lasts, strict=True)]
        ends = np.cumsum([cut.size for cut in cuts])
        return torch.from_numpy(np.concatenate(cuts)), ends - (lasts - firsts) - firsts


def play(pieces: list[list[Piece]], clips: ClipSamples, length: int, rate: int) -> Tensor:
    """float32 `(B, length)`: the sum of the pieces of each signal, faded at their ends.

    Between samples, a cubic through the two on either side (Catmull and Rom 1974). All pieces lie in one long row, so
    that a GPU computes them at once and nothing is computed twice.
    """
    device, out = clips.device, torch.zeros(len(pieces) * length, device=clips.device)
    flat = [(row, p) for row, row_pieces in enumerate(pieces) for p in row_pieces if p.last > p.first]
    if not flat:
        return out.view(-1, length)
    columns = [(p.clip, p.first, p.last, p.start, p.backwards, row) for row, p in flat]
    clip, first, last, start, backwards, row = np.array(columns, np.int64).T
    speed, gain = np.array([(p.speed, p.gain) for _, p in flat]).T
    count, size = last - first, clips.lengths[clip]
    low = np.clip(start - MARGIN, 0, size - 1)
    high = np.clip(start + np.ceil(count * speed).astype(np.int64) + MARGIN, low + 1, size)
    samples, base = clips.windows(clip, low, high)
    ends = np.cumsum(count)
    owner = torch.repeat_interleave(
        torch.arange(len(flat), device=device), to_device(count, device), output_size=int(ends[-1])
    )
    step = torch.arange(int(ends[-1]), device=device) - to_device(ends - count, device)[owner]
    after = to_device(count - 1, device)[owner] - step
    ahead = torch.where(to_device(backwards.astype(bool), device)[owner], after, step)
    position = to_device(base + start, device)[owner] + ahead * to_device(speed, device)[owner]  # float64
    audio = _between(samples, position, to_device(base + low, device)[owner], to_device(base + high - 1, device)[owner])
    fade = torch.minimum(step, after).float().add_(0.5).div_(FADE_S * rate).clamp_(max=1)
    audio *= fade * to_device(gain.astype(np.float32), device)[owner]
    return out.index_add_(0, step + to_device(row * length + first, device)[owner], audio).view(-1, length)


def _between(samples: Tensor, position: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values at fractional positions `(N,)`; beyond `low` and `high` the value there is repeated."""
    index = position.long()
    t = (position - index).float()
    a, b, c, d = (samples[(index + k).clamp_(low, high)].float() for k in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
