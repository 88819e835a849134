"""unhiss removes noise from speech.

>>> import unhiss
>>> clean = unhiss.denoise(noisy, rate)                    # doctest: +SKIP
>>> unhiss.denoise_file("noisy.wav", "clean.wav")          # doctest: +SKIP
>>> block = unhiss.Stream(rate).push(block)                # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from unhiss.errors import UnhissError
    from unhiss.infer.denoiser import Denoiser, denoise, denoise_file
    from unhiss.infer.stream import Stream
    from unhiss.media.source import read
    from unhiss.media.writer import write
    from unhiss.weights import models

# Public names load on first use, so that `import unhiss` costs nothing.
_WHERE = {
    "Denoiser": "unhiss.infer.denoiser",
    "UnhissError": "unhiss.errors",
    "Stream": "unhiss.infer.stream",
    "denoise": "unhiss.infer.denoiser",
    "denoise_file": "unhiss.infer.denoiser",
    "models": "unhiss.weights",
    "read": "unhiss.media.source",
    "write": "unhiss.media.writer",
}

__all__ = ["Denoiser", "Stream", "UnhissError", "denoise", "denoise_file", "models", "read", "write"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'unhiss' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
