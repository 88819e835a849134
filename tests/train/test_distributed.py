"""Training in several processes: the same curves as in one, and continued after one of them died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_sets import ROOT, TINY_CAUSAL, train_to_end

from unhiss.config import Experiment, load
from unhiss.data.store import Store
from unhiss.errors import ConfigError
from unhiss.train.curves import read_metrics
from unhiss.train.distributed import SINGLE_PROCESS, ProcessGroup, join_group
from unhiss.train.frame_batches import FrameBatches
from unhiss.train.loop import Run
from unhiss.train.samples import stored_steps

CPU = torch.device("cpu")
LINUX = sys.platform == "linux"
TWO = ("train.micro_batches=2", "train.batch_size=4", "train.examples=12", "train.valid_examples=7")
SMALL = (
    *TINY_CAUSAL, "train.epochs=3", "train.warmup_steps=0", "train.save_every_steps=1", "train.precision=fp32",
    "train.samples_every_epochs=0",
)  # fmt: skip


def shares(store: Store, experiment: Experiment, split: str, count: int) -> list[FrameBatches]:
    """The batches of each of `count` processes."""
    return [FrameBatches(store, split, experiment, CPU, ProcessGroup(rank, count)) for rank in range(count)]


@pytest.mark.parametrize("parts", [2, 4])
def test_processes_share_an_epoch_without_loss_or_repetition(store: Store, tiny, parts: int) -> None:
    experiment = tiny("rced", *TWO, f"train.micro_batches={parts}")
    (whole,) = shares(store, experiment, "train", 1)
    steps = list(whole.epoch(1))
    assert [[len(batch) for batch in step] for step in steps] == [[4 // parts] * parts] * 3
    both = [list(one.epoch(1)) for one in shares(store, experiment, "train", 2)]
    for step, parts_of_step in zip(steps, zip(*both, strict=True), strict=True):
        for number, batch in enumerate(step):
            assert torch.equal(batch.frames, parts_of_step[number % 2][number // 2].frames)


def test_an_epoch_has_every_example_once_over_all_processes(store: Store, tiny) -> None:
    """12 examples of 2 processes: none twice, none missing, and the next epoch has others."""
    experiment = tiny("rced", *TWO)
    seen = [
        example.numpy().tobytes()
        for epoch in range(2) for share in shares(store, experiment, "train", 2) for step in share.epoch(epoch)
        for batch in step for example in batch.frames
    ]  # fmt: skip
    assert len(seen) == len(set(seen)) == 2 * experiment.train.examples


class Second(ProcessGroup):
    """The second of two processes, without the first."""

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        return value


def test_only_the_first_process_writes(store: Store, tiny, tmp_path: Path) -> None:
    run = Run(tiny("rced", *TWO), store, tmp_path, CPU, Second(1, 2))
    for name in ("best", "last"):
        run.save(name)
    assert list(tmp_path.iterdir()) == []
    assert run.saved_step == run.step


def test_processes_share_validation(store: Store, tiny) -> None:
    experiment = tiny("rced", *TWO)
    whole = [batch.frames for batch in shares(store, experiment, "valid", 1)[0].validation()]
    both = [[batch.frames for batch in one.validation()] for one in shares(store, experiment, "valid", 2)]
    assert [len(frames) for frames in whole] == [2, 2, 2, 1]
    assert all(map(torch.equal, whole[::2], both[0])) and all(map(torch.equal, whole[1::2], both[1]))


def test_the_curriculum_begins_with_the_upper_half_of_the_snrs(store: Store, tiny) -> None:
    experiment = tiny("rced", "train.curriculum_epochs=2", "mixing.snr_db=[-5, 15]")
    batches = FrameBatches(store, "train", experiment, CPU)
    assert [batches._snr_db(epoch, 0)[0] for epoch in range(4)] == [5, 0, -5, -5]
    assert batches._snr_db(0, 0)[1] == 15
    assert FrameBatches(store, "valid", experiment, CPU)._snr_db(0, 0) == (-5, 15)


def test_without_torchrun_there_is_a_single_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_group(CPU) is SINGLE_PROCESS
    assert SINGLE_PROCESS.mean(torch.tensor(3.0)) == 3


LONG = (*TWO, *SMALL, "train.epochs=4", "train.examples=40", "train.samples_every_epochs=4")


@pytest.fixture(scope="module")
def single(wide: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    folder = tmp_path_factory.mktemp("single")
    train_to_end(Run(load(ROOT / "configs" / "small.toml", LONG), wide, folder, CPU))
    return folder


def launched(store: Store, folder: Path, *options: str) -> subprocess.Popen[str]:
    """The same run under torchrun, in two processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *options]
    words = ["-m", "unhiss", "train", str(ROOT / "configs" / "small.toml"), "--data", str(store.folder), "-o"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *launcher, *words, str(folder), *LONG],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def workers(parent: subprocess.Popen[str]) -> list[int]:
    """The processes that torchrun has started."""
    return [int(number) for number in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def double(wide: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same run of two processes, and what they print. On Linux one is killed after the first epoch."""
    folder = tmp_path_factory.mktemp("double")
    with launched(wide, folder, "--max-restarts=1") as parent:
        while not read_metrics(folder / "metrics.jsonl"):
            assert parent.poll() is None, parent.communicate()[0]
            time.sleep(0.05)
        if LINUX:
            os.kill(workers(parent)[-1], signal.SIGKILL)
        said = parent.communicate()[0]
        assert parent.returncode == 0, said
    return folder, said


def test_two_processes_train_as_one(single: Path, double: tuple[Path, str]) -> None:
    rows = [read_metrics(folder / "metrics.jsonl") for folder in (single, double[0])]
    for one, two in zip(*rows, strict=True):
        assert one["step"] == two["step"]
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    # Batch norm's running statistics forget their start half as fast in two processes.
    assert rows[1][-1]["valid_loss"] == pytest.approx(rows[0][-1]["valid_loss"], rel=0.05)
    assert double[1].count("epoch 4/4") == double[1].count("best:") == 1
    for folder in (single, double[0]):
        assert (folder / "index.html").is_file() and stored_steps(folder) == [rows[0][-1]["step"]]


def test_more_processes_than_micro_batches_are_refused(store: Store, tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"micro_batches = 1 for 2 processes; give train.micro_batches=2, so"):
        Run(tiny("rced"), store, tmp_path, CPU, ProcessGroup(1, 2))


@pytest.mark.skipif(not LINUX, reason="workers are found under /proc")
def test_a_killed_worker_is_replaced_and_training_goes_on_from_the_last_save(double: tuple[Path, str]) -> None:
    folder, said = double
    assert "from step 0" in said and said.count("steps, from step") == 2, said
    assert [row["epoch"] for row in read_metrics(folder / "metrics.jsonl")] == [1, 2, 3, 4]


@pytest.mark.soak
@pytest.mark.skipif(not LINUX, reason="workers are found under /proc")
def test_a_signal_to_one_process_stops_all_at_one_step_which_is_saved(
    single: Path, wide: Store, tmp_path: Path
) -> None:
    """The second process gets the signal, the first one saves, and one process goes on as if nothing had been."""
    with launched(wide, tmp_path) as parent:
        while not read_metrics(tmp_path / "metrics.jsonl"):
            assert parent.poll() is None, parent.communicate()[0]
            time.sleep(0.02)
        os.kill(workers(parent)[-1], signal.SIGINT)
        said = parent.communicate()[0]
    run = Run(load(ROOT / "configs" / "small.toml", LONG), wide, tmp_path, CPU)
    run.resume()
    assert f"stopped at step {run.step}, which is saved" in said, said
    assert 10 <= run.step < 40
    train_to_end(run)
    losses = [[row["loss"] for row in read_metrics(folder / "metrics.jsonl")] for folder in (single, tmp_path)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
