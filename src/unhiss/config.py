"""Experiments: settings from TOML files and `key.sub=value` overrides."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unhiss.errors import ConfigError, nearest
from unhiss.settings import (
    LOSS_WEIGHTS,
    AugmentConfig,
    CausalConfig,
    FrameConfig,
    MixConfig,
    ModelConfig,
    TrainConfig,
    VaryConfig,
    check,
)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All settings of a training run except its data; stored in checkpoints and ONNX metadata."""

    name: str = "unet"
    model: ModelConfig = field(default_factory=ModelConfig)
    frames: FrameConfig = field(default_factory=FrameConfig)
    causal: CausalConfig = field(default_factory=CausalConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    vary: VaryConfig = field(default_factory=VaryConfig)
    mixing: MixConfig = field(default_factory=MixConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        offset = list(self.mixing.reference_offset_db)
        check(
            self.frames.scaling == "file" or not any(offset),
            f"mixing.reference_offset_db = {offset} with frames.scaling = 'frame', where a frame's own maximum"
            " is the reference; expected [0, 0]",
        )
        kind = self.model.kind
        for name in ("erb_weighting", *LOSS_WEIGHTS):
            value = getattr(self.train, name)
            line = f"train.{name} = {value} with model.kind = {kind!r}; only causal models have it"
            check(not value or kind == "causal", line)
        line = f"causal.speech = {self.causal.speech} with model.kind = {kind!r}; only causal models have it"
        check(not self.causal.speech or kind == "causal", line)
        line = f"train.adversarial_weight = {self.train.adversarial_weight} with causal.speech; the head has no critic"
        check(not (self.causal.speech and self.train.adversarial_weight), f"{line}, expected 0")
        line = f"train.part = {self.train.part!r} with causal.speech, which trains the head alone"
        check(not (self.causal.speech and self.train.part), f"{line}; give one of them")
        line = f"vary.on = {self.vary.on} with model.kind = {kind!r}; it is for causal models"
        check(not self.vary.on or kind == "causal", line)

    @property
    def sample_rate(self) -> int:
        """Hz of the prepared set it trains on."""
        return self.causal.sample_rate if self.model.kind == "causal" else self.frames.sample_rate

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Experiment:
        experiment: Experiment = _build(cls, tree, "")
        return experiment

    def differences(self, other: Experiment) -> list[str]:
        """Settings whose value differs in another experiment: `train.epochs = 60, not 57`."""
        theirs = other.flat()
        return [f"{key} = {value!r}, not {theirs[key]!r}" for key, value in self.flat().items() if value != theirs[key]]

    def flat(self) -> dict[str, Any]:
        """Every setting by its full name, such as `train.epochs`."""
        return dict(_leaves(dataclasses.asdict(self)))


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _build(kind: type, tree: dict[str, Any], prefix: str) -> Any:
    """A dataclass from nested tables; an unknown key or a value of the wrong type is a ConfigError."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    values = {}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(f"no setting {prefix}{key}; {_hint(key, list(fields))}")
        item = fields[key]
        default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        if dataclasses.is_dataclass(default):
            check(isinstance(value, dict), f"{prefix}{key} is a table, not {value!r}; name one of its settings")
            value = _build(type(default), value, f"{prefix}{key}.")
        elif isinstance(default, tuple):
            good = isinstance(value, list | tuple) and all(type(item) in (int, float) for item in value)
            check(good, f"{prefix}{key} = {value!r}; expected [low, high], such as {list(default)}")
            value = tuple(value)
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        elif type(value) is not type(default):
            example = json.dumps(default)  # as TOML writes it: true, not True
            raise ConfigError(f"{prefix}{key} = {value!r}; expected {type(default).__name__}, such as {example}")
        values[key] = value
    return kind(**values)


def _hint(key: str, known: list[str]) -> str:
    """The nearest of `known`, or the full name of a setting that was given without its table."""
    full = [name for name, _ in _leaves(dataclasses.asdict(Experiment())) if name.rpartition(".")[2] == key]
    return f"did you mean {full[0]!r}?" if full else nearest(key, known)


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _read(path: Path, parents: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file, merged over those of its base. parents: the files whose base this is."""
    chain = (*parents, path.resolve())
    if path.resolve() in parents:
        raise ConfigError("circular base files: " + " -> ".join(link.name for link in chain))
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = f"the base of {parents[-1]}" if parents else "the shipped ones are in configs/"
        raise ConfigError(f"{path}: no such file; {hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file, such as configs/unet.toml") from error
    base = tree.pop("base", "")
    check(isinstance(base, str), f"{path}: base = {base!r}; expected the name of another file")
    return _merge(_read(path.parent / base, chain), tree) if base else tree


def load(path: str | Path, overrides: tuple[str, ...] = ()) -> Experiment:
    """An experiment from TOML (`base = "other.toml"` builds on another) and `key.sub=value` overrides.

    Values of overrides are TOML; a value that is not valid TOML is a string. Raises ConfigError.
    """
    tree = _read(Path(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        check(bool(equals), f"{override!r} is not an override; expected key=value, such as train.epochs=2")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        tree = _merge(tree, value)
    return Experiment.from_dict(tree)
