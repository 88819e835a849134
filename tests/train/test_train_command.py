"""`unhiss train`: its output, kill -9 and Ctrl-C, and every refusal in one line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from unhiss.cli import heartbeat
from unhiss.cli.train import command
from unhiss.data.store import Store
from unhiss.errors import UnhissError
from unhiss.train import checkpoint

ROOT = Path(__file__).parent.parent.parent
RCED = str(ROOT / "configs" / "rced.toml")
SMALL = (
    "train.examples=12", "train.valid_examples=2", "train.batch_size=2", "train.epochs=2", "train.save_every_steps=1",
    "train.warmup_steps=0", "train.samples_every_epochs=0",
)  # fmt: skip
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}

Train = Callable[..., Result]


@pytest.fixture
def train(store: Store) -> Train:
    def call(*words: object, config: str = RCED) -> Result:
        return CliRunner().invoke(command, [config, "--data", str(store.folder), *SMALL, *map(str, words)])

    return call


def refused(result: Result, code: int) -> str:
    assert isinstance(result.exception, UnhissError), result.output
    assert result.exception.exit_code == code
    assert "\n" not in str(result.exception)
    return str(result.exception)


def process(store: Store, folder: Path, more: tuple[str, ...] = (), before: str = "") -> subprocess.Popen[str]:
    call = f"import torch; torch.set_num_threads(1); {before}from unhiss.cli import main; main()"
    line = [sys.executable, "-c", call, "train", RCED, "--data", str(store.folder), "-o", str(folder), *SMALL, *more]
    return subprocess.Popen(line, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (folder / "last.safetensors").exists() and checkpoint.load_metadata(folder / "last.safetensors")[
            "step"
        ] >= step:
            return
        time.sleep(0.02)
    pytest.fail(f"no step {step} within a minute")


def test_a_run_leaves_metrics_curves_samples_a_page_and_two_checkpoints(train: Train, tmp_path: Path) -> None:
    result = train("-o", tmp_path / "new" / "run", "train.samples_every_epochs=1")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new" / "run").iterdir()) == [
        "best.safetensors", "curves.png", "index.html", "last.safetensors", "metrics.jsonl", "samples",
    ]  # fmt: skip
    assert "32,765 parameters on cpu" in result.stderr and "12 steps, from step 0" in result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert lines[2].startswith("best: ") and lines[3].startswith("page: ")


def test_killed_with_signal_9_and_resumed_it_ends_as_the_unbroken_run(
    train: Train, store: Store, tmp_path: Path
) -> None:
    killed = process(store, tmp_path / "broken")
    wait_for_step(tmp_path / "broken", 3)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    killed.communicate()
    step = checkpoint.load_metadata(tmp_path / "broken" / "last.safetensors")["step"]
    assert step < 12, "the run was over before it could be killed"
    resumed = train("-o", tmp_path / "broken", "--resume")
    assert resumed.exit_code == 0 and f"from step {step}" in resumed.output
    assert train("-o", tmp_path / "whole").exit_code == 0
    whole, broken = (checkpoint.load(tmp_path / name / "last.safetensors")[0] for name in ("whole", "broken"))
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    rows = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.soak)]
)
def test_ctrl_c_and_sigterm_save_the_step_they_stop_at(store: Store, tmp_path: Path, number: int, code: int) -> None:
    run = process(store, tmp_path / "run", more=("train.save_every_steps=1000", "train.epochs=500"))
    wait_for_step(tmp_path / "run", 6)  # saved once validated
    run.send_signal(number)
    _, errors = run.communicate()
    assert run.returncode == code, errors
    assert "Traceback" not in errors
    step = checkpoint.load_metadata(tmp_path / "run" / "last.safetensors")["step"]
    assert f"stopped at step {step:,}, which is saved; --resume goes on from there\n" in errors
    page = (tmp_path / "run" / "index.html").read_text(encoding="utf-8")
    assert f"stopped at step {step:,}</b>" in page and "to go" not in page and "<title>rced: stopped" in page


def test_a_second_ctrl_c_ends_a_run_in_the_middle_of_a_step(store: Store, tmp_path: Path) -> None:
    endless = "from unhiss.train.loop import Run; import time; Run.finish_step = lambda *_: time.sleep(600); "
    run = process(store, tmp_path / "run", before=endless)
    wait_for_step(tmp_path / "run", 0)
    assert run.stderr is not None
    run.send_signal(signal.SIGINT)
    while "Ctrl-C again: at once" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "--resume goes on from step 0" in errors and errors.endswith("unhiss: interrupted\n")


class FakeClock:
    """Passes without waiting, up to `end` seconds."""

    def __init__(self, end: float) -> None:
        self.now, self.end = 0.0, end

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now > self.end


def test_without_a_terminal_a_line_comes_at_least_every_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock(3600)
    times: list[float] = []

    def line() -> str:
        times.append(clock.now)
        return f"at {clock.now:g} s"

    heartbeat._beat(clock.wait, line)
    gaps = np.diff([0.0, *times, clock.end])
    assert gaps.max() <= 60 and gaps.min() > 5
    assert capsys.readouterr().err.splitlines() == [f"at {time:g} s" for time in times]


def test_the_line_says_how_far_the_run_is_while_a_step_takes_long(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.01)

    def validate(run: object) -> dict[str, float]:
        time.sleep(0.2)
        return {"valid_loss": 0.5, "valid_snr_db": 1.0, "valid_noisy_snr_db": 0.0}

    monkeypatch.setattr("unhiss.train.loop.Run.validate", validate)
    result = train("-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("step ")]
    assert any(re.fullmatch(r"step 6 of 12, epoch 2/2  loss \d\.\d{4}  [\d,]+ examples/s", line) for line in lines), (
        lines
    )


def test_a_folder_with_a_run_is_not_overwritten(train: Train, tmp_path: Path) -> None:
    assert train("-o", tmp_path).exit_code == 0
    before = (tmp_path / "last.safetensors").read_bytes()
    assert "holds a run already; --resume goes on with it, or choose another -o" in refused(train("-o", tmp_path), 2)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_init_starts_from_the_weights_of_another_run(train: Train, tmp_path: Path) -> None:
    assert train("-o", tmp_path / "a").exit_code == 0
    best = tmp_path / "a" / "best.safetensors"
    result = train("-o", tmp_path / "b", "--init", best, "train.epochs=1", "train.lr=1e-12")
    assert result.exit_code == 0, result.output
    old, new = (checkpoint.load_model(tmp_path / name / "best.safetensors")[0] for name in ("a", "b"))
    assert torch.allclose(old.net.last.weight, new.net.last.weight, atol=1e-6)  # type: ignore[union-attr,arg-type]
    assert "leave --init out" in refused(train("-o", tmp_path / "b", "--init", best, "--resume"), 2)
    unet = str(ROOT / "configs" / "unet.toml")
    assert "another model (rced, not unet)" in refused(train("-o", tmp_path / "c", "--init", best, config=unet), 1)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("train.epoch=5",), 2, "no setting train.epoch; did you mean 'epochs'?"),
        (("train.epochs=many",), 2, "train.epochs = 'many'; expected int, such as 60"),
        (("frames.sample_rate=48000",), 1, "is at 22050 Hz, rced wants 48000 Hz; prepare it with --sample-rate 48000"),
        (("--resume",), 1, "holds no run to resume; leave --resume out to start one"),
        (("--init", "gone.safetensors"), 1, "gone.safetensors: no such checkpoint"),
        (("--device", "cuda:99"), 2, "no device 'cuda:99' here"),
        (("--data", "gone"), 1, "unhiss prepare"),
    ],
)
def test_wrong_options_are_refused_and_leave_no_folder(
    train: Train, tmp_path: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    assert part in refused(train("-o", tmp_path / "run", *words), code)
    assert not (tmp_path / "run").exists()


def test_an_output_that_is_a_file_is_refused(train: Train, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert refused(train("-o", tmp_path / "run"), 2).endswith("run is a file; choose a folder for the run")


def test_an_unfinished_data_set_is_refused(train: Train, tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "plan.json").write_text("{}")
    line = refused(train("-o", tmp_path / "run", "--data", tmp_path / "dataset"), 1)
    assert "is unfinished; run the same unhiss prepare again" in line


def test_a_missing_config_is_refused(train: Train, tmp_path: Path) -> None:
    line = refused(train("-o", tmp_path / "run", config="configs/unte.toml"), 2)
    assert line == "configs/unte.toml: no such file; the shipped ones are in configs/"


@pytest.mark.parametrize("words", [["train", RCED, "--data", "x", "-o", "y"], ["export", "x", "-o", "y.onnx"]])
def test_without_the_extra_the_pip_line_that_helps_is_named(words: list[str]) -> None:
    call = "import sys; sys.modules['torch'] = None; from unhiss.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", call, *words], env=ENVIRONMENT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "unhiss: this needs torch, which is not installed; run: pip install 'unhiss[train]'\n"
