"""`unhiss prepare`, killed at any moment and repeated, ends with the files of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from sounds import hashes, speech_folder

import unhiss

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")

PATIENCE_S = 120.0  # only a run that hangs takes so long
COMMAND = (
    "prepare --speech folder:speech --noise synth:thuds=70 --keep-silence --valid-share 0.2 -j 2 "
    "-o out/set --pairs 40 --wav out/pairs --spectrograms out/frames --split 300/270"
)


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen]:
    """The command at work in a process group of its own; all of it is gone afterwards."""
    words = [sys.executable, "-m", "unhiss", *COMMAND.split()]
    process = subprocess.Popen(
        words, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(unhiss.__file__).parent.parent)},
    )  # fmt: skip
    try:
        yield process
    finally:
        kill_group(process)
        if process.stderr:
            process.stderr.close()


def kill_group(process: subprocess.Popen) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(folder: Path) -> dict[str, str]:
    """Run the command to its end; hashes of all it wrote."""
    with running(folder) as process:
        errors = process.communicate(timeout=PATIENCE_S)[1]
        assert process.returncode == 0, errors
    return hashes(folder / "out")


def kill_when(folder: Path, reached: Callable[[], bool]) -> None:
    with running(folder) as process:
        wait_for(lambda: reached() or process.poll() is not None)
        assert process.poll() is None, f"ended before it could be killed: {process.stderr and process.stderr.read()}"
        kill_group(process)


def gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.001)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    speech_folder(folder / "speech", speakers=5, each=3)
    return folder, finish(folder)


@pytest.fixture
def fresh(tmp_path: Path, undisturbed: tuple[Path, dict[str, str]]) -> Path:
    (tmp_path / "speech").symlink_to(undisturbed[0] / "speech")
    return tmp_path


def exists(folder: Path, pattern: str, count: int = 1) -> Callable[[], bool]:
    return lambda: len(list(folder.glob(pattern))) >= count


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(fresh: Path, undisturbed) -> None:
    out, ledger = fresh / "out", fresh / "out" / "frames" / ".unhiss-ledger.jsonl"
    for pattern in ("set/shards/.*.part", "set/shards/*.json", "pairs/clean/*.wav"):
        kill_when(fresh, exists(out, pattern))
    kill_when(fresh, lambda: ledger.is_file() and ledger.read_text().count("\n") >= 2)  # a chunk of frames is done
    assert finish(fresh) == undisturbed[1]
    assert finish(fresh) == undisturbed[1], "a repeated run over a finished set changes nothing"


def test_workers_end_with_their_parent_and_the_next_run_need_not_wait(fresh: Path, undisturbed) -> None:
    with running(fresh) as process:
        wait_for(exists(fresh, "out/set/shards/.*.part", 2))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert finish(fresh) == undisturbed[1]
        wait_for(lambda: gone(process.pid))  # the system may take a moment to clear away what has ended


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_works(fresh: Path, undisturbed) -> None:
    with running(fresh) as first:
        wait_for(exists(fresh, "out/set/shards/.*.part"))
        with running(fresh) as second:
            errors = second.communicate(timeout=PATIENCE_S)[1]
        assert second.returncode == 1
        assert "another run is writing the data set out/set" in errors
        assert "Traceback" not in errors
        assert first.wait(PATIENCE_S) == 0
    assert hashes(fresh / "out") == undisturbed[1]


@pytest.mark.soak
def test_a_run_killed_at_fifty_random_moments_ends_with_the_same_bytes(tmp_path: Path, undisturbed) -> None:
    rng = np.random.default_rng(1)
    start = time.monotonic()
    assert finish(undisturbed[0]) == undisturbed[1]
    for number in range(50):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "speech").symlink_to(undisturbed[0] / "speech")
        for _ in range(rng.integers(1, 4)):
            with running(folder) as process:
                time.sleep(rng.uniform(0.2, 5.0))
                if rng.random() < 0.5:
                    kill_group(process)
                else:
                    process.kill()  # its workers are orphans for a moment
                    process.wait()
        assert finish(folder) == undisturbed[1], f"run {number}, {time.monotonic() - start:.0f} s after the start"
