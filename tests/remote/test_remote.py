"""Recordings and data sets on an S3 server that answers 503 and drops connections: no byte is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from buckets import FAULT_RATES, HERE, reach, run

from unhiss.data.store import Store
from unhiss.errors import UnhissError
from unhiss.remote import RemotePath, _filesystem, parse_path


@FAULT_RATES
def test_a_folder_in_a_bucket_is_denoised_into_another(bucket: RemotePath, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.wav", "deep/b.flac", "deep/c.wav"):
        sf.write(tmp_path / "in" / name, rng.uniform(-0.3, 0.3, 50_000), 16000)
        (bucket / "in" / name).upload(tmp_path / "in" / name)
    (bucket / "in" / "notes.txt").upload(HERE / "faulty_s3.py")
    away = {"Bucket": bucket.name, "Key": "in/../../away.wav", "Body": (tmp_path / "in" / "a.wav").read_bytes()}
    bucket._request(lambda fs, path: fs.call_s3("put_object", **away))
    assert any("away" in name for name in bucket._request(lambda fs, path: fs.find(path)))
    here = run("denoise", tmp_path / "in", "-o", tmp_path / "out")
    there = run("denoise", bucket / "in", "-o", bucket / "out", "-j", "2")
    assert (here.returncode, there.returncode) == (0, 0), there.stderr
    assert [str(below) for _, below in (bucket / "out").files()] == ["a.wav", "deep/b.flac", "deep/c.wav"]
    for path, below in (bucket / "out").files():
        assert path.read_bytes() == (tmp_path / "out" / below).read_bytes()
    again = run("denoise", bucket / "in" / "a.wav", "-o", bucket / "out" / "a.wav")
    assert again.returncode == 1 and again.stderr == f"unhiss: {bucket}/out/a.wav exists; --force overwrites it\n"
    assert "all of 3 have an output" in run("denoise", bucket / "in", "-o", bucket / "out", "--skip-existing").stdout


def test_pairs_in_a_bucket_have_the_scores_they_have_here(
    bucket: RemotePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    for name in ("clean/a.wav", "noisy/a.wav", "clean/b.flac", "noisy/b.flac"):
        (tmp_path / "pairs" / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / "pairs" / name, rng.uniform(-0.3, 0.3, 20_000), 16000)
    (tmp_path / "pairs" / "manifest.csv").write_text("id,snr_db\nb,5\na,0\n")
    for path in (tmp_path / "pairs").rglob("*.*"):
        (bucket / "pairs" / path.relative_to(tmp_path / "pairs").as_posix()).upload(path)
    for where, folder in (("here", tmp_path / "pairs"), ("there", bucket / "pairs")):
        given = ("--pairs", folder, "--metrics", "si_sdr_db,lag", "-j", "1")
        done = run("evaluate", *given, "-o", tmp_path / f"scores-{where}")
        assert done.returncode == 0, done.stderr
    one, other = ((path / "scores.csv").read_text() for path in tmp_path.glob("scores-*"))
    assert one == other and one.count("\n") == 3
    alone = [
        run("evaluate", "--noisy", folder, "--metrics", "lag") for folder in (tmp_path / "pairs", bucket / "pairs")
    ]
    assert alone[0].stdout == alone[1].stdout and "| noisy input | 4 |" in alone[0].stdout
    lacking = run("evaluate", "--pairs", bucket / "pairs" / "noisy")
    assert lacking.stderr.startswith(f"unhiss: {bucket}/pairs/noisy has no clean/ and no noisy/;")
    cluster = run("evaluate", "--pairs", bucket / "pairs", "--ray", "auto")
    assert cluster.returncode == 2 and "copy it to a folder that all machines of auto see" in cluster.stderr
    assert [path.name for path in (tmp_path / "temporary").iterdir() if "unhiss" in path.name] == []


def test_what_is_not_there_is_one_line(bucket: RemotePath, tmp_path: Path) -> None:
    done = run("denoise", bucket / "none.wav", "-o", tmp_path / "out.wav")
    assert (done.returncode, done.stderr) == (1, f"unhiss: {bucket}/none.wav: no such file; check the address\n")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_answers_well_is_one_line(
    serve: Callable[[int], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach(serve(1), monkeypatch)
    monkeypatch.setattr("unhiss.remote.BACKOFF_S", 0.001)
    with pytest.raises(UnhissError, match=r"s3://some/a.wav: .*\(tried 6 times\)"):
        RemotePath("s3://some/a.wav").download(tmp_path / "a.wav")
    _filesystem.cache_clear()


def test_https_is_read_only_and_unknown_schemes_are_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(UnhissError, match="https can only be read"):
        RemotePath("https://127.0.0.1/a.wav").upload(tmp_path / "a")
    with pytest.raises(UnhissError, match="carrier-pigeon:// is not known"):
        RemotePath("carrier-pigeon://a/b.wav").exists()


def test_a_url_behaves_as_a_path_does() -> None:
    path = parse_path("s3://bucket/deep/a.b.wav")
    assert isinstance(path, RemotePath) and parse_path("deep/a.wav") == Path("deep/a.wav")
    assert (path.name, path.suffix, str(path.parent)) == ("a.b.wav", ".wav", "s3://bucket/deep")
    assert str(path.with_suffix(".flac")) == "s3://bucket/deep/a.b.flac"
    assert str(path.parent / "c" / "d.wav") == "s3://bucket/deep/c/d.wav"


def test_a_prepared_set_is_read_where_it_lies(bucket: RemotePath, tmp_path: Path) -> None:
    shards = tmp_path / "set" / "shards"
    shards.mkdir(parents=True)
    from unhiss.data.manifest import ManifestRow, manifest_files

    rng = np.random.default_rng(4)
    lines = []
    for number in range(3):
        samples = rng.integers(-3000, 3000, 5000 + number, dtype=np.int16)
        np.save(shards / f"{number}.npy", samples)
        lines.append(ManifestRow(
            id=f"c{number}", corpus="made", role="speech", kind="k", groups=("g",), split="train", licence="CC0",
            commercial_use=True, language="", text="", shard=f"{number}.npy", offset=10, length=4000, level_dbfs=-20.0,
            bandwidth_hz=8000.0, snr_db=30.0,
        ).to_json())  # fmt: skip
    for name, content in manifest_files(lines).items():
        (tmp_path / "set" / name).write_bytes(content)
    (tmp_path / "set" / "dataset.json").write_text('{"format": 2, "sample_rate": 16000}')
    for path in (tmp_path / "set").rglob("*.*"):
        (bucket / "set" / path.relative_to(tmp_path / "set").as_posix()).upload(path)
    here, there = Store(tmp_path / "set"), Store(bucket / "set")
    assert list(here.rows) == list(there.rows) and there.part("speech", "train")[1].id == "c1"
    for row in here.rows:
        assert np.array_equal(here.samples(row), there.samples(row))
    with pytest.raises(UnhissError, match=r"nothing is no prepared data set|nothing does not exist"):
        Store(bucket / "nothing")
