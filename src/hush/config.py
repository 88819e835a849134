"""Experiments as frozen dataclasses, read from TOML, changed by dotted overrides."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hush.errors import ConfigError, nearest


def _check(good: bool, line: str) -> None:
    if not good:
        raise ConfigError(line)


def _one_of(key: str, value: str, *known: str) -> None:
    _check(value in known, f"{key} = {value!r}; {nearest(value, list(known))}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    kind: str = "unet"  # unet | rced
    output: str = "attenuation"  # "magnitude": the clean frame itself, as the reference; "attenuation": dB to take off
    dropout: float = 0.5  # of the U-Net; R-CED has none

    def __post_init__(self) -> None:
        _one_of("model.kind", self.kind, "unet", "rced")
        _one_of("model.output", self.output, "magnitude", "attenuation")
        _check(0 <= self.dropout < 1, f"model.dropout = {self.dropout}; expected 0 up to below 1")


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    sample_rate: int = 22050
    scaling: str = "file"  # "frame": each frame by its own maximum, as the reference; "file": one scale for all
    edges: str = "context"  # "zeros": each frame stands alone, as the reference; "context": it sees what is beside it

    def __post_init__(self) -> None:
        _one_of("frames.scaling", self.scaling, "frame", "file")
        _one_of("frames.edges", self.edges, "zeros", "context")
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
            pair = tuple(float(value) for value in getattr(self, name))
            good = len(pair) == 2 and all(map(math.isfinite, pair)) and pair[0] <= pair[1]
            _check(good, f"mixing.{name} = {list(pair)}; expected [low, high]")
            object.__setattr__(self, name, pair)
        for name in ("two_noises", "noise_only", "speech_only", "balance"):
            _check(0 <= getattr(self, name) <= 1, f"mixing.{name} = {getattr(self, name)}; expected 0 to 1")
        both = self.noise_only + self.speech_only
        _check(both <= 1, f"mixing.noise_only + mixing.speech_only = {both:g}; expected 1 at most")


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
    clip_norm: float = 5.0  # longest gradient an optimiser step may see; 0: any, as the reference
    loss: str = "mse"  # mse (on scaled dB, as the reference) | audible (see train/losses.py)
    average: float = 0.0  # decay of the averaged weights that are validated and shipped; 0: none
    precision: str = "auto"  # auto (bf16 where the machine is fast at it) | fp32 | bf16
    save_every_steps: int = 200

    def __post_init__(self) -> None:
        _one_of("train.schedule", self.schedule, "constant", "cosine")
        _one_of("train.loss", self.loss, "mse", "audible")
        _one_of("train.precision", self.precision, "auto", "fp32", "bf16")
        for name in ("epochs", "examples", "valid_examples", "batch", "save_every_steps"):
            _check(getattr(self, name) >= 1, f"train.{name} = {getattr(self, name)}; expected 1 or more")
        for name in ("seed", "warmup_steps", "clip_norm"):
            _check(getattr(self, name) >= 0, f"train.{name} = {getattr(self, name)}; expected 0 or more")
        _check(0 < self.lr < math.inf, f"train.lr = {self.lr}; expected above 0")
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

    def __post_init__(self) -> None:
        offset = list(self.mixing.reference_offset_db)
        _check(
            self.frames.scaling == "file" or not any(offset),
            f"mixing.reference_offset_db = {offset} with frames.scaling = 'frame', where a frame's own maximum"
            " is the reference; expected [0, 0]",
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=None, sort_keys=True)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> Experiment:
        return _build(cls, tree, "")

    def differences(self, other: Experiment) -> list[str]:
        """Settings that another experiment has otherwise: `train.epochs = 60, not 57`."""
        theirs = dict(_leaves(dataclasses.asdict(other)))
        mine = _leaves(dataclasses.asdict(self))
        return [f"{key} = {value!r}, not {theirs[key]!r}" for key, value in mine if value != theirs[key]]


def _leaves(tree: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{where}{key}.")
        else:
            yield f"{where}{key}", value


def _build(kind: type, tree: dict[str, Any], where: str) -> Any:
    """A dataclass from nested tables; an unknown key or a value of the wrong type is a ConfigError."""
    fields = {item.name: item for item in dataclasses.fields(kind)}
    values = {}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(f"no setting {where}{key}; {_hint(key, list(fields))}")
        default = _default(fields[key])
        if dataclasses.is_dataclass(default):
            _check(isinstance(value, dict), f"{where}{key} is a table, not {value!r}; name one of its settings")
            value = _build(type(default), value, f"{where}{key}.")
        elif isinstance(default, tuple):
            good = isinstance(value, list | tuple) and all(type(item) in (int, float) for item in value)
            _check(good, f"{where}{key} = {value!r}; expected [low, high], such as {list(default)}")
            value = tuple(value)
        elif isinstance(default, float) and type(value) is int:
            value = float(value)
        elif type(value) is not type(default):
            example = json.dumps(default)  # as TOML writes it: true, not True
            raise ConfigError(f"{where}{key} = {value!r}; expected {type(default).__name__}, such as {example}")
        values[key] = value
    return kind(**values)


def _hint(key: str, known: list[str]) -> str:
    """The nearest of `known`, or the whole name of a setting that was given without its table."""
    full = [name for name, _ in _leaves(dataclasses.asdict(Experiment())) if name.rpartition(".")[2] == key]
    return f"did you mean {full[0]!r}?" if full else nearest(key, known)


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


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file, merged over those of its base; `above` are the files that led here."""
    chain = (*above, path.resolve())
    if path.resolve() in above:
        raise ConfigError("base files go in a circle: " + " -> ".join(link.name for link in chain))
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        where = f"the base of {above[-1]}" if above else "the shipped ones lie in configs/"
        raise ConfigError(f"{path}: no such file; {where}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a TOML file, such as configs/unet.toml") from error
    base = tree.pop("base", "")
    _check(isinstance(base, str), f"{path}: base = {base!r}; expected the name of another file")
    return _merge(_read(path.parent / base, chain), tree) if base else tree


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
