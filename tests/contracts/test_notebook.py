"""The notebook runs from top to bottom and shows its outputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "examples" / "train.ipynb"
LONG, SHORT = "examples=64 train.valid_examples=16", "examples=8 train.valid_examples=4"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`unhiss` on the PATH whether or not it is installed, one thread, and the notebook's own audio."""
    script = tmp_path / "bin" / "unhiss"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m unhiss "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("UNHISS_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # otherwise jupyter warns of folders that will move
    for name in ("UNHISS_SPEECH", "UNHISS_NOISE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("environment")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # jupyter's sockets
@pytest.mark.parametrize("length", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)])
def test_the_notebook_prepares_trains_and_plays(length: str, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    training = next(cell for cell in notebook.cells if LONG in cell.source)
    training.source = training.source.replace(LONG, length)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    kinds = [kind for output in outputs for kind in output.get("data", {})]
    assert "Traceback" not in text, text
    assert "ready: " in text and "epoch 4/4" in text and "onnxruntime equals torch within" in text
    assert kinds.count("image/png") == 3, "frames, curves, before and after"
    assert sum("audio" in output.get("data", {}).get("text/html", "") for output in outputs) == 2
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [
        "dataset", "mine.json", "mine.onnx", "run", "voices",
    ]  # fmt: skip


def test_the_notebook_is_kept_without_outputs() -> None:
    import nbformat

    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
