"""The speech head: its labels, its training, which leaves the sound alone, and the graph that it makes."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import mannwhitneyu
from tiny_sets import ROOT, TINY, TINY_CAUSAL, start, train_to_end

import unhiss
from unhiss.cli.train import command as train_command
from unhiss.config import Experiment, load
from unhiss.data.store import Store
from unhiss.errors import ConfigError, ModelError
from unhiss.infer.causal_model import CausalModel
from unhiss.infer.stream import Stream
from unhiss.train import checkpoint, losses
from unhiss.train.causal_batches import CausalBatch, CausalBatches
from unhiss.train.export import export
from unhiss.train.networks import build_network
from unhiss.train.speech import area_under_curve, speech_activity, speech_labels, speech_loss
from unhiss.train.waveform import TOLERANCE, export_waveform

CHANGES = (
    *TINY, *TINY_CAUSAL, "causal.blocks=2", "vary.on=false", "augment.codec=0",
    "mixing.noise_only=0.5", "train.valid_examples=6",
)  # fmt: skip


def experiment(*changes: str) -> Experiment:
    return load(ROOT / "configs" / "small-speech.toml", (*CHANGES, *changes))


def save_body(path: Path, *changes: str) -> Path:
    """A checkpoint of a denoiser without a speech head, whose mask does something."""
    torch.manual_seed(3)
    settings = experiment("causal.speech=false", *changes)
    network = build_network(settings)
    torch.nn.init.normal_(network.get_submodule("mask").weight, std=0.3)  # type: ignore[arg-type]
    tensors = checkpoint.add_prefix("average.", network.state_dict())
    checkpoint.save(path, tensors, {"experiment": asdict(settings), "step": 0, "data": {}})
    return path


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_body(tmp_path_factory.mktemp("body") / "body.safetensors")


@pytest.fixture(scope="module")
def trained(body: Path, wide: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of `unhiss train` that started from the body."""
    folder = tmp_path_factory.mktemp("speech") / "run"
    words = [str(ROOT / "configs" / "small-speech.toml"), *CHANGES, "train.lr=0.02"]
    result = CliRunner().invoke(
        train_command, [*words, "--data", str(wide.folder), "-o", str(folder), "--init", str(body)]
    )
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def graphs(body: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same denoiser as ONNX, without and with its head."""
    folder = tmp_path_factory.mktemp("graphs")
    for source, name in ((body, "plain"), (trained / "best.safetensors", "speech")):
        export(source, folder / f"{name}.onnx", name=name, licence="MIT", summary="")
    return folder / "plain.onnx", folder / "speech.onnx"


# labels


def test_speech_is_what_lies_within_25_db_of_active_speech_and_three_frames_more() -> None:
    power_db = torch.tensor([[-60, -26, -24, -40, -40, -40, -40, 0, -60, -60, 10, -99, -99, -99, -99, -99]])
    expected = torch.tensor([[0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0]])
    torch.testing.assert_close(speech_activity(10 ** (power_db / 10)), expected.float())


def batch_of(powers: list[float], gain: float, bins: int = 385) -> CausalBatch:
    """Frames with so much power in every bin once `gain` is applied; above 8 kHz it is loud everywhere."""
    clean = torch.ones(1, len(powers), bins, 2) * (torch.tensor(powers)[None, :, None, None] / 2).sqrt() / gain
    clean[:, :, 256:] = 100
    return CausalBatch(clean, clean, torch.full((1, 1, 1, 1), gain), torch.ones(1, 1, bins, 1))


@pytest.mark.parametrize("gain", [0.01, 1.0, 300.0])
def test_labels_do_not_depend_on_the_level_and_hear_nothing_above_8_khz(gain: float) -> None:
    labels = speech_labels(batch_of([1e-9, 1e-9, 1.0, 1e-9, 1e-9, 1e-9, 1e-9, 0.0], gain))
    assert labels.tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]]


def test_a_scene_without_speech_has_none() -> None:
    assert not speech_labels(batch_of([0.0] * 9, 1.0)).any()


def test_the_loss_is_the_cross_entropy_by_hand() -> None:
    batch = batch_of([1e-9, 1.0], 1.0)  # labels 0, 1
    loss = speech_loss(torch.tensor([[0.2, 0.6]]), batch)
    assert float(loss) == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, rel=1e-6)


def test_the_area_under_the_curve_is_that_of_scipy(rng: np.random.Generator) -> None:
    score, label = rng.integers(0, 9, 500) / 8, rng.random(500) < 0.3  # many ties
    expected = mannwhitneyu(score[label], score[~label]).statistic / (label.sum() * (~label).sum())
    assert float(area_under_curve(torch.tensor(score), torch.tensor(label))) == pytest.approx(expected, abs=1e-6)
    assert torch.isnan(area_under_curve(torch.rand(5), torch.ones(5)))
    assert torch.isnan(area_under_curve(torch.rand(5), torch.zeros(5)))


# training


def test_training_changes_the_head_alone(body: Path, trained: Path) -> None:
    before = checkpoint.model_weights(checkpoint.load(body)[0])
    after = checkpoint.load(trained / "last.safetensors")[0]
    for prefix in ("average.", "model."):
        weights = checkpoint.with_prefix(prefix, after)
        head = {name for name in weights if name.startswith("speech.")}
        assert len(head) == 3 and weights.keys() - head == before.keys()
        assert all(torch.equal(weights[name], before[name]) for name in before), "statistics of batch norm included"
    moments = {name for name in after if name.startswith("adam.") and name.endswith("exp_avg")}
    assert len(moments) == 3


def test_steps_lower_the_loss_where_some_examples_have_speech(body: Path, wide: Store) -> None:
    settings = experiment("train.batch_size=8")
    torch.manual_seed(0)
    model, batch = (
        loaded(body, settings).eval(),
        CausalBatches(wide, "train", settings, torch.device("cpu")).batch(0, 0, 8),
    )
    assert 0.2 < speech_labels(batch).mean() < 0.9
    optimiser, values = torch.optim.Adam(model.get_submodule("speech").parameters(), lr=0.01), []
    for _ in range(200):
        loss, _ = losses.evaluate(model, batch, settings)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.97 * values[0]


def test_a_run_reports_the_area_under_the_curve_beside_sound_that_stays(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= row["valid_speech_auc"] <= 1 for row in rows)
    assert len(rows) == 2 and rows[0]["valid_snr_db"] == rows[1]["valid_snr_db"]


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(body: Path, wide: Store, tmp_path: Path) -> None:
    whole, parts = (start(experiment("train.epochs=2"), wide, tmp_path / name) for name in ("whole", "parts"))
    for run in (whole, parts):
        checkpoint.load_weights(run.model, run.ema_model, body, "causal")
        head = {name: torch.full_like(w, 0.1) for name, w in run.model.state_dict().items() if name[:7] == "speech."}
        for model in (run.model, run.ema_model):
            model.load_state_dict(head, strict=False)
    train_to_end(whole)
    for step in (0, 1):
        parts.train_step(*next(parts.batches.epoch(0, step)))
    parts.save("last")
    resumed = start(experiment("train.epochs=2"), wide, tmp_path / "parts")
    resumed.resume()
    train_to_end(resumed)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


# init


def loaded(path: Path, settings: Experiment) -> torch.nn.Module:
    model, ema_model = build_network(settings), build_network(settings)
    checkpoint.load_weights(model, ema_model, path, settings.model.kind)
    return model


def test_only_the_head_may_be_missing_from_the_weights(body: Path, tmp_path: Path) -> None:
    model = loaded(body, experiment())
    for name, value in checkpoint.model_weights(checkpoint.load(body)[0]).items():
        assert torch.equal(model.state_dict()[name], value)
    tensors, metadata = checkpoint.load(body)
    del tensors["average.mask.bias"]
    checkpoint.save(tmp_path / "a.safetensors", tensors, metadata)
    with pytest.raises(ModelError, match=r"is a checkpoint of another model \(mask.bias differs\)"):
        loaded(tmp_path / "a.safetensors", experiment())


def test_a_head_that_was_trained_is_kept_or_left_out_as_the_config_says(trained: Path) -> None:
    path = trained / "best.safetensors"
    weights = checkpoint.model_weights(checkpoint.load(path)[0])
    assert torch.equal(loaded(path, experiment()).state_dict()["speech.hidden.weight"], weights["speech.hidden.weight"])
    plain = loaded(path, experiment("causal.speech=false")).state_dict()
    assert weights.keys() - plain.keys() == {"speech.hidden.weight", "speech.hidden.bias", "speech.out"}


def test_weights_of_another_design_are_refused_in_one_line(body: Path) -> None:
    other_level = ["causal.normalise=false"]  # a network without a head does not fit there either
    for changes in (["causal.width=9"], other_level, [*other_level, "causal.speech=false"]):
        with pytest.raises(ModelError) as caught:
            loaded(body, experiment(*changes))
        assert str(body) in str(caught.value) and "\n" not in str(caught.value)
    assert "give causal.normalise=true" in str(caught.value)


def test_a_head_without_a_denoiser_is_refused(wide: Store, tmp_path: Path) -> None:
    words = [
        str(ROOT / "configs" / "small-speech.toml"),
        *CHANGES,
        "--data",
        str(wide.folder),
        "-o",
        str(tmp_path / "r"),
    ]
    error = CliRunner().invoke(train_command, words).exception
    assert isinstance(error, ConfigError) and "--init" in str(error)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "changes", [["model.kind=unet", "vary.on=false"], ["train.adversarial_weight=0.1"], ["train.part=high_bands"]]
)
def test_settings_that_do_not_fit_are_refused(changes: list[str]) -> None:
    quiet = [f"train.{name}_weight=0" for name in ("pesq", "stoi", "sdr", "si_sdr")]
    with pytest.raises(ConfigError, match=re.escape("causal.speech")):
        experiment(*quiet, *changes)


# the graph


def test_the_sound_is_bit_identical_with_and_without_the_head(
    body: Path, trained: Path, graphs: tuple[Path, Path], rng: np.random.Generator
) -> None:
    spectrum = rng.standard_normal((2, 50, 257, 2)).astype(np.float32)
    plain, speech = (checkpoint.load_model(path)[0] for path in (body, trained / "best.safetensors"))
    with torch.no_grad():
        expected, results = plain(torch.from_numpy(spectrum)), speech(torch.from_numpy(spectrum))
    denoised, state, probability = results
    assert torch.equal(denoised, expected[0]) and torch.equal(state[:, 1:], expected[1])
    assert torch.equal(state[:, 0], probability[:, -1])
    for rate in (16000, 44100):
        audio = rng.standard_normal((2, rate)).astype(np.float32) / 9
        without, with_head = (unhiss.denoise(audio, rate, model=graph) for graph in graphs)
        np.testing.assert_array_equal(with_head, without)


def test_the_graph_of_format_2_has_the_probability_as_its_third_output(
    trained: Path, graphs: tuple[Path, Path], rng: np.random.Generator
) -> None:
    formats, outputs = [], []
    for graph in graphs:
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
        formats.append(session.get_modelmeta().custom_metadata_map["unhiss.format"])
        outputs.append([item.name for item in session.get_outputs()])
    assert formats == ["1", "2"]
    assert outputs == [["cleaned", "next_state"], ["cleaned", "next_state", "speech"]]
    audio = rng.standard_normal((3, 300, 129)) + 1j * rng.standard_normal((3, 300, 129))
    loaded, parts = CausalModel(graphs[1]), []  # type: ignore[var-annotated]
    _, state = loaded.run(audio.astype(np.complex64), loaded.start(3), parts.append)
    speech = np.concatenate(parts, axis=1)
    network = checkpoint.load_model(trained / "best.safetensors")[0]
    with torch.no_grad():
        expected = network(torch.view_as_real(torch.from_numpy(audio)).float())[2]
    assert speech.shape == (3, 300)
    np.testing.assert_array_equal(state[:, 0], speech[:, -1])
    np.testing.assert_allclose(speech, expected.numpy(), atol=1e-4)
    assert 0 < speech.min() < speech.max() < 1


def test_both_formats_stream(graphs: tuple[Path, Path], rng: np.random.Generator) -> None:
    plain, speech = (Stream(16000, 2, graph) for graph in graphs)
    for stream in (plain, speech):
        stream.push(rng.standard_normal((2, 3000)) / 9)
    assert plain.speech_probability is None
    assert speech.speech_probability is not None and (speech.speech_probability > 0).all()


def test_a_graph_of_samples_takes_both_formats(graphs: tuple[Path, Path], tmp_path: Path) -> None:
    for graph in graphs:
        assert export_waveform(graph, tmp_path / f"{graph.stem}.onnx", 16000, "w") <= TOLERANCE
        session = onnxruntime.InferenceSession(str(tmp_path / f"{graph.stem}.onnx"), providers=["CPUExecutionProvider"])
        assert [item.name for item in session.get_outputs()] == ["cleaned", "next_state"]
