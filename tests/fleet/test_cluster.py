"""On Ray: the bytes of one process, whatever is killed meanwhile. Few tests, since Ray starts slowly."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

import unhiss

pytest.importorskip("ray", reason="pip install 'unhiss[ray]'")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found under /proc")

SOURCE = Path(unhiss.__file__).parent.parent
PATIENCE_S = 240.0
WORKER = b"ray::_run_chunk"  # how Ray names a process that is running a chunk


def start(folder: Path, *words: str) -> subprocess.Popen:
    quiet = {"RAY_memory_monitor_refresh_ms": "0", "OMP_NUM_THREADS": "1"}  # other work fills this machine's memory
    return subprocess.Popen(
        [sys.executable, "-m", "unhiss", *words], cwd=folder, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(SOURCE)} | quiet,
    )  # fmt: skip


def end(process: subprocess.Popen, code: int = 0) -> str:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    return out


def hashes(folder: Path) -> dict[str, str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def workers(folder: Path) -> list[int]:
    """Processes at work for the Ray that a command in this folder has started."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if WORKER in (entry / "cmdline").read_bytes() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
    return found


def wait_for_outputs(folder: Path, count: int, process: subprocess.Popen) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while len(list(folder.glob("*.wav"))) < count:
        assert process.poll() is None and time.monotonic() < end_s, process.communicate()
        time.sleep(0.01)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """folder/in: 16 recordings; folder/alone: what one process makes of them."""
    folder = tmp_path_factory.mktemp("ray")
    (folder / "in").mkdir()
    rng = np.random.default_rng(2)
    for number in range(16):
        sf.write(folder / "in" / f"{number:02}.wav", rng.uniform(-0.3, 0.3, 16000 + 999 * number), 16000)
    end(start(folder, "denoise", "in", "-o", "alone"))
    return folder


@pytest.fixture
def fresh(recordings: Path, tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "in").symlink_to(recordings / "in")
    yield tmp_path


RAY = ("denoise", "in", "-o", "out", "--ray", "local", "-j", "2", "--json")


def test_a_killed_worker_and_a_killed_command_lose_nothing(fresh: Path, recordings: Path) -> None:
    """A run on Ray loses a worker, then is killed; the repeated command ends with every report and byte."""
    first = start(fresh, *RAY)
    wait_for_outputs(fresh / "out", 2, first)
    os.kill(workers(fresh)[0], signal.SIGKILL)
    wait_for_outputs(fresh / "out", 8, first)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    before = {path: path.stat().st_mtime_ns for path in (fresh / "out").glob("*.wav")}
    finished = len((fresh / "out" / ".unhiss-ledger.jsonl").read_text().splitlines()) - 1
    again = [json.loads(line) for line in end(start(fresh, *RAY)).splitlines()]
    assert [Path(line["source"]).name for line in again] == [f"{number:02}.wav" for number in range(16)]
    assert hashes(fresh / "out") == hashes(recordings / "alone"), "no byte differs, and no other file is left"
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in before.items()) >= finished >= 1, (
        "finished files are not written again"
    )


@pytest.mark.soak
def test_prepare_and_evaluate_on_ray_are_as_in_one_process(tmp_path: Path, recordings: Path) -> None:
    (tmp_path / "pairs").mkdir()
    for side in ("clean", "noisy"):
        (tmp_path / "pairs" / side).symlink_to(recordings / ("alone" if side == "clean" else "in"))
    for path in (recordings / "in").iterdir():
        speaker = tmp_path / "voices" / path.stem[-1]
        speaker.mkdir(parents=True, exist_ok=True)
        (speaker / path.name).hardlink_to(path)
    for name, where in (("one", ["-j", "1"]), ("ray", ["--ray", "local", "-j", "2"])):
        data = [
            "--speech",
            "folder:voices",
            "--valid-share",
            "0.3",
            "--noise",
            "synth:thuds=40",
            "--keep-silence",
            "-o",
            f"{name}/set",
        ]
        made = ["--pairs", "120", "--wav", f"{name}/pairs", "--spectrograms", f"{name}/frames", "--split", "300/40"]
        end(start(tmp_path, "prepare", *data, *made, *where))
        metrics = ["--metrics", "si_sdr_db,snr_gain_db", "-o", f"{name}-report", "--force"]
        end(start(tmp_path, "evaluate", "--model", "small", "--pairs", "pairs", *metrics, *where))
    assert hashes(tmp_path / "one") == hashes(tmp_path / "ray")
    one, ray = (rows(tmp_path / f"{name}-report" / "scores.csv") for name in ("one", "ray"))
    assert sum(row["system"] == "small" for row in one) == len(list((recordings / "in").iterdir()))
    assert one == ray


def rows(path: Path) -> list[dict[str, str]]:
    """All but what a row's sound cost, which is measured."""
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "cost_us"} for row in csv.DictReader(file)]


CLUSTER = """
import os, random, sys, threading, time
from ray.cluster_utils import Cluster

seed, folder, address_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
rng = random.Random(seed)
memory = dict(object_store_memory=80 << 20, include_dashboard=False)
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, **memory))
nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
with open(address_file + ".part", "w") as file:
    file.write(cluster.address)
os.rename(address_file + ".part", address_file)
while not [name for name in (os.listdir(folder) if os.path.isdir(folder) else []) if name.endswith(".wav")]:
    time.sleep(0.01)
time.sleep(rng.uniform(0, 3))
cluster.remove_node(rng.choice(nodes), allow_graceful=False)
cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
sys.stdin.read()  # until the test has seen enough
cluster.shutdown()
"""


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_a_node_killed_at_a_random_moment_loses_no_file(seed: int, fresh: Path, recordings: Path) -> None:
    address, words = fresh / "address", [sys.executable, "-c", CLUSTER, str(seed), str(fresh / "out")]
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "RAY_memory_monitor_refresh_ms": "0", "OMP_NUM_THREADS": "1",
                                "RAY_USAGE_STATS_ENABLED": "0"}  # fmt: skip
    cluster = subprocess.Popen(
        [*words, str(address)], stdin=subprocess.PIPE, env=environment, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end_s = time.monotonic() + PATIENCE_S
        while not address.exists():
            assert cluster.poll() is None and time.monotonic() < end_s, "no cluster"
            time.sleep(0.1)
        printed = end(start(fresh, "denoise", "in", "-o", "out", "--ray", address.read_text(), "--json"))
        cluster.communicate("", timeout=PATIENCE_S)
    finally:
        if cluster.poll() is None:
            os.killpg(cluster.pid, signal.SIGKILL)
            cluster.communicate()
    assert [Path(json.loads(line)["source"]).name for line in printed.splitlines()] == sorted(
        path.name for path in (fresh / "in").iterdir()
    )
    assert hashes(fresh / "out") == hashes(recordings / "alone")
