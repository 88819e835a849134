"""The commands that repeat a model, from the records of its training and of its scores."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from unhiss.config import Experiment, load
from unhiss.data.corpora import CORPORA
from unhiss.weights import models

CONFIGS = Path(__file__).parent.parent / "configs"
# Of unhiss prepare: the key in a record, the option, and the default of the option.
PREPROCESSING = {
    "sample_rate": ("--sample-rate", 22050),
    "keep_silence": ("--keep-silence", False),
    "max_seconds": ("--max-seconds", 10.0),
    "drop_long": ("--drop-long", False),
    "min_snr_db": ("--min-snr", None),
    "min_mos": ("--min-dnsmos", None),
    "commercial_only": ("--commercial-only", False),
}


def prepare(data: dict[str, Any]) -> str:
    """unhiss prepare with each source in its role; a record names speech first, then noise."""
    lines, noise = ["unhiss prepare"], False
    for spec in data["sources"]:
        noise = noise or _is_noise(spec)
        lines.append(f"{'--noise' if noise else '--speech'} {shlex.quote(spec)}")
    options = []
    # Before the setting existed, long clips were left out.
    settings = {"drop_long": True} | data["preprocessing"]
    for key, (option, default) in PREPROCESSING.items():
        value = settings.get(key, default)
        if value != default:
            options.append(option if value is True else f"{option} {value:g}")
    options += [f"--seed {data['seed']}"] if data["seed"] else []
    return " \\\n  ".join([*lines, " ".join([*options, "-o dataset/"])])


def _is_noise(spec: str) -> bool:
    """Whether a source can only be noise, or its folder is called noise."""
    name, _, path = spec.partition(":")
    role = "noise" if name == "synth" else CORPORA[name].role
    return role == "noise" or (not role and "noise" in Path(path).name)


def train(name: str, record: dict[str, Any]) -> str:
    """unhiss train with the config of the experiment's name, and the settings in which this run differed from it."""
    experiment = Experiment.from_dict(record["experiment"])
    path = CONFIGS / f"{experiment.name}.toml"
    config = load(path).flat()
    overrides = [f"{key}={_toml(value)}" for key, value in experiment.flat().items() if value != config[key]]
    init = [f"--init {record['init']}"] if record.get("init") else []
    words = [f"unhiss train configs/{path.name} --data dataset/ -o runs/{name}", *init, *map(shlex.quote, overrides)]
    return " \\\n  ".join(words)


def _toml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def export(name: str, licence: str, summary: str) -> str:
    words = [f"unhiss export runs/{name} -o src/unhiss/pretrained/{name}.onnx", f"--licence {shlex.quote(licence)}"]
    return " \\\n  ".join([*words, f"--summary {shlex.quote(summary)}"])


def evaluate(settings: dict[str, Any]) -> str:
    """unhiss evaluate on the folder of pairs, without the path to it."""
    installed = {card.name for card in models()}
    named = [name if name in installed else f"{name}.onnx" for name in settings["systems"] if name != "noisy input"]
    chosen = " ".join(f"--model {name}" for name in named)
    return f"unhiss evaluate {chosen} --pairs {Path(settings['pairs']).name}/ -o scores/"
