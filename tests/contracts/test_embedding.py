"""docs/embedding.md: its commands and programs run, and give the same as unhiss."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from missing_tools import skip_or_fail
from test_docs import ROOT, blocks, commands, noise, run, voice

import unhiss
from unhiss.dsp.resampling import resample
from unhiss.media.source import read
from unhiss.media.writer import write

PAGE = ROOT / "docs" / "embedding.md"
RATE = 48000
SAME = 1e-5  # the page's figure
WEBASSEMBLY = 1e-4  # it sums in another order, and the differences accumulate in a recurrent network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second at 48 kHz and an exported model, in the files that the page names."""
    folder = tmp_path_factory.mktemp("embedding")
    rng = np.random.default_rng(0)
    speech = voice(1.0, 150) + 0.05 * noise(rng, 1.0)
    audio = resample(speech, 16000, RATE)[:-100]  # not a whole number of hops
    with chdir(folder):
        write("noisy-48k.wav", audio, RATE, "FLOAT")
        run(next(commands(PAGE)))
    return folder


@pytest.fixture
def noisy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    monkeypatch.chdir(folder)
    return read("noisy-48k.wav")[0]


def test_the_python_program_gives_what_denoise_gives(noisy: np.ndarray) -> None:
    (program,) = blocks(PAGE, "python")
    exec(compile(program, PAGE.name, "exec"), {})
    assert np.abs(read("clean-48k.wav")[0] - unhiss.denoise(noisy, RATE)).max() < SAME


def test_the_node_program_gives_what_denoise_gives(noisy: np.ndarray) -> None:
    node, modules = shutil.which("node"), ROOT / "web" / "node_modules"
    if node is None or not (modules / "onnxruntime-web").is_dir():
        skip_or_fail("no node with onnxruntime-web; apt-get install nodejs npm, then make web")
    (program,) = blocks(PAGE, "js")
    Path("embed.mjs").write_text(program, encoding="utf-8")
    Path("node_modules").symlink_to(modules)
    noisy.astype("<f4").tofile("noisy.f32")
    words = [node, "embed.mjs", "small-48k.onnx", "noisy.f32", "clean.f32"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    denoised = np.fromfile("clean.f32", "<f4")
    assert np.abs(denoised - unhiss.denoise(noisy, RATE)).max() < WEBASSEMBLY


def test_the_programs_have_at_most_40_lines() -> None:
    for language in ("python", "js", "csharp"):
        (program,) = blocks(PAGE, language)
        assert len(program.splitlines()) <= 40, language
