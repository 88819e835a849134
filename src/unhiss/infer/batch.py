"""Many streams pushed at once: one call of the model, and one transform, for all of a rate; for less than one by one.

What differs between streams is done for each: checks, resampling, queues, the guard's averages, a stereo image. What
is the same arithmetic on more rows is done for all together.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise

import numpy as np

from unhiss.infer.guard import blended, energy, limited
from unhiss.infer.stream import Stream


def push_all(streams: Sequence[Stream], blocks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """`[stream.push(block) ...]` of different streams: the same samples, but for the order of float32 sums.

    Raises AudioError as `Stream.push`, and then all of them are to be thrown away: some may have been pushed.
    """
    with ExitStack() as owners:
        for stream in streams:
            owners.enter_context(stream._owner)
        hops = [stream._engine.hold(stream._enter(block)) for stream, block in zip(streams, blocks, strict=True)]
        groups: dict[tuple, list[int]] = {}
        for place, (stream, held) in enumerate(zip(streams, hops, strict=True)):
            groups.setdefault((id(stream.model), held.shape[1:]), []).append(place)
        clean: list[np.ndarray] = [np.empty(0)] * len(streams)
        for places in groups.values():
            found = _cleaned([streams[place] for place in places], [hops[place] for place in places])
            for place, sound in zip(places, found, strict=True):
                clean[place] = sound
        return [stream._leave(block, sound) for stream, block, sound in zip(streams, blocks, clean, strict=True)]


def _cleaned(streams: list[Stream], hops: list[np.ndarray]) -> list[np.ndarray]:
    """The sound of the frames that hops complete, of streams of one model and rate with the same number of them."""
    engines = [stream._engine for stream in streams]
    if hops[0].shape[1] == 1:
        return [np.zeros((stream.channels, 0), np.float32) for stream in streams]
    ends = np.cumsum([0, *(stream.channels for stream in streams)]).tolist()
    rows = [slice(*pair) for pair in pairwise(ends)]
    spectrum = engines[0].spectra(np.concatenate(hops))
    cleaned, states = streams[0].model.run(spectrum, np.concatenate([engine.state for engine in engines]))
    for engine, own in zip(engines, rows, strict=True):
        engine.state = states[own].copy()  # a view would keep the states of all
    starts, ends_ = engines[0].halves(_kept(streams, rows, spectrum, cleaned))
    return [engine.join(starts[own], ends_[own].copy()) for engine, own in zip(engines, rows, strict=True)]


def _kept(streams: list[Stream], rows: list[slice], spectrum: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
    """What is made of the model's answer: stereo images kept, clean speech guarded, no more taken than the limits."""
    for stream, own in zip(streams, rows, strict=True):
        if stream._engine.image:
            cleaned[own] = stream._engine.image.keep(spectrum[own], cleaned[own])
    kept, removed = energy(cleaned), energy(spectrum - cleaned)
    share = np.ones((*kept.shape, 1), np.float32)
    limits = np.full((len(kept), 1, 1), np.inf)
    for stream, own in zip(streams, rows, strict=True):
        limits[own] = stream._limit
        if stream._engine.guard:
            share[own] = stream._engine.guard.follow(kept[own], removed[own])
    cleaned = blended(spectrum, cleaned, share)
    return limited(spectrum, cleaned, limits) if np.isfinite(limits).any() else cleaned
