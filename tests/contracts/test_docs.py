"""The code in README and docs/ runs: every block of Python, and the commands of the pages for beginners."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import unhiss

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Their code needs a server or an exported model: tests/serve/test_serving_docs.py, tests/contracts/test_embedding.py.
TESTED_ELSEWHERE = {"serving.md", "embedding.md"}
PYTHON = [
    page for page in PAGES if page.name not in TESTED_ELSEWHERE and "```python\n" in page.read_text(encoding="utf-8")
]
# Training in seconds: the last override of a setting counts. Pairs: as few as a mean needs.
SHORT = {
    "train": (
        "train.epochs=1",
        "train.examples=4",
        "train.valid_examples=2",
        "train.batch_size=2",
        "train.warmup_steps=0",
    ),
}
FEWER = {"100": "2", "synth:wind,siren,hum,thuds": "synth:wind=4,siren=4,hum=4,thuds=4"}  # pairs, clips of noise
# Files that the pages name -> seconds.
RATE = 16000
FILES = {"noisy.wav": 1.5, "noisy.flac": 1.5, "long.flac": 1.5, "recordings/a.wav": 0.5, "recordings/b/c.mp3": 0.5}
# Lines of denoising.md that need more than the clone, with the reason.
LEFT_OUT = {"talk.mp4": "a video", "| unhiss": "a shell"}


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Each command line with unhiss in the bash blocks of the page, with continued lines joined."""
    for block in blocks(page, "bash"):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if "unhiss" in line)


@pytest.fixture(scope="module")
def page_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that the pages name."""
    root, rng = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    for name, seconds in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        unhiss.write(root / name, voice(seconds, 150) + 0.05 * noise(rng, seconds), RATE)
    for speaker in range(4):
        for folder in ("voices", "others"):
            (root / folder / f"{speaker}").mkdir(parents=True)
            unhiss.write(root / folder / f"{speaker}" / "1.wav", voice(1.2, 110 + 20 * speaker), RATE)
        (root / "other-noise" / f"kind{speaker}").mkdir(parents=True)
        unhiss.write(root / "other-noise" / f"kind{speaker}" / "1.wav", 0.1 * noise(rng, 1.2), RATE)
    shutil.copytree(ROOT / "configs", root / "configs")
    (root / "examples").mkdir()
    shutil.copy(root / "noisy.wav", root / "examples")
    return root


@pytest.fixture
def workdir(page_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, as the current folder; commands run in this process, as on a machine with one core."""
    monkeypatch.setattr("unhiss.fleet.processes.cpu_count", lambda: 1)
    shutil.copytree(page_files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voice(seconds: float, hz: float) -> np.ndarray:
    """Harmonics with a varying level: similar enough to speech for PESQ to find an utterance."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 20))
    return (0.1 * tone * (0.5 + 0.5 * np.sin(6 * np.pi * t))).astype(np.float32)


def noise(rng: np.random.Generator, seconds: float) -> np.ndarray:
    return rng.standard_normal(int(seconds * RATE)).astype(np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run(line: str) -> None:
    from unhiss.cli import unhiss as program

    words = [FEWER.get(word, word) for word in shlex.split(line, comments=True)]
    assert words[0] == "unhiss", line
    with one_thread():
        done = CliRunner().invoke(program, [*words[1:], *SHORT.get(words[1], ())])
    assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_runs(page: Path) -> None:
    for snippet in blocks(page, "python"):
        exec(compile(snippet, page.name, "exec"), {})


def test_the_first_lines_of_the_readme_take_noise_out(workdir: Path) -> None:
    shutil.copy(ROOT / "examples" / "noisy.wav", workdir / "examples")
    exec(compile(blocks(ROOT / "README.md", "python")[0], "README.md", "exec"), {})
    noisy, rate = unhiss.read("examples/noisy.wav")
    clean, clean_rate = unhiss.read("clean.wav")
    assert (clean.shape, clean_rate) == (noisy.shape, rate)
    assert 0 < np.square(clean).mean() < np.square(noisy).mean()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the metrics' packages, on signals that are not speech
def test_the_commands_of_the_quick_start_run(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unhiss.train.loop.keep_memory", lambda: None)
    lines = list(commands(ROOT / "docs" / "quickstart.md"))
    assert [shlex.split(line)[1] for line in lines] == [
        "denoise", "denoise", "models", "denoise", "prepare", "train", "runs", "export", "denoise", "prepare",
        "evaluate",
    ]  # fmt: skip
    for line in lines:
        run(line)
    for name in (
        "clean.wav",
        "before-after.png",
        "runs/first/index.html",
        "runs/index.html",
        "mine.wav",
        "scores/scores.json",
    ):
        assert (workdir / name).stat().st_size > 0


@pytest.mark.usefixtures("workdir")
def test_the_commands_on_prepared_sets_run() -> None:
    for name, kind in (("dataset", "wind"), ("january", "rain"), ("february", "hum")):
        run(f"unhiss prepare --noise synth:{kind}=4 -o {name} -j 1")
    lines = [
        line for line in commands(ROOT / "docs" / "scaling.md") if line.startswith("unhiss data") and "://" not in line
    ]
    assert [shlex.split(line)[2] for line in lines] == ["verify", "merge", "export", "import"]
    for line in lines:
        run(line)


@pytest.mark.usefixtures("workdir")
def test_the_commands_of_denoising_run() -> None:
    lines = list(commands(ROOT / "docs" / "denoising.md"))
    left_out = [line for line in lines if any(part in line for part in LEFT_OUT)]
    assert len(left_out) == len(LEFT_OUT), "LEFT_OUT names a line that is not on the page any more"
    for line in lines:
        if line not in left_out:
            run(line)


def test_the_commands_of_the_live_page_are_ones_unhiss_knows() -> None:
    from unhiss.cli.live import command

    lines = [shlex.split(line, comments=True) for line in commands(ROOT / "docs" / "live.md")]
    lines = [words for words in lines if words[0] == "unhiss"]  # devices are needed to run them
    assert len(lines) == 4
    for words in lines:
        assert words[1] == "live"
        assert any(command.make_context("live", words[2:]).params.values())


def test_the_live_page_has_every_option() -> None:
    from unhiss.cli.live import command

    page = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
    assert not [
        option
        for param in command.params
        for option in param.opts[:1]
        if f"`{option}" not in page and option not in page
    ]
