"""Experiments from TOML: what is accepted, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from unhiss.config import Experiment, load
from unhiss.errors import ConfigError

CONFIGS = Path(__file__).parent.parent / "configs"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_the_reference_config_is_the_reference() -> None:
    experiment = load(CONFIGS / "unet-reference.toml")
    train = experiment.train
    assert (train.loss, train.batch_size, train.epochs, train.examples, train.valid_examples) == (
        "mse",
        64,
        60,
        21000,
        1179,
    )
    assert (train.lr, train.schedule, train.clip_norm, train.ema_decay) == (1e-3, "constant", 0.0, 0.0)
    assert (experiment.model.kind, experiment.model.output, experiment.model.dropout) == ("unet", "magnitude", 0.5)
    assert (experiment.frames.sample_rate, experiment.frames.scaling, experiment.frames.edges) == (
        22050,
        "frame",
        "zeros",
    )
    assert experiment.mixing.dynamic is False and experiment.mixing.reference_offset_db == (0, 0)
    assert (train.steps_per_epoch, train.steps) == (329, 19740)  # the notebook shows 329 steps an epoch


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_config_loads_and_is_named_after_its_file(path: Path) -> None:
    assert load(path).name == path.stem


def test_a_file_contains_only_its_differences_from_its_base(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", 'name = "a"\n[train]\nepochs = 5\nbatch_size = 8\n')
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", "b.toml", 'base = "../a.toml"\n[train]\nbatch_size = 4\n')
    train = load(tmp_path / "sub" / "b.toml").train
    assert (train.epochs, train.batch_size) == (5, 4)
    assert dataclasses.replace(train, epochs=60, batch_size=64) == Experiment().train


def test_overrides_apply_last_and_are_toml_or_plain_strings(tmp_path: Path) -> None:
    path = write(tmp_path, "a.toml", "[train]\nepochs = 5\n")
    experiment = load(path, ("train.epochs=7", "mixing.snr_db=[0, 5]", "train.schedule=cosine", "name='b c'"))
    assert (experiment.train.epochs, experiment.train.schedule, experiment.name) == (7, "cosine", "b c")
    assert experiment.mixing.snr_db == (0.0, 5.0)


def test_an_integer_is_accepted_for_a_float() -> None:
    assert load(CONFIGS / "unet.toml", ("train.lr=1", "model.dropout=0")).train.lr == 1.0


def test_an_experiment_is_restored_from_json() -> None:
    experiment = load(CONFIGS / "unet.toml")
    assert Experiment.from_dict(json.loads(experiment.to_json())) == experiment


def test_differences_name_the_settings() -> None:
    one = load(CONFIGS / "unet.toml", ("train.epochs=57",))
    other = load(CONFIGS / "unet.toml", ("train.epochs=3", "name=x"))
    assert one.differences(one) == []
    assert one.differences(other) == ["name = 'unet', not 'x'", "train.epochs = 57, not 3"]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train.seed=4294967296", "train.seed = 4294967296; expected at most 4294967295"),
        ("train.epoch=5", "no setting train.epoch; did you mean 'epochs'?"),
        ("trian.epochs=5", "no setting trian; did you mean 'train'?"),
        ("epochs=5", "no setting epochs; did you mean 'train.epochs'?"),
        ("train.dropout=0.1", "no setting train.dropout; did you mean 'model.dropout'?"),
        ("train.epochs.x=5", "train.epochs = {'x': 5}; expected int, such as 60"),
        ("train", "'train' is not an override; expected key=value, such as train.epochs=2"),
        ("train=5", "train is a table, not 5; name one of its settings"),
        ("train.epochs=", "train.epochs = ''; expected int, such as 60"),
        ("train.epochs=2.5", "train.epochs = 2.5; expected int, such as 60"),
        ("train.epochs=true", "train.epochs = True; expected int, such as 60"),
        ("train.epochs=0", "train.epochs = 0; expected 1 or more"),
        ("train.batch_size=-1", "train.batch_size = -1; expected 1 or more"),
        ("train.seed=-1", "train.seed = -1; expected 0 or more"),
        ("train.warmup_steps=-1", "train.warmup_steps = -1; expected 0 or more"),
        ("train.lr=0", "train.lr = 0.0; expected above 0"),
        ("train.lr=nan", "train.lr = nan; expected above 0"),
        ("train.lr=inf", "train.lr = inf; expected above 0"),
        ("train.lr=true", "train.lr = True; expected float, such as 0.001"),
        ("train.lr=fast", "train.lr = 'fast'; expected float, such as 0.001"),
        ("train.ema_decay=1", "train.ema_decay = 1.0; expected 0 up to below 1"),
        ("train.schedule=cosin", "train.schedule = 'cosin'; did you mean 'cosine'?"),
        ("train.loss=l1", "train.loss = 'l1'; known: compressed_spectrum, mse"),
        ("train.precision=fp16", "train.precision = 'fp16'; did you mean 'bf16'?"),
        ("model.kind=unte", "model.kind = 'unte'; did you mean 'unet'?"),
        ("model.output=mask", "model.output = 'mask'; known: attenuation, magnitude"),
        ("model.dropout=1", "model.dropout = 1.0; expected 0 up to below 1"),
        ("frames.scaling=none", "frames.scaling = 'none'; known: file, frame"),
        ("frames.sample_rate=0", "frames.sample_rate = 0; expected Hz above 0"),
        ("mixing.dynamic=True", "mixing.dynamic = 'True'; expected bool, such as true"),
        ("mixing.snr_db=5", "mixing.snr_db = 5; expected [low, high], such as [-5.0, 20.0]"),
        ("mixing.snr_db=[5]", "mixing.snr_db = [5.0]; expected [low, high]"),
        ("mixing.snr_db=[5, 1]", "mixing.snr_db = [5.0, 1.0]; expected [low, high]"),
        ("mixing.snr_db=[1, 2, 3]", "mixing.snr_db = [1.0, 2.0, 3.0]; expected [low, high]"),
        ("mixing.snr_db=[0, inf]", "mixing.snr_db = [0.0, inf]; expected [low, high]"),
        ("mixing.snr_db=[true, 5]", "mixing.snr_db = [True, 5]; expected [low, high], such as [-5.0, 20.0]"),
        ("mixing.kind_balance=2", "mixing.kind_balance = 2.0; expected 0 to 1"),
        ("mixing.noise_only=0.99", "mixing.noise_only + mixing.speech_only = 1.02; expected 1 at most"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_was_expected(override: str, line: str) -> None:
    assert refused(CONFIGS / "unet.toml", override) == line


def test_a_reference_offset_needs_one_scale_for_the_file() -> None:
    line = refused(CONFIGS / "unet.toml", "frames.scaling=frame")
    assert "reference_offset_db = [0.0, 35.0]" in line and "expected [0, 0]" in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("train = ", "Invalid value"),
        ("x = 1", "no setting x;"),
        ("base = 5", "base = 5; expected the name of another file"),
        ('base = "gone.toml"', "gone.toml: no such file; the base of"),
        ('base = "a.toml"', "circular base files: a.toml -> a.toml"),
        ("[train]\nlr = [1]", "train.lr = [1]; expected float"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, part: str) -> None:
    assert part in refused(write(tmp_path, "a.toml", text))


def test_circular_bases_are_named(tmp_path: Path) -> None:
    write(tmp_path, "b.toml", 'base = "a.toml"')
    line = refused(write(tmp_path, "a.toml", 'base = "b.toml"'))
    assert line == "circular base files: a.toml -> b.toml -> a.toml"


def test_a_missing_file_a_folder_and_a_binary_file_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.toml").endswith("a.toml: no such file; the shipped ones are in configs/")
    assert "expected a TOML file" in refused(tmp_path)
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    assert "b.toml: " in refused(tmp_path / "b.toml")


def test_every_setting_is_documented() -> None:
    text = (CONFIGS.parent / "docs" / "training.md").read_text(encoding="utf-8")
    tables = dataclasses.asdict(Experiment())
    names = [
        name for table in ("model", "frames", "causal", "augment", "vary", "mixing", "train") for name in tables[table]
    ]
    assert [name for name in names if f"{name}`" not in text] == []
