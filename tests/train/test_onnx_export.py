"""Export: one ONNX file as the contract has it, equal to torch, or no file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner, Result

from unhiss.cli.export import command
from unhiss.config import Experiment
from unhiss.data.store import Store
from unhiss.errors import ModelError, UnhissError
from unhiss.media.writer import write
from unhiss.train import checkpoint, export, onnx_graph
from unhiss.train.loop import Run
from unhiss.weights import ModelCard, find_checkpoint

CPU = torch.device("cpu")


def trained(kind: str, folder: Path, store: Store, tiny: Callable[..., Experiment]) -> Run:
    run = Run(tiny(kind), store, folder, CPU)
    run.train_step(run.batches.batch(0, 0, 2))  # gives batch norm its statistics
    run.save("best")
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, store: Store, tiny: Callable[..., Experiment]) -> Run:
    """A run of the small network, for what does not depend on the network."""
    return trained("rced", tmp_path_factory.mktemp("rced"), store, tiny)


@pytest.fixture(scope="module", params=["unet", "rced"])
def each_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: Store, tiny) -> Run:
    return trained(request.param, tmp_path_factory.mktemp(request.param), store, tiny)


def call(*words: object) -> Result:
    return CliRunner().invoke(command, [*map(str, words)])


def refused(result: Result, code: int) -> str:
    assert isinstance(result.exception, UnhissError), result.output
    assert result.exception.exit_code == code
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def exported(each_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file of `each_run`, and its card; tests only read them."""
    path = tmp_path_factory.mktemp("exported") / "mine.onnx"
    result = call(each_run.folder, "-o", path, "--licence", "CC-BY-4.0", "--summary", "a test")
    assert result.exit_code == 0, result.output
    assert "onnxruntime equals torch within" in result.output
    return path


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_the_graph_takes_any_number_of_frames(each_run: Run, exported: Path) -> None:
    graph = session(exported)
    (frames_in,), (frames_out,) = graph.get_inputs(), graph.get_outputs()
    assert (frames_in.name, frames_in.type, frames_in.shape) == ("frames", "tensor(float)", ["B", 1, 128, 128])
    # ONNX gives each value one name, so the output cannot be `frames` too.
    assert (frames_out.name, frames_out.type, frames_out.shape) == ("cleaned", "tensor(float)", ["B", 1, 128, 128])
    model, _, _ = checkpoint.load_model(each_run.folder / "best.safetensors")
    for count in (1, 3):
        frames = np.random.default_rng(count).random((count, 1, 128, 128), np.float32)
        with torch.no_grad():
            expected = model(torch.from_numpy(frames)).numpy()
        np.testing.assert_allclose(graph.run(None, {"frames": frames})[0], expected, atol=export.TOLERANCE)


def test_the_metadata_is_the_contracts(each_run: Run, exported: Path) -> None:
    metadata = session(exported).get_modelmeta().custom_metadata_map
    assert metadata.keys() == {"unhiss.format", "unhiss.model", "unhiss.config", "unhiss.licence", "unhiss.sha256"}
    assert (metadata["unhiss.format"], metadata["unhiss.model"], metadata["unhiss.licence"]) == (
        "1",
        "mine",
        "CC-BY-4.0",
    )
    config = json.loads(metadata["unhiss.config"])
    assert config["model"]["kind"] == each_run.experiment.model.kind
    assert config["frames"] == {"edges": "context", "sample_rate": 22050, "scaling": "file"}
    weights = b"".join(value.numpy().tobytes() for value in each_run.ema_model.state_dict().values())
    assert metadata["unhiss.sha256"] == hashlib.sha256(weights).hexdigest()


def test_the_card_lies_beside_and_knows_the_file(each_run: Run, exported: Path) -> None:
    card = ModelCard.read(exported.with_suffix(".json"))
    assert card.sha256 == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert card.parameters == {"unet": 1_941_093, "rced": 32_765}[each_run.experiment.model.kind]
    assert (card.name, card.sample_rate, card.latency_ms) == ("mine", 22050, 365.7)
    assert card.commercial_use and card.data == "made: CC0 (0.1 h)"
    assert sorted(path.name for path in exported.parent.iterdir()) == ["mine.json", "mine.onnx"]


