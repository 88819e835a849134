"""What --json prints is what the JSON Schemas in the package say."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from unhiss.media.writer import write

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
Make = Callable[..., Path]


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((importlib.resources.files("unhiss.cli") / "schemas" / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def objects(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    """The objects on stdout; NaN and infinities, which are no JSON, are refused."""

    def refuse(value: str) -> NoReturn:
        raise AssertionError(f"{value} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in done.stdout.decode().splitlines()]


def described(validator: Draft202012Validator, kind: str) -> set[str]:
    return set(validator.schema["$defs"][kind]["properties"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Recordings that come out well, clipped, silent, empty and not at all; and a file left out."""
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "good.flac", np.full((2, 3000), 0.3, np.float32), 48000)
    write(folder / "loud.wav", np.sin(np.arange(9000) / 5).astype(np.float32) * 0.75, 16000)
    write(folder / "silent.wav", np.zeros(3000, np.float32), 16000)
    write(folder / "empty.wav", np.zeros(0, np.float32), 16000)
    (folder / "bad.wav").write_bytes(b"RIFF invalid")
    (folder / "notes.txt").touch()
    return folder


def test_success_warnings_failure_and_what_is_left_out_are_as_the_schema_says(
    folder: Path, tmp_path: Path, run: Run, causal_model: Make
) -> None:
    schema, model = validator("denoise"), causal_model("gain", 2.0)
    words = ("-o", tmp_path / "out", "--residual", tmp_path / "removed", "--model", model, "--json")
    lines = objects(run("denoise", folder, *words))
    for line in lines:
        schema.validate(line)
    kinds = ["error" if "error" in line else "left_out" if "left_out" in line else "report" for line in lines]
    assert sorted(kinds) == ["error", "left_out", "report", "report", "report", "report"]
    reports = {Path(line["source"]).name: line for line in lines if "target" in line}
    assert "clipped" in reports["loud.wav"]["warnings"][0] and not reports["good.flac"]["warnings"]
    assert set(reports["good.flac"]) <= described(schema, "report"), "the schema describes every field"


def test_a_single_recording_to_a_pipe_and_a_single_failure_are_too(
    folder: Path, tmp_path: Path, run: Run, causal_model: Make
) -> None:
    schema, model = validator("denoise"), causal_model()
    done = run("denoise", folder / "bad.wav", "-o", tmp_path / "b.wav", "--model", model, "--json")
    (failure,) = objects(done)
    schema.validate(failure)
    assert done.returncode == 1 and set(failure) == {"source", "error"}
    done = run("denoise", "-", "-o", "-", "--model", model, "--json", stdin=(folder / "good.flac").read_bytes())
    report = json.loads(done.stderr)  # stdout is the recording
    schema.validate(report)
    assert (report["source"], report["target"]) == ("-", "-")


@pytest.mark.parametrize(
    "change",
    [{"warnings": "clipped"}, {"rate": None}, {"error": "it failed too"}, {"seconds": -1}, {"source": None}],
)
def test_the_schema_refuses_other_objects(change: dict[str, Any], folder: Path, run: Run, causal_model: Make) -> None:
    done = run("denoise", folder / "good.flac", "--model", causal_model(), "--json")
    (report,) = objects(done)
    schema = validator("denoise")
    assert schema.is_valid(report)
    assert not schema.is_valid(report | change)

    assert schema.is_valid(report | {"new": 1}), "later versions may add fields"
    for name in report:
        assert not schema.is_valid({key: value for key, value in report.items() if key != name}), name


def test_the_list_of_models_is_as_its_schema_says(run: Run) -> None:
    schema = validator("models")
    for line in objects(run("models", "--json")):
        schema.validate(line)
        assert set(line) == set(schema.schema["properties"])
