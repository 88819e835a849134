"""`unhiss prepare` from one bucket into another, on a faulty server: the set is that of local folders."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from buckets import FAULT_RATES, SOURCE, run
from click.testing import CliRunner

from unhiss.cli import unhiss
from unhiss.data import synth
from unhiss.data.merge import merge_sets
from unhiss.data.prepare import ClipSource, prepare
from unhiss.data.shards import Preprocessing
from unhiss.data.verify import faults
from unhiss.fleet.mapping import Fleet
from unhiss.remote import RemotePath

OPTIONS = ("--noise", "synth:thuds=70", "--valid-share", "0.2", "--sample-rate", "16000")
MORE = ("--noise", "synth:knocks=90")  # for a run that is to be killed before it ends
PATIENCE_S = 120.0


@pytest.fixture
def corpus(tmp_path: Path, bucket: RemotePath) -> Path:
    """Voices and noise here and in the bucket, some of them no use."""
    rng = np.random.default_rng(5)
    root = tmp_path / "corpus"
    for place in (*(f"voices/{who}/{number}.wav" for who in "abcd" for number in range(2)), "noise/rain/a b.flac"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        sf.write(root / place, rng.uniform(-0.3, 0.3, int(rng.integers(20_000, 50_000))), 16000)
    (root / "voices" / "a" / "torn.wav").write_bytes(b"RIFF....")
    sf.write(root / "voices" / "b" / "long.wav", rng.uniform(-0.3, 0.3, 200_000), 16000)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda path: (bucket / "corpus" / path.relative_to(root)).upload(path), root.rglob("*.*")))
    return root


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files of this test lie."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def words(root: Path | RemotePath, output: Path | RemotePath, *more: str) -> list[str]:
    sources = ("--speech", f"folder:{root / 'voices'}", "--noise", f"folder:{root / 'noise'}")
    return ["prepare", *sources, *OPTIONS, "-o", str(output), *more]


def contents(folder: Path | RemotePath, root: Path | RemotePath) -> dict[str, bytes]:
    """Every file below, hidden ones too; where they name their sources, these lie in ROOT."""
    if isinstance(folder, Path):
        found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    else:
        found = {str(place): path.read_bytes() for path, place in folder.files()}
    for name in ("dataset.json", "card.md"):
        found[name] = found[name].replace(f"folder:{root}".encode(), b"folder:ROOT")
    return found


def left_behind(scratch: Path) -> list[str]:
    return sorted(path.name for path in scratch.iterdir() if path.name.startswith((".unhiss", "unhiss")))


def finished_shards(output: RemotePath) -> dict[str, object]:
    """Each shard that is done, and when its .json was written."""
    shards = output / "shards"
    entries = shards._request(lambda fs, path: fs.find(path, detail=True))
    return {name: entry["LastModified"] for name, entry in entries.items() if name.endswith(".json")}


@FAULT_RATES
def test_from_bucket_to_bucket_is_from_folder_to_folder(bucket: RemotePath, corpus: Path, scratch: Path) -> None:
    here = run(*words(corpus, corpus.parent / "set", "-j", "1"))
    there = run(*words(bucket / "corpus", bucket / "set", "-j", "2"))
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    expected = contents(corpus.parent / "set", corpus)
    assert contents(bucket / "set", bucket / "corpus") == expected
    assert there.stdout == here.stdout.replace(str(corpus.parent / "set"), str(bucket / "set"))
    mixed = run(*words(bucket / "corpus", corpus.parent / "mixed", "-j", "2"))
    assert mixed.returncode == 0, mixed.stderr
    assert contents(corpus.parent / "mixed", bucket / "corpus") == expected
    assert left_behind(scratch) == []


def test_a_set_in_a_bucket_is_checked_and_merged_there(bucket: RemotePath, tmp_path: Path) -> None:
    arguments = [ClipSource("synth:hum=70", Path("synth"), list(synth.clips("hum=70")))]
    local = prepare(arguments, tmp_path / "set", Preprocessing(), fleet=Fleet(1)).folder
    there = prepare(arguments, bucket / "set", Preprocessing(), fleet=Fleet(1)).folder
    assert list(faults(there)) == []
    merge_sets([there], bucket / "merged")
    merge_sets([there], tmp_path / "fetched")
    merge_sets([local], tmp_path / "merged")
    merged = contents(tmp_path / "merged", tmp_path)
    assert contents(bucket / "merged", tmp_path) == contents(tmp_path / "fetched", tmp_path) == merged
    broken = there / "shards" / "noise-train-00000.npy"
    broken.write_bytes(broken.read_bytes()[:-2])
    (there / "shards" / "noise-valid-00000.npy")._request(lambda fs, path: fs.rm(path))
    lines = "\n".join(faults(there))
    assert "noise-train-00000.npy: its SHA-256 is" in lines and "noise-valid-00000.npy: missing" in lines


def killed_after(shards: int, output: RemotePath, arguments: list[str]) -> dict[str, object]:
    """Kill a run and all its processes once it has done so many shards; what it has done."""
    process = subprocess.Popen(
        [sys.executable, "-m", "unhiss", *arguments], env=os.environ | {"PYTHONPATH": str(SOURCE)},
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + PATIENCE_S
    while len(finished_shards(output)) < shards:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return finished_shards(output)


@pytest.mark.soak
def test_finished_shards_of_a_killed_run_are_not_made_again(bucket: RemotePath, corpus: Path, scratch: Path) -> None:
    arguments = words(bucket / "corpus", bucket / "set", *MORE, "-j", "2")
    done = killed_after(2, bucket / "set", arguments)
    assert not (bucket / "set" / "dataset.json").exists()
    lacking = run("data", "verify", bucket / "set")
    assert lacking.stderr == f"unhiss: {bucket}/set is unfinished; run the same unhiss prepare again\n"
    other = run(*arguments, "--seed", "1")
    assert "holds a data set of other sources or settings" in other.stderr
    time.sleep(1.1)  # the server tells times to the second
    again = run(*arguments)
    assert again.returncode == 0, again.stderr
    after = finished_shards(bucket / "set")
    assert len(after) > len(done) and {name: after[name] for name in done} == done
    assert left_behind(scratch) == []
    assert run(*words(corpus, corpus.parent / "set", *MORE)).returncode == 0
    assert contents(bucket / "set", bucket / "corpus") == contents(corpus.parent / "set", corpus)


@pytest.mark.soak
def test_on_ray_it_is_the_same_set(
    bucket: RemotePath, corpus: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="pip install 'unhiss[ray]'")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # whose sockets' paths must be short
    assert run(*words(corpus, corpus.parent / "set")).returncode == 0
    done = run(*words(bucket / "corpus", bucket / "set", "--ray", "local", "-j", "2"))
    assert done.returncode == 0, done.stderr
    assert contents(bucket / "set", bucket / "corpus") == contents(corpus.parent / "set", corpus)
    assert left_behind(scratch) == []


@pytest.mark.soak
def test_a_run_killed_at_any_moment_ends_as_an_undisturbed_one(bucket: RemotePath, corpus: Path, scratch: Path) -> None:
    assert run(*words(corpus, corpus.parent / "set")).returncode == 0
    expected = contents(corpus.parent / "set", corpus)
    begun = time.monotonic()
    assert run(*words(bucket / "corpus", bucket / "whole", "-j", "2")).returncode == 0
    whole_s = time.monotonic() - begun
    rng, killed = np.random.default_rng(9), 0
    for turn in range(10):
        output = bucket / f"set{turn}"
        arguments = words(bucket / "corpus", output, "-j", "2")
        for _ in range(2):
            try:
                subprocess.run(
                    [sys.executable, "-m", "unhiss", *arguments], env=os.environ | {"PYTHONPATH": str(SOURCE)},
                    check=False, timeout=rng.uniform(0.2, 0.9) * whole_s, capture_output=True,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                killed += 1
        assert run(*arguments).returncode == 0
        assert contents(output, bucket / "corpus") == expected, turn
    assert killed >= 12, "a second run has less to do, and may end in time"
    assert left_behind(scratch) == []


def test_a_full_disk_is_one_line_and_leaves_nothing_here(bucket: RemotePath, corpus: Path, scratch: Path) -> None:
    """No file may grow beyond 30 kB: no recording has room for its copy."""
    done = subprocess.run(
        [sys.executable, "-m", "unhiss", *words(bucket / "corpus", bucket / "set", "-j", "1")], text=True, check=False,
        capture_output=True, env=os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"unhiss: {bucket}/corpus/") and done.stderr.count("\n") == 1
    assert "no room here for a copy (File too large); TMPDIR says where temporary files lie" in done.stderr
    assert left_behind(scratch) == []
    assert run(*words(bucket / "corpus", bucket / "set")).returncode == 0, "with room it goes on"


def test_bad_input_is_one_line(bucket: RemotePath, corpus: Path) -> None:
    def error_of(*arguments: str) -> str:
        done = CliRunner().invoke(unhiss, arguments)
        assert done.exit_code
        return str(done.exception) + done.stderr

    there = bucket / "corpus"
    assert f"{there} is not empty and holds no data set; choose another folder" in error_of(*words(there, there))
    assert f"{bucket}/voices holds no file" in error_of(*words(bucket, bucket / "set"))
    assert "the bucket does not exist; create it first" in error_of(*words(there, RemotePath("s3://never-made/set")))
    assert "https can only be read" in error_of(*words(there, RemotePath("https://127.0.0.1/set")))
    away = error_of(*words(there, bucket / "set", "--pairs", "3", "--wav", f"{bucket}/pairs"))
    assert f"{bucket}/pairs is a URL; give a path of this machine" in away


def test_missing_credentials_end_the_run_at_once_and_no_clip_is_left_out(
    bucket: RemotePath, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = words(bucket / "corpus", corpus.parent / "set", "-j", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    nobody = run(*arguments)
    assert nobody.returncode == 1 and nobody.stderr.count("\n") == 1
    assert "Unable to locate credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or " in nobody.stderr
    monkeypatch.setenv("FSSPEC_S3_ANON", "true")  # the list is open to all there, the recordings are not
    stranger = run(*arguments)
    assert stranger.returncode == 1 and stranger.stderr.endswith("a b.flac: Forbidden\n"), stranger.stderr
    assert not (corpus.parent / "set" / "dataset.json").exists()
