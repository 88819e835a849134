"""Checkpoints: one safetensors file with weights, averaged weights, optimiser state and the experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from unhiss.atomic import atomic_write
from unhiss.config import Experiment
from unhiss.errors import ConfigError, ModelError
from unhiss.legacy import OLD_NAME, is_old
from unhiss.train.tasks import network


def save(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write beside and rename; `notes` become JSON in the header."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not safetensors' own save_file: its files can be read by their owner alone.
    with atomic_write(path) as draft:
        draft.write_bytes(serialise(content, {"unhiss": json.dumps(notes, sort_keys=True)}))


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and notes of a checkpoint. Raises ModelError if it is none."""
    with _opened(path) as (file, facts):
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118


def notes(path: str | Path) -> dict[str, Any]:
    """The notes of a checkpoint alone. Raises ModelError if it is none."""
    with _opened(path) as (_, facts):
        return facts


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if is_old(metadata):
                raise ModelError(
                    f"{path} is a checkpoint of {OLD_NAME}, the former name of unhiss; train it again with unhiss train"
                )
            if "unhiss" not in metadata:
                raise ModelError(f"{path} is a safetensors file, but no unhiss checkpoint")
            yield file, json.loads(metadata["unhiss"])
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such checkpoint; unhiss train writes best.safetensors and last.safetensors"
        ) from error
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: damaged, or no checkpoint at all ({error})") from error


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def moments(prefix: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser keeps of each parameter, under `prefix`."""
    states = optimiser.state_dict()["state"].items()
    return {f"{prefix}{index}.{key}": value for index, state in states for key, value in state.items()}


def fill_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `moments` gave, without the prefix."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def experiment_of(path: str | Path, notes: dict[str, Any]) -> Experiment:
    try:
        return Experiment.from_dict(notes["experiment"])
    except (KeyError, ConfigError) as error:
        raise ModelError(f"{path}: made by another version of unhiss ({error})") from error


def load_model(path: str | Path) -> tuple[nn.Module, Experiment, dict[str, Any]]:
    """The model of a checkpoint in evaluation mode (averaged weights where there are some)."""
    tensors, notes = load(path)
    experiment = experiment_of(path, notes)
    model = network(experiment)
    fill(model, _weights(tensors), path)
    return model.eval(), experiment, notes


def _weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return part(tensors, "average.") or part(tensors, "model.")


def load_weights(
    model: nn.Module, average: nn.Module, path: str | Path, kind: str, critics: nn.Module | None = None
) -> None:
    """Start both models of a run from the weights of a checkpoint (fine-tuning), and its critics from those
    that it may hold: what they learned took as long. Raises ModelError."""
    tensors, notes = load(path)
    experiment = experiment_of(path, notes)
    if experiment.model.kind != kind:
        raise ModelError(
            f"{path} is a checkpoint of another model ({experiment.model.kind}, not {kind});"
            f" use a config with model.kind = {experiment.model.kind!r}"
        )
    for target in (model, average):
        fill(target, _weights(tensors), path)
    if critics and (learned := part(tensors, "critics.")):
        fill(critics, learned, path)


def fill(model: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Load weights; ModelError if they are another model's."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != found:
        odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise ModelError(
            f"{path} is a checkpoint of another model (it differs at {odd}); use the config it was made with"
        )
    model.load_state_dict(tensors)
