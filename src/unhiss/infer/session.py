"""An opened ONNX file: its metadata, and a `run` whose errors the user can act on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.errors import ConfigError, ModelError
from unhiss.legacy import OLD_NAME, is_old
from unhiss.runtime import onnxruntime


class OnnxSession:
    """A model file of unhiss's format 1, or 2, which has a third output: the probability of speech.

    name: unhiss.model; config: unhiss.config, parsed; inputs: (name, *shape) of each, dynamic sizes by name.
    has_speech: whether there is that third output, `speech`.
    fingerprint: a hash of all metadata and inputs, which include the SHA-256 of the weights; equal for equal models.
    threads: 0 takes all cores. device: cpu, cuda, or auto (a GPU if onnxruntime was built for one).
    Raises ModelError if the file cannot be loaded or has another format, ConfigError for an unavailable device.
    """

    def __init__(self, path: Path, threads: int = 0, device: str = "auto") -> None:
        runtime = onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # failures are raised as exceptions
        self.path = path
        providers = _providers(device, runtime.get_available_providers())
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no public base
            why = f"no model onnxruntime can load ({_line(error)})"
            raise ModelError(f"{path}: {why}; unhiss export turns a checkpoint into one") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        if is_old(metadata):
            why = f"a model of {OLD_NAME}, the former name of unhiss"
            raise ModelError(f"{path}: {why}; train it again and unhiss export it")
        if (version := metadata.get("unhiss.format", "none")) not in ("1", "2"):
            hint = "use a model that this version's unhiss export wrote"
            raise ModelError(f"{path}: format {version}, expected 1 or 2; {hint}")
        try:
            self.name: str = metadata["unhiss.model"]
            self.config: dict[str, Any] = json.loads(metadata["unhiss.config"])
        except (KeyError, ValueError) as error:
            raise self.damaged(error) from error
        self._outputs = [item.name for item in self._session.get_outputs()]
        self.has_speech = self._outputs[2:] == ["speech"]
        self.inputs = [(item.name, *item.shape) for item in self._session.get_inputs()]
        self.fingerprint = hashlib.sha256(json.dumps([sorted(metadata.items()), self.inputs]).encode()).hexdigest()

    def damaged(self, error: Exception) -> ModelError:
        return ModelError(f"{self.path}: damaged metadata ({error}); export the model again")

    def run(self, inputs: dict[str, np.ndarray], with_speech: bool = False) -> list[np.ndarray]:
        """The outputs in the order of the graph; each has the shape of the input with its index. Raises ModelError.

        with_speech: `speech` too, where there is one; it has the first two axes of the first input.
        """
        names = self._outputs if with_speech else self._outputs[: len(inputs)]
        try:
            outputs: list[np.ndarray] = self._session.run(names, inputs)
        except Exception as error:  # as above
            raise ModelError(f"{self.path}: the model cannot be run ({_line(error)})") from error
        shapes, expected = [item.shape for item in outputs], [item.shape for item in inputs.values()]
        if with_speech and self.has_speech:
            expected.append(expected[0][:2])
        if shapes != expected:
            raise ModelError(f"{self.path}: outputs of shapes {shapes}, expected {expected}, as the inputs have them")
        return outputs


def _providers(device: str, available: list[str]) -> list[str]:
    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device = {device!r}; expected auto, cpu or cuda")
    if device == "cuda" and cuda not in available:
        raise ConfigError("device = 'cuda', and this onnxruntime runs on processors only; pip install onnxruntime-gpu")
    return [cuda, cpu] if cuda in available and device != "cpu" else [cpu]


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
