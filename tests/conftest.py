"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import causal_graphs
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real recordings; tests that need it skip without it, and fail in CI."""
    folder = Path(os.environ.get("UNHISS_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "manifest.csv").is_file():
        line = f"real recordings not found at {folder}; set UNHISS_DATA to the folder that holds them"
        if os.environ.get("CI") == "true":
            pytest.fail(line)
        pytest.skip(line)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def frame_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes ONNX frame models as the contract has them, whose answer is known: slope * frames + offset.

    `frame_model()` gives frames back unchanged; `frame_model(offset=-0.1)` takes 8 dB out everywhere.
    """
    folder = tmp_path_factory.mktemp("models")

    def make(
        slope: float = 1.0, offset: float = 0.0, *, rate: int = 22050, scaling: str = "file", **metadata: str
    ) -> Path:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        path = folder / f"{slope}_{offset}_{rate}_{scaling}_{len(list(folder.iterdir()))}.onnx"
        faces = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 1, 128, 128]) for name in ("frames", "cleaned")
        ]
        graph = helper.make_graph(
            [helper.make_node("Mul", ["frames", "a"], ["y"]), helper.make_node("Add", ["y", "b"], ["cleaned"])],
            "line", faces[:1], faces[1:],
            [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("a", slope), ("b", offset))],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        config = json.dumps({"frames": {"sample_rate": rate, "scaling": scaling}})
        facts = {"unhiss.format": "1", "unhiss.model": "line", "unhiss.config": config}
        helper.set_model_props(model, facts | {key.replace("_", "."): value for key, value in metadata.items()})
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture(scope="session")
def causal_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes ONNX causal models as the contract has them, whose answer is known: see causal_graphs.GRAPHS.

    `causal_model()` gives spectra back unchanged; `causal_model("gain", 0.5)` halves them.
    """
    folder = tmp_path_factory.mktemp("causal")

    def make(kind: str = "identity", gain: float = 1.0, *, stft: dict | None = None, size: int | str = 1) -> Path:
        path = folder / f"{kind}_{len(list(folder.iterdir()))}.onnx"
        causal_graphs.write(path, kind, gain, stft or causal_graphs.STFT, size)
        return path

    return make
