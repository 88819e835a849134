"""The attenuation limit: no bin falls below it, the others stay, and the phase turns continuously."""

from __future__ import annotations

import numpy as np
import pytest

from unhiss.infer.engine import limit_attenuation


def complexes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("limit_db", [0.0, 6.0, 20.0, 60.0])
def test_no_bin_falls_below_the_limit_and_the_others_are_unchanged(limit_db: float, rng: np.random.Generator) -> None:
    spectrum = complexes(rng, 2, 50, 65)
    denoised = spectrum * complexes(rng, 2, 50, 65) * 10 ** rng.uniform(-4, 0, (2, 50, 65)).astype(np.float32)
    denoised[0, :5], spectrum[1, :5] = 0, 0
    out, floor = limit_attenuation(spectrum, denoised, limit_db), 10 ** (-limit_db / 20) * np.abs(spectrum)
    below = np.abs(denoised) < floor
    np.testing.assert_allclose(np.abs(out[below]), floor[below], rtol=1e-4)
    np.testing.assert_array_equal(out[~below], denoised[~below])


def test_at_the_limit_the_phase_turns_continuously() -> None:
    spectrum = np.full((1, 1, 2001), 1 + 0j, np.complex64)
    denoised = (np.linspace(0, 0.4, 2001) * np.exp(2j)).astype(np.complex64)[None, None]  # 115 degrees from X
    out = limit_attenuation(spectrum, denoised, 20 * np.log10(1 / 0.2))
    assert out[0, 0, 0] == pytest.approx(0.2)
    assert np.abs(np.diff(out)).max() < 5 * 0.4 / 2000


def test_a_model_that_inverts_a_bin_is_limited_too() -> None:
    spectrum = np.ones((1, 1, 100), np.complex64)
    denoised = -np.linspace(0, 1, 100).astype(np.complex64)[None, None]
    assert np.abs(limit_attenuation(spectrum, denoised, 6.0)).min() == pytest.approx(10**-0.3, rel=1e-4)
