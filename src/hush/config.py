"""Experiments as frozen dataclasses, read from TOML, changed by dotted overrides."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hush.errors import ConfigError, nearest


def _check(good: bool, line: str) -> None:
    if not good:
        raise ConfigError(line)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    kind: str = "unet"  # unet | rced
    output: str = "attenuation"  # "magnitude": the clean frame itself, as the reference; "attenuation": dB to take off
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _check(self.kind in ("unet", "rced"), f"model.kind = {self.kind!r}; known: unet, rced")
        _check(
            self.output in ("magnitude", "attenuation"),
            f"model.output = {self.output!r}; known: magnitude, attenuation",
        )
        _check(0 <= self.dropout < 1, f"model.dropout = {self.dropout}; expected 0 up to below 1")


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    sample_rate: int = 22050
    scaling: str = "file"  # "frame": each frame by its own maximum, as the reference; "file": one scale for all
    edges: str = (
        "context"  # "zeros": each frame stands alone, as the reference; "context": its edges see what is beside
    )

    def __post_init__(self) -> None:
        _check(self.scaling in ("frame", "file"), f"frames.scaling = {self.scaling!r}; known: frame, file")
        _check(self.edges in ("zeros", "context"), f"frames.edges = {self.edges!r}; known: zeros, context")
        _check(self.sample_rate > 0, f"frames.sample_rate = {self.sample_rate}; expected Hz above 0")


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    snr_db: tuple[float, float] = (-5.0, 20.0)  # drawn evenly, on active speech level
    level_dbfs: tuple[float, float] = (-40.0, -15.0)  # active speech level of the mixture
    two_noises: float = 0.0  # share of examples with a second noise
    noise_only: float = 0.0  # share of examples without speech
    speech_only: float = 0.0  # share of examples without noise
    balance: float = 0.5  # 0: every noise clip as likely; 1: every kind of noise as likely
    reference_offset_db: tuple[float, float] = (0.0, 0.0)  # how far a frame's maximum lies below the file's
    fresh: bool = True  # new mixtures each epoch; False: the same ones, as the reference

    def __post_init__(self) -> None:
        for name in ("snr_db", "level_dbfs", "reference_offset_db"):
            pair = getattr(self, name)
            object.__setattr__(self, name, tuple(float(value) for value in pair))
            _check(len(pair) == 2 and pair[0] <= pair[1], f"mixing.{name} = {list(pair)}; expected [low, high]")
        for name in ("two_noises", "noise_only", "speech_only", "balance"):
            _check(0 <= getattr(self, name) <= 1, f"mixing.{name} = {getattr(self, name)}; expected 0 to 1")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    seed: int = 0
    epochs: int = 60
    examples: int = 21000  # frames an epoch
    valid_examples: int = 1179
    batch: int = 64
    lr: float = 1e-3
    schedule: str = "constant"  # constant | cosine (to a hundredth of lr)
    warmup_steps: int = 0
    loss: str = "mse"  # mse (on scaled dB, as the reference) | audible (see train/losses.py)
    average: float = 0.0  # decay of the averaged weights that are validated and shipped; 0: none
    precision: str = "auto"  # auto (bf16 where the machine is fast at it) | fp32 | bf16
    save_every_steps: int = 200

    def __post_init__(self) -> None:
        _check(
            self.schedule in ("constant", "cosine"),
            f"train.schedule = {self.schedule!r}; known: constant, cosine",
        )
        _check(self.loss in ("mse", "audible"), f"train.loss = {self.loss!r}; known: mse, audible")
        _check(
            self.precision in ("auto", "fp32", "bf16"),
            f"train.precision = {self.precision!r}; known: auto, fp32, bf16",
        )
        for name in ("epochs", "examples", "valid_examples", "batch", "save_every_steps"):
            _check(getattr(self, name) >= 1, f"train.{name} = {getattr(self, name)}; expected 1 or more")
        _check(self.lr > 0, f"train.lr = {self.lr}; expected above 0")
        _check(0 <= self.average < 1, f"train.average = {self.average}; expected 0 up to below 1")

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch)

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides a training run but its data; stored in checkpoints and ONNX metadata."""

    name: str = "unet"
    model: ModelConfig = field(default_factory=ModelConfig)
    frames: FrameConfig = field(default_factory=FrameConfig)
    mixing: MixConfig = field(default_factory=MixConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=None, sort_keys=True)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Experiment:
        return _build(cls, tree, "")


def _build(kind: type, tree: dict[str, Any], where: str) -> Any:
    """A dataclass from nested tables; an unknown key or a value of the wrong type is a ConfigError."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    values = {}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(f"no setting {where}{key}; {nearest(key, list(fields))}")
        default = _default(fields[key])
        if dataclasses.is_dataclass(default):
            _check(isinstance(value, dict), f"{where}{key} is a table, not {value!r}")
            value = _build(type(default), value, f"{where}{key}.")
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        elif isinstance(default, tuple):
            _check(
                isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value),
                f"{where}{key} = {value!r}; expected [low, high]",
            )
            value = tuple(value)
        elif type(value) is not type(default):
            raise ConfigError(f"{where}{key} = {value!r}; expected {type(default).__name__}, such as {default!r}")
        values[key] = value
    return kind(**values)


def _default(item: dataclasses.Field[Any]) -> Any:
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; the shipped ones lie in configs/") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    base = tree.pop("base", None)
    return _merge(_read(path.parent / base), tree) if base else tree


def load(path: str | Path, overrides: tuple[str, ...] = ()) -> Experiment:
    """An experiment from TOML (`base = "other.toml"` builds on another) and `key.sub=value` overrides.

    Values of overrides are TOML; what is no TOML is taken as a string. Raises ConfigError.
    """
    tree = _read(Path(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        _check(bool(equals), f"{override!r} is no override; expected key=value, such as train.epochs=2")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        tree = _merge(tree, value)
    return Experiment.from_dict(tree)
