"""hush takes the noise out of speech.

>>> import hush
>>> clean = hush.denoise(noisy, rate)                    # doctest: +SKIP
>>> hush.denoise_file("noisy.wav", "clean.wav")          # doctest: +SKIP
>>> block = hush.Stream(rate).push(block)                # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hush.dsp.audio import read
    from hush.dsp.writer import write
    from hush.errors import HushError
    from hush.infer.denoiser import Denoiser, denoise, denoise_file
    from hush.infer.stream import Stream
    from hush.weights import models

# Public names load on first use, so that `import hush` costs nothing.
_WHERE = {
    "Denoiser": "hush.infer.denoiser",
    "HushError": "hush.errors",
    "Stream": "hush.infer.stream",
    "denoise": "hush.infer.denoiser",
    "denoise_file": "hush.infer.denoiser",
    "models": "hush.weights",
    "read": "hush.dsp.audio",
    "write": "hush.dsp.writer",
}

__all__ = ["Denoiser", "HushError", "Stream", "denoise", "denoise_file", "models", "read", "write"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hush' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
