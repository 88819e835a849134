"""Checkpoints: one safetensors file with weights, averaged weights, optimiser state and the experiment."""

import dataclasses
import hashlib
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
from unhiss.data.corpora import without_folders
from unhiss.data.store import Store
from unhiss.errors import ConfigError, ModelError
from unhiss.legacy import OLD_NAME, is_old
from unhiss.train.networks import build_network

HEAD = "speech."  # how the names of the speech head's weights begin
Part = nn.Module | torch.optim.Optimizer  # of a run, with a state of its own


def save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write a checkpoint, atomically; the metadata becomes JSON in the header."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not safetensors' own save_file: only the owner can read its files.
    with atomic_write(path) as draft:
        draft.write_bytes(serialise(content, {"unhiss": json.dumps(metadata, sort_keys=True)}))


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a checkpoint. Raises ModelError if the file is not one."""
    with _open(path) as (file, metadata):
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def load_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata of a checkpoint alone. Raises ModelError if the file is not one."""
    with _open(path) as (_, metadata):
        return metadata


@contextmanager
def _open(path: str | Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            if is_old(header):
                raise ModelError(
                    f"{path} is a checkpoint of {OLD_NAME}, the former name of unhiss; train it again with unhiss train"
                )
            if "unhiss" not in header:
                raise ModelError(f"{path} is a safetensors file, but not a checkpoint of unhiss")
            yield file, json.loads(header["unhiss"])
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such checkpoint; unhiss train writes best.safetensors and last.safetensors"
        ) from error
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: damaged, or not a checkpoint ({error})") from error


def add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, each name with `prefix` before it."""
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def model_weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's weights among the tensors of a checkpoint: the averaged ones if there are any."""
    return with_prefix("average.", tensors) or with_prefix("model.", tensors)


def state_tensors(part: Part) -> dict[str, Tensor]:
    """The weights of a model, or the state of an optimiser as INDEX.NAME -> tensor."""
    if isinstance(part, nn.Module):
        return part.state_dict()
    states = part.state_dict()["state"].items()
    return {f"{index}.{key}": value for index, state in states for key, value in state.items()}


def load_state(part: Part, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Restore what `state_tensors` returned, read from `path`. Raises ModelError if it is another model's."""
    if not isinstance(part, nn.Module):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        return part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
    expected = {name: tuple(tensor.shape) for name, tensor in part.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if expected != shapes:
        name = sorted(set(expected.items()) ^ set(shapes.items()))[0][0]
        raise ModelError(f"{path} is a checkpoint of another model ({name} differs); use the config it was made with")
    part.load_state_dict(tensors)


def describe_data(store: Store) -> dict[str, Any]:
    """Origin of a data set for the metadata, without the folders it came from, and a hash of its samples."""
    keys = ("splits", "licences", "preprocessing", "seed")
    # Two sets are the same if their samples are, wherever their sources lay.
    shards = json.dumps(store.settings.get("shards", {}), sort_keys=True)
    kept = {key: store.settings[key] for key in keys if key in store.settings}
    kept["sources"] = without_folders(store.settings.get("sources", []))
    return kept | {"sha256": hashlib.sha256(shards.encode()).hexdigest()}


def read_experiment(path: str | Path, metadata: dict[str, Any]) -> Experiment:
    """The experiment in a checkpoint's metadata. Raises ModelError if this version does not know its settings."""
    try:
        return Experiment.from_dict(metadata["experiment"])
    except (KeyError, ConfigError) as error:
        raise ModelError(f"{path}: made by another version of unhiss ({error})") from error


def refuse_other_run(path: Path, metadata: dict[str, Any], experiment: Experiment, store: Store) -> None:
    """Raise ModelError if a run of `experiment` on `store` may not continue from a checkpoint with this metadata.

    How often the run saves may differ, and it may have more epochs or minutes than before.
    """
    before, config = read_experiment(path, metadata), experiment.train
    changeable = {key: getattr(config, key) for key in ("save_every_steps", "samples_every_epochs")}
    changeable |= {key: max(getattr(before.train, key), getattr(config, key)) for key in ("epochs", "minutes")}
    before = dataclasses.replace(before, train=dataclasses.replace(before.train, **changeable))
    if differences := before.differences(experiment):
        raise ModelError(f"{path} was made with {', '.join(differences)}; resume with that, or choose another -o")
    if metadata["data"].get("sha256") != describe_data(store)["sha256"]:
        raise ModelError(f"{path} was trained on another data set; resume with that, or choose another -o")


def load_model(path: str | Path) -> tuple[nn.Module, Experiment, dict[str, Any]]:
    """The model of a checkpoint in evaluation mode, its experiment, and the metadata."""
    tensors, metadata = load(path)
    experiment = read_experiment(path, metadata)
    model = build_network(experiment)
    load_state(model, model_weights(tensors), path)
    return model.eval(), experiment, metadata


def load_weights(
    model: nn.Module, ema_model: nn.Module, path: str | Path, kind: str, discriminator: nn.Module | None = None
) -> None:
    """Start a run from the weights of a checkpoint (fine-tuning), and its discriminator where the checkpoint has one.

    The speech head is optional on either side. Raises ModelError if the checkpoint is of another kind of model, or
    of one whose input is at another level.
    """
    tensors, metadata = load(path)
    experiment = read_experiment(path, metadata)
    if experiment.model.kind != kind:
        raise ModelError(
            f"{path} is a checkpoint of another model ({experiment.model.kind}, not {kind});"
            f" use a config with model.kind = {experiment.model.kind!r}"
        )
    head = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(HEAD)}
    if kind == "causal" and (normalise := experiment.causal.normalise) != getattr(model.config, "normalise", False):
        given = f"causal.normalise={str(normalise).lower()}"
        raise ModelError(f"{path} was made with {given}, and its weights fit no other input; give {given}")
    weights = model_weights(tensors)
    trained_head = {name: tensor for name, tensor in weights.items() if name.startswith(HEAD)}
    weights = {name: tensor for name, tensor in weights.items() if name not in trained_head}
    for target in (model, ema_model):
        load_state(target, weights | ((trained_head or head) if head else {}), path)
    if discriminator and (weights := with_prefix("discriminator.", tensors)):
        load_state(discriminator, weights, path)
