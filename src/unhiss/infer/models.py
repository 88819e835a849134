"""Either kind of model, by name or file."""

from __future__ import annotations

from pathlib import Path

from unhiss.infer.causal_model import CausalModel
from unhiss.infer.frame_model import FrameModel
from unhiss.infer.session import Session
from unhiss.weights import find


def load(model: str | Path, threads: int, device: str = "auto") -> FrameModel | CausalModel:
    """An installed model, or an .onnx file, opened as what its inputs say it is. Raises ModelError."""
    session = Session(find(model), threads, device)
    causal = any(name == "spectrum" for name, *_ in session.inputs)
    return CausalModel(session) if causal else FrameModel(session)
