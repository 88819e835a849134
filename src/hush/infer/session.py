"""An ONNX file opened: what its metadata says, and running it with errors a user can act on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hush.errors import ModelError


class Session:
    """A model file of hush's format 1.

    name: hush.model; config: hush.config, read; inputs: (name, *shape) of each, dynamic sizes by name.
    threads: 0 takes all cores. Raises ModelError if it cannot be loaded or is of another format.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what goes wrong is told in an exception
        self.path = path
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no public base
            raise ModelError(
                f"{path}: no model onnxruntime can load ({_line(error)}); hush export turns a checkpoint into one"
            ) from error
        facts = self._session.get_modelmeta().custom_metadata_map
        if facts.get("hush.format") != "1":
            found = facts.get("hush.format", "none")
            raise ModelError(f"{path}: format {found}, expected 1; use a model that this version's hush export wrote")
        try:
            self.name: str = facts["hush.model"]
            self.config: dict[str, Any] = json.loads(facts["hush.config"])
        except (KeyError, ValueError) as error:
            raise self.damaged(error) from error
        self.inputs = [(item.name, *item.shape) for item in self._session.get_inputs()]

    def damaged(self, error: Exception) -> ModelError:
        return ModelError(f"{self.path}: damaged metadata ({error}); export the model again")

    def run(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs in the order of the graph, each of the shape of the input at its place. Raises ModelError."""
        try:
            outputs: list[np.ndarray] = self._session.run(None, inputs)
        except Exception as error:  # as above
            raise ModelError(f"{self.path}: the model cannot be run ({_line(error)})") from error
        found, expected = [item.shape for item in outputs], [item.shape for item in inputs.values()]
        if found != expected:
            raise ModelError(f"{self.path}: outputs of shapes {found}, expected those of the inputs, {expected}")
        return outputs


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
