"""Triangular filters over the bins of a spectrum."""

import numpy as np


def triangular_filters(edges_hz: np.ndarray, bins_hz: np.ndarray) -> np.ndarray:
    """`(N, bins)` from N + 2 edges: each rises from one edge to 1 at the next, and falls to 0 at the one after."""
    widths = np.diff(edges_hz)[:, None]
    rising = (bins_hz - edges_hz[:-2, None]) / widths[:-1]
    falling = (edges_hz[2:, None] - bins_hz) / widths[1:]
    filters: np.ndarray = np.minimum(rising, falling).clip(0)
    return filters
