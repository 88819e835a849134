"""Opening a model by name or file, as the kind that its inputs show."""

from pathlib import Path

from unhiss.errors import WrongModel
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.frame_model import FrameModel
from unhiss.infer.session import OnnxSession
from unhiss.weights import find


def load(model: str | Path, threads: int, device: str = "auto") -> FrameModel | CausalModel:
    """Open an installed model or an .onnx file. threads: 0 takes all cores. Raises ModelError."""
    session = OnnxSession(find(model), threads, device)
    causal = "spectrum" in [name for name, *_ in session.inputs]
    return CausalModel(session) if causal else FrameModel(session)


def load_causal(model: str | Path | CausalModel, threads: int) -> CausalModel:
    """A model that can stream, opened unless it is open. Raises ModelError for one that looks ahead."""
    loaded = model if isinstance(model, CausalModel | FrameModel) else load(model, threads)
    if not isinstance(loaded, CausalModel):
        why = f"looks {loaded.latency_ms:.0f} ms ahead and cannot stream"
        raise WrongModel(f"{loaded.name} {why}; choose a causal model (unhiss models lists them)")
    return loaded
