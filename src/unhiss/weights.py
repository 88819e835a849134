"""Installed models by name: their files, cards and checksums."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

from unhiss.arguments import as_path
from unhiss.errors import ModelError, WrongModel, nearest

SHIPPED = Path(__file__).parent / "pretrained"
DEFAULT = "small"
MODEL = "an installed name or the path of an .onnx file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Metadata of a model: the .json beside its .onnx, written by `unhiss export`.

    sample_rate: Hz it works at inside, 0 if any. causal: whether it can run live; latency_ms: how far it looks
    ahead, or the latency of live audio. mmac_per_s: millions of multiply-adds per second of audio of a file.
    """

    name: str
    summary: str
    sample_rate: int
    causal: bool
    latency_ms: float
    parameters: int
    mmac_per_s: float
    licence: str
    commercial_use: bool
    data: str
    sha256: str

    @property
    def rates(self) -> str:
        """The rate inside, as text."""
        return f"{self.sample_rate:,} Hz" if self.sample_rate else "any"

    @property
    def delay(self) -> str:
        """The latency or look-ahead, as text."""
        return f"latency {self.latency_ms:g} ms" if self.causal else f"looks ahead {self.latency_ms:g} ms: files only"

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{item.name: tree[item.name] for item in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: missing or damaged ({error}); unhiss export writes it beside the .onnx"
            ) from error


def models() -> list[ModelCard]:
    """The installed models, by name."""
    return [ModelCard.read(path) for path in sorted(SHIPPED.glob("*.json"))]


def find_checkpoint(name: str | Path) -> Path:
    """The checkpoint that training starts from: an installed name, a .safetensors file, or the folder of a run.

    Raises ModelError for a name without such weights.
    """
    path = Path(name)
    if path.is_dir():
        return path / "best.safetensors"
    if path.suffix or len(path.parts) > 1:
        return path
    return _installed(name, ".safetensors", f"no weights of {str(name)!r} to start from")


def find(name: str | Path) -> Path:
    """The .onnx file of a model: an installed name, or the path of any .onnx file.

    Raises ModelError for an unknown name (naming the nearest) and for a damaged installed file.
    """
    path = as_path("model", name, MODEL)
    if path.suffix == ".onnx" or len(path.parts) > 1:
        if not path.is_file():
            raise WrongModel(f"{path}: no such model file; unhiss export makes one from a checkpoint")
        return path
    path = _installed(name, ".onnx", f"no model {str(name)!r}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != ModelCard.read(path.with_suffix(".json")).sha256:
        raise ModelError(f"model {name!r} is damaged (its SHA-256 differs); install unhiss again")
    return path


def _installed(name: str | Path, suffix: str, problem: str) -> Path:
    path = SHIPPED / f"{name}{suffix}"
    if not path.is_file():
        known = [item.stem for item in SHIPPED.glob(f"*{suffix}")]
        raise WrongModel(f"{problem}, and no {suffix} file of this path; {nearest(str(name), known)}")
    return path
