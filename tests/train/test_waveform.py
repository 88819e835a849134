"""The waveform export: samples in and out of one graph, the same as from a Stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

import unhiss
from unhiss.cli import unhiss as program
from unhiss.errors import ConfigError, ModelError
from unhiss.train.waveform import TOLERANCE, export_waveform

Make = Callable[..., Path]
RATES = [8000, 12000, 16000, 24000, 32000, 48000, 96000]


def cleaned(path: Path, audio: np.ndarray, sizes: list[int]) -> np.ndarray:
    """audio `(B, T)` through the graph, in calls of so many hops, without the hop of delay."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    settings = json.loads(session.get_modelmeta().custom_metadata_map["unhiss.config"])["waveform"]
    hop, state = settings["hop"], np.zeros((len(audio), settings["state"]), np.float32)
    padded = np.pad(audio, ((0, 0), (0, hop + -audio.shape[1] % hop)))
    parts, start, turn = [], 0, 0
    while start < padded.shape[1]:
        size = hop * sizes[turn % len(sizes)]
        out, state = session.run(None, {"audio": padded[:, start : start + size], "state": state})
        parts.append(out)
        start, turn = start + size, turn + 1
    return np.concatenate(parts, axis=1)[:, settings["latency"] : settings["latency"] + audio.shape[1]]


@pytest.mark.parametrize("rate", RATES)
def test_an_identity_model_returns_every_sample(
    rate: int, causal_model: Make, tmp_path: Path, rng: np.random.Generator
) -> None:
    export_waveform(causal_model(), tmp_path / "w.onnx", rate, "w")
    audio = rng.uniform(-1, 1, (3, rate // 3)).astype(np.float32)
    assert np.abs(cleaned(tmp_path / "w.onnx", audio, [1, 4, 2]) - audio).max() < TOLERANCE


@pytest.mark.parametrize("rate", [16000, 48000])
def test_small_gives_what_denoise_gives(rate: int, tmp_path: Path, rng: np.random.Generator) -> None:
    worst = export_waveform("small", tmp_path / "w.onnx", rate, "w")
    assert worst < TOLERANCE and (tmp_path / "w.onnx").stat().st_size < 4e6
    audio = (0.1 * rng.standard_normal((2, rate))).astype(np.float32)
    expected = np.stack([unhiss.denoise(row, rate) for row in audio])
    for sizes in ([1], [3, 50]):
        assert np.abs(cleaned(tmp_path / "w.onnx", audio, sizes) - expected).max() < TOLERANCE


def test_signals_of_a_batch_are_independent(causal_model: Make, tmp_path: Path, rng: np.random.Generator) -> None:
    export_waveform(causal_model("leveller"), tmp_path / "w.onnx", 16000, "w")
    audio = rng.uniform(-1, 1, (2, 8192)).astype(np.float32)
    alone = cleaned(tmp_path / "w.onnx", audio[1:], [2])
    assert np.abs(cleaned(tmp_path / "w.onnx", audio, [2])[1:] - alone).max() < TOLERANCE


def test_wrong_rates_and_models_are_refused_and_nothing_is_written(
    frame_model: Make, causal_model: Make, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"44100.*8000, 12000"):
        export_waveform(causal_model(), tmp_path / "w.onnx", 44100, "w")
    with pytest.raises(ModelError, match="ahead"):
        export_waveform(frame_model(), tmp_path / "w.onnx", 16000, "w")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_is_not_written(causal_model: Make, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("unhiss.train.waveform.UNIT", 511)  # a wrong scale, and so another level for the model
    with pytest.raises(ModelError, match="differs"):
        export_waveform(causal_model("leveller"), tmp_path / "w.onnx", 16000, "w")
    assert list(tmp_path.iterdir()) == []


def test_the_command_reports_its_output_and_keeps_an_existing_file(tmp_path: Path) -> None:
    words = ["export", "small", "--waveform", "--rate", "16000", "-o", str(tmp_path / "w.onnx")]
    done = CliRunner().invoke(program, words)
    assert done.exit_code == 0 and "16,000 Hz" in done.output and "equals unhiss.Stream(16000)" in done.output
    metadata = onnxruntime.InferenceSession(str(tmp_path / "w.onnx")).get_modelmeta().custom_metadata_map
    assert (metadata["unhiss.format"], metadata["unhiss.model"], metadata["unhiss.licence"]) == (
        "waveform 1",
        "w",
        "MIT",
    )
    again = CliRunner().invoke(program, words)
    assert isinstance(again.exception, ConfigError) and "--force" in str(again.exception)


def test_the_rest_of_unhiss_refuses_such_a_file(tmp_path: Path) -> None:
    export_waveform("small", tmp_path / "w.onnx", 16000, "w")
    with pytest.raises(ModelError, match="waveform 1"):
        unhiss.Denoiser(tmp_path / "w.onnx")
