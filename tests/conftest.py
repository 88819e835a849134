"""Fixtures every test may use."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import causal_graphs
import numpy as np
import pytest
from chromium import Chromium
from missing_tools import skip_or_fail

ROOT = Path(__file__).parent.parent
CORPORA = Path(os.environ["UNHISS_DATA"]) if os.environ.get("UNHISS_DATA") else None


# A shell that starts `make test &` lets it ignore Ctrl-C, and all that it starts; but tests send this signal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests on large real corpora `corpus`."""
    for item in items:
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.corpus)
            if CORPORA is None:
                item.add_marker(pytest.mark.skip(reason="UNHISS_DATA names no folder with real corpora"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real corpora that UNHISS_DATA names. A test that takes it is marked `corpus`."""
    assert CORPORA is not None
    if not (CORPORA / "manifest.csv").is_file():
        pytest.fail(f"UNHISS_DATA = {CORPORA}, which has no manifest.csv; name the folder of recordings, or unset it")
    return CORPORA


@pytest.fixture(scope="session")
def recordings() -> Path:
    """A few free recordings in the layout of their corpora; see recordings/README.md."""
    return ROOT / "tests" / "recordings"


@pytest.fixture(scope="session")
def real_pairs(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four noisy/clean pairs of real recordings, 48 kHz, 5 dB: `clean/ID.wav`, `noisy/ID.wav`, manifest."""
    from unhiss.dsp.levels import active_level_dbfs, rms_dbfs
    from unhiss.dsp.resampling import resample
    from unhiss.media.source import read
    from unhiss.media.writer import write

    folder = tmp_path_factory.mktemp("real") / "pairs"
    clips = sorted((recordings / "cv-corpus-6.1-2020-12-11" / "en" / "clips").glob("*.mp3"))
    lines = ["id,speaker,language,noise_kind,snr_db"]
    for number, noise_path in enumerate(sorted((recordings / "noise").glob("*/*.ogg"))[::2]):
        clean, noise = (resample(*read(path), 48_000) for path in (clips[number], noise_path))
        clean = 0.5 * clean / np.abs(clean).max()
        noise = np.resize(noise, clean.shape)
        gain = 10 ** ((active_level_dbfs(clean, 48_000) - 5 - rms_dbfs(noise)) / 20)
        for side, audio in (("clean", clean), ("noisy", clean + np.float32(gain) * noise)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            write(folder / side / f"{number:03}.wav", audio, 48_000, subtype="FLOAT")
        lines.append(f"{number:03},{clips[number].stem},en,{noise_path.parent.name},5")
    (folder / "manifest.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def frame_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes ONNX frame models as the contract has them, whose answer is known: slope * frames + offset.

    `frame_model()` gives frames back unchanged; `frame_model(offset=-0.1)` takes 8 dB out everywhere.
    """
    folder = tmp_path_factory.mktemp("models")

    def make(
        slope: float = 1.0, offset: float = 0.0, *, rate: int = 22050, scaling: str = "file", **metadata: str
    ) -> Path:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        path = folder / f"{slope}_{offset}_{rate}_{scaling}_{len(list(folder.iterdir()))}.onnx"
        faces = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 1, 128, 128]) for name in ("frames", "cleaned")
        ]
        graph = helper.make_graph(
            [helper.make_node("Mul", ["frames", "a"], ["y"]), helper.make_node("Add", ["y", "b"], ["cleaned"])],
            "line", faces[:1], faces[1:],
            [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in (("a", slope), ("b", offset))],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        config = json.dumps({"frames": {"sample_rate": rate, "scaling": scaling}})
        facts = {"unhiss.format": "1", "unhiss.model": "line", "unhiss.config": config}
        helper.set_model_props(model, facts | {key.replace("_", "."): value for key, value in metadata.items()})
        onnx.save(model, str(path))
        return path

    return make


@pytest.fixture(scope="session")
def causal_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes ONNX causal models as the contract has them, whose answer is known: see causal_graphs.GRAPHS.

    `causal_model()` gives spectra back unchanged; `causal_model("gain", 0.5)` halves them.
    """
    folder = tmp_path_factory.mktemp("causal")

    def make(kind: str = "identity", gain: float = 1.0, *, stft: dict | None = None, size: int | str = 1) -> Path:
        path = folder / f"{kind}_{len(list(folder.iterdir()))}.onnx"
        causal_graphs.write(path, kind, gain, stft or causal_graphs.STFT, size)
        return path

    return make


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser for pages that are files; tests/web/ has one with a microphone."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        skip_or_fail("no chromium to render the page; apt-get install chromium")
    with Chromium(program, tmp_path_factory.mktemp("browser")) as chromium:
        yield chromium