def test_batch_norm_is_folded_into_the_convolutions(exported: Path) -> None:
    import onnx

    kinds = {node.op_type for node in onnx.load(exported).graph.node}
    assert "BatchNormalization" not in kinds and "Dropout" not in kinds


def test_multiply_adds_are_those_counted_by_hand(each_run: Run) -> None:
    if each_run.experiment.model.kind == "rced":
        weights = [f * w * c * i for f, w, c, i in zip(
            (12, 16, 20, 24, 32, 24, 20, 16, 12, 1), (13, 11, 9, 7, 7, 7, 9, 11, 13, 129), (8, *[1] * 9),
            (1, 12, 16, 20, 24, 32, 24, 20, 16, 12), strict=True,
        )]  # fmt: skip
        assert onnx_graph.macs(each_run.model.eval(), (torch.rand(1, 1, 128, 128),)) == 128 * 128 * sum(weights)
    else:
        assert 0.8e9 < onnx_graph.macs(each_run.model.eval(), (torch.rand(1, 1, 128, 128),)) < 0.9e9


def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the inputs that torch and onnxruntime are compared on from now on."""
    shapes: list[tuple[int, ...]] = []
    max_difference = export.max_difference

    def recording(model, path, examples):
        shapes.extend(part.shape for example in examples for part in example)
        return max_difference(model, path, examples)

    monkeypatch.setattr(export, "max_difference", recording)
    return shapes


def test_random_and_real_frames_are_compared(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = compared(monkeypatch)
    recording = tmp_path / "a.wav"
    write(recording, np.sin(np.arange(44100) * 0.05).astype(np.float32), 44100)
    result = call(run.folder, "-o", tmp_path / "a.onnx", "--check", recording)
    assert result.exit_code == 0, result.output
    assert shapes == [(2, 1, 128, 128), (4, 1, 128, 128), (3, 1, 128, 128)]  # random, from the checkpoint, recording


@pytest.mark.parametrize("worst", [1e-3, float("nan")])
def test_nothing_is_written_when_onnxruntime_differs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worst: float
) -> None:
    monkeypatch.setattr(export, "max_difference", lambda *_: worst)
    (tmp_path / "out").mkdir()
    line = refused(call(run.folder, "-o", tmp_path / "out" / "a.onnx"), 1)
    assert line.startswith("onnxruntime differs from torch by") and line.endswith("not written")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_real_difference_is_detected(each_run: Run, exported: Path) -> None:
    other, _, _ = checkpoint.load_model(each_run.folder / "best.safetensors")
    with torch.no_grad():
        other.net.last.bias += 0.5  # type: ignore[union-attr,operator]
    frames = np.random.default_rng(0).random((1, 1, 128, 128), np.float32)
    assert export.max_difference(other, exported, [(frames,)]) > export.TOLERANCE


def test_weights_that_are_not_finite_are_not_exported(run: Run, tmp_path: Path) -> None:
    tensors, metadata = checkpoint.load(run.folder / "best.safetensors")
    broken = {name: value * float("nan") if "last.bias" in name else value for name, value in tensors.items()}
    checkpoint.save(tmp_path / "a.safetensors", broken, metadata)
    line = refused(call(tmp_path / "a.safetensors", "-o", tmp_path / "a.onnx"), 1)
    assert line.startswith("onnxruntime differs from torch by nan")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_at_the_path_of_the_card_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine", encoding="utf-8")
    line = refused(call(run.folder, "-o", tmp_path / "a.onnx"), 2)
    assert line.endswith("a.json exists, the path of the card of a.onnx; --force overwrites it")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert call(run.folder, "-o", tmp_path / "a.onnx", "--force").exit_code == 0


def test_an_existing_file_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"mine")
    assert refused(call(run.folder, "-o", path), 2).endswith("mine.onnx exists; --force overwrites it")
    assert path.read_bytes() == b"mine"
    assert call(run.folder, "-o", path, "--name", "other", "--force").exit_code == 0
    assert ModelCard.read(path.with_suffix(".json")).name == "other"


@pytest.mark.parametrize(
    ("make", "code", "part"),
    [
        (lambda folder: [folder / "gone.safetensors", "-o", folder / "a.onnx"], 1, "no such checkpoint"),
        (lambda folder: [folder, "-o", folder / "a.onnx"], 1, "best.safetensors: no such checkpoint"),
        (lambda folder: [folder / "bad", "-o", folder / "a.onnx"], 1, "damaged, or not a checkpoint"),
        (lambda folder: [folder / "bad", "-o", folder / "a.pt"], 2, "a model file ends in .onnx"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, make: Callable[[Path], list[object]], code: int, part: str
) -> None:
    (tmp_path / "bad").write_bytes(b"not a checkpoint" * 20)
    assert part in refused(call(*make(tmp_path)), code)
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_a_recording_that_cannot_be_read_stops_the_export(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    refused(call(run.folder, "-o", tmp_path / "a.onnx", "--check", tmp_path / "bad.wav"), 1)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.wav"]


def test_the_exported_model_denoises(each_run: Run, exported: Path) -> None:
    from unhiss.infer.denoiser import Denoiser

    audio = np.random.default_rng(0).standard_normal(9000).astype(np.float32) * 0.1
    assert Denoiser(str(exported))(audio, 22050).shape == audio.shape


def test_a_card_of_unknown_data_allows_no_commercial_use(run: Run, tmp_path: Path) -> None:
    tensors, metadata = checkpoint.load(run.folder / "best.safetensors")
    checkpoint.save(tmp_path / "a.safetensors", tensors, {**metadata, "data": {}})
    card, _ = export.export(tmp_path / "a.safetensors", tmp_path / "a.onnx", name="a", licence="MIT", summary="")
    assert not card.commercial_use and card.data == ""


@pytest.mark.parametrize(("free", "licence"), [(True, "MIT"), (False, "non-commercial, as its data")])
def test_without_a_licence_given_the_data_decides(run: Run, tmp_path: Path, free: bool, licence: str) -> None:
    tensors, metadata = checkpoint.load(run.folder / "best.safetensors")
    data = {"licences": {"a: CC0": {"hours": 1.0, "commercial_use": True}, "b": {"hours": 1.0, "commercial_use": free}}}
    checkpoint.save(tmp_path / "a.safetensors", tensors, {**metadata, "data": data})
    assert call(tmp_path / "a.safetensors", "-o", tmp_path / "a.onnx").exit_code == 0
    card = ModelCard.read(tmp_path / "a.json")
    assert (card.commercial_use, card.licence) == (free, licence)
    assert session(tmp_path / "a.onnx").get_modelmeta().custom_metadata_map["unhiss.licence"] == licence


def test_a_checkpoint_without_frames_of_its_own_is_exported_too(run: Run, tmp_path: Path) -> None:
    tensors, metadata = checkpoint.load(run.folder / "best.safetensors")
    del tensors["probe.frames"]
    checkpoint.save(tmp_path / "a.safetensors", tensors, metadata)
    _, worst = export.export(tmp_path / "a.safetensors", tmp_path / "a.onnx", name="a", licence="MIT", summary="")
    assert worst < export.TOLERANCE
    with pytest.raises(ModelError, match="no such checkpoint"):
        export.export(tmp_path / "b.safetensors", tmp_path / "b.onnx", name="b", licence="MIT", summary="")


def test_trainable_weights_are_those_exported_rounded_to_half(run: Run, tmp_path: Path) -> None:
    assert call(run.folder, "-o", tmp_path / "m.onnx", "--trainable").exit_code == 0
    weights = find_checkpoint(tmp_path / "m.safetensors")
    assert weights.stat().st_size < 0.55 * (tmp_path / "m.onnx").stat().st_size
    half, full = (checkpoint.load_model(path)[0].state_dict() for path in (weights, find_checkpoint(run.folder)))
    for name, tensor in full.items():
        assert torch.allclose(half[name], tensor, rtol=2**-10, atol=2**-24), name
    for name in ("m.onnx", "m.json"):
        (tmp_path / name).unlink()
    assert "m.safetensors exists; --force" in refused(call(run.folder, "-o", tmp_path / "m.onnx", "--trainable"), 2)
