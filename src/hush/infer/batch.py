"""Many streams pushed at once, in one call of the model: the same samples as each by itself, for less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hush.infer.stream import Stream


def push_all(streams: Sequence[Stream], blocks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`[stream.push(block) ...]` of different streams, those of one model, rate and number of frames together."""
    spectra = [stream.analyse(block) for stream, block in zip(streams, blocks, strict=True)]
    groups: dict[tuple, list[int]] = {}
    for place, (stream, spectrum) in enumerate(zip(streams, spectra, strict=True)):
        groups.setdefault((id(stream.model), spectrum.shape[1:]), []).append(place)
    out: list[np.ndarray] = [np.empty(0)] * len(streams)
    for places in groups.values():
        together = np.concatenate([spectra[place] for place in places])
        state = np.concatenate([streams[place].state for place in places])
        cleaned, state = streams[places[0]].model.run(together, state)
        row = 0
        for place in places:
            stream, rows = streams[place], slice(row, row + streams[place].channels)
            stream.state = state[rows].copy()  # a view would keep the states of all
            out[place] = stream.synthesise(blocks[place], spectra[place], cleaned[rows])
            row = rows.stop
    return out
