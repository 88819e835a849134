"""`unhiss data`: sets are checked, merged, and carried through tars without a sample lost."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from sounds import hashes, sources, voice

from unhiss.cli.data import command
from unhiss.data.prepare import prepare
from unhiss.data.shards import Preprocessing
from unhiss.data.store import Store
from unhiss.fleet.mapping import Fleet


@pytest.fixture(scope="module")
def made(prepared: Store) -> Path:
    return prepared.folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "set")


def data(*words: object) -> Result:
    return CliRunner().invoke(command, [*map(str, words)])


def good(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def edit(path: Path, change: Callable[[dict], object]) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        change(line)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def test_a_whole_set_has_no_fault(made: Path) -> None:
    assert good(data("verify", made)).endswith(": 17 clips in 4 shards, all as they should be\n")


def flip(folder: Path) -> None:
    path = folder / "shards" / "speech-train-00000.npy"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


def cut(folder: Path) -> None:
    path = folder / "shards" / "noise-valid-00000.npy"
    samples = np.load(path)
    np.save(path, samples[:-1])


def move(folder: Path) -> None:
    edit(folder / "manifest.jsonl", lambda line: line["offset"] and line.update(offset=line["offset"] + 1))


def tear(folder: Path) -> None:
    edit(folder / "manifest.jsonl", lambda line: line.update(groups=["made/speaker/one"]))


def drop(folder: Path) -> None:
    path = folder / "manifest.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


FAULTS = {
    "a flipped bit": (flip, r"shards/speech-train-00000.npy: its SHA-256 is"),
    "a missing shard": (lambda f: (f / "shards" / "noise-train-00000.npy").unlink(), "noise-train-00000.npy: missing"),
    "a foreign shard": (lambda f: np.save(f / "shards" / "x.npy", np.zeros(3)), "x.npy: belongs to no row"),
    "a cut shard": (cut, "noise-valid-00000.npy: .* samples, and its rows end at"),
    "moved offsets": (move, "expected it at"),
    "a torn group": (tear, "made/speaker/one stands in train and valid"),
    "a lost row": (drop, r"dataset.json: splits noise/train is .*'clips': \d+.*, the manifest has"),
    "rows of one name": (lambda f: edit(f / "manifest.jsonl", lambda row: row.update(id="a")), "rows of .* are call"),
    "an unknown split": (lambda f: edit(f / "manifest.jsonl", lambda line: line.update(split="dev")), "is speech/dev"),
    "old columns": (lambda f: edit(f / "manifest.jsonl", lambda line: line.update(text="x")), "columns.npz: damaged"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_line(fault: str, copy: Path) -> None:
    damage, message = FAULTS[fault]
    damage(copy)
    done = data("verify", copy)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(re.search(message, line) for line in lines), lines
    assert done.stderr == f"unhiss: {len(lines)} fault{'s' * (len(lines) > 1)} in {copy}\n"


def samples_by_id(store: Store) -> dict[tuple[str, str], bytes]:
    return {(row.role, row.id): store.samples(row).tobytes() for row in store.rows}


def test_a_merged_set_holds_every_clip_of_both_and_is_whole(made: Path, tmp_path: Path) -> None:
    other = prepare(
        sources(tmp_path, "rain=3,siren=3", speakers=5)[1:], tmp_path / "other", Preprocessing(), fleet=Fleet(1)
    )
    line = good(data("merge", made, other.folder, "-o", tmp_path / "both"))
    assert line.endswith(f"ready: {tmp_path}/both (card: {tmp_path}/both/card.md)\n")
    good(data("verify", tmp_path / "both"))
    both = Store(tmp_path / "both")
    assert samples_by_id(both) == samples_by_id(Store(made)) | samples_by_id(other)
    before = hashes(tmp_path / "both")
    good(data("merge", made, other.folder, "-o", tmp_path / "both"))
    assert hashes(tmp_path / "both") == before


def test_shards_are_bounded_by_their_bytes_wherever_they_come_from(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound that the longest clips exceed by themselves: those stand alone, and no sample changes."""
    bound = 2 * max(row.length for row in Store(made).rows) - 2  # the longest stand alone
    monkeypatch.setattr("unhiss.data.shards.SHARD_BYTES", bound)

    def check(folder: Path) -> None:
        good(data("verify", folder))
        sizes_of: dict[str, list[int]] = {}
        for row in Store(folder).rows:
            sizes_of.setdefault(row.shard, []).append(2 * row.length)
        assert all(sum(sizes) <= bound or len(sizes) == 1 for sizes in sizes_of.values())
        assert any(len(sizes) > 1 for sizes in sizes_of.values()) and max(map(sum, sizes_of.values())) > bound
        assert samples_by_id(Store(folder)) == samples_by_id(Store(made))

    clips = sources(tmp_path)
    bounded = prepare(clips, tmp_path / "bounded", Preprocessing(), fleet=Fleet(1)).folder
    check(bounded)
    before = hashes(bounded)
    for path in [*(bounded / "shards").glob("*-1.npy"), bounded / "dataset.json"]:
        path.unlink()
    assert hashes(prepare(clips, bounded, Preprocessing(), fleet=Fleet(1)).folder) == before, (
        "a lost part is made again"
    )
    good(data("export", made, "-o", tmp_path / "tars"))
    good(data("import", tmp_path / "tars", "-o", tmp_path / "back"))
    check(tmp_path / "back")


def test_what_cannot_be_one_set_is_refused(made: Path, tmp_path: Path) -> None:
    assert "hold the same samples" in str(data("merge", made, made, "-o", tmp_path / "both").exception)
    slow = prepare(sources(tmp_path, "rain=4")[1:], tmp_path / "slow", Preprocessing(sample_rate=16000), fleet=Fleet(1))
    assert "is at 16000 Hz" in str(data("merge", made, slow.folder, "-o", tmp_path / "both").exception)
    noise = prepare(sources(tmp_path, "rain=4")[1:], tmp_path / "noise", Preprocessing(), fleet=Fleet(1))
    torn = shutil.copytree(noise.folder, tmp_path / "torn")
    speaker = next(row.groups[0] for row in Store(made).rows if (row.role, row.split) == ("speech", "train"))
    edit(torn / "manifest.jsonl", lambda line: line.update(groups=[speaker], split="valid"))
    assert "would stand in two splits" in str(data("merge", made, torn, "-o", tmp_path / "both").exception)


def test_tars_give_the_set_they_came_from_back(made: Path, tmp_path: Path) -> None:
    assert good(data("export", made, "-o", tmp_path / "tars")) == f"17 clips in {tmp_path}/tars\n"
    good(data("import", tmp_path / "tars", "-o", tmp_path / "back"))
    good(data("verify", tmp_path / "back"))
    was, now = hashes(made), hashes(tmp_path / "back")
    rows = ("plan.json", *(name for name in was if name.startswith("shards/") and name.endswith(".json")))
    assert {name: value for name, value in was.items() if name not in rows} == {
        name: value for name, value in now.items() if name != "plan.json"
    }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves a file open
def test_the_package_webdataset_reads_the_tars(made: Path, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    good(data("export", made, "-o", tmp_path / "tars"))
    store = Store(made)
    found = {}
    for path in sorted((tmp_path / "tars").glob("*.tar")):
        for sample in wds.WebDataset(str(path), shardshuffle=False):
            audio, rate = soundfile.read(io.BytesIO(sample["wav"]), dtype="int16")
            facts = json.loads(sample["json"])
            assert rate == store.rate == facts["sample_rate"]
            found[facts["role"], facts["id"]] = audio.tobytes()
    assert found == samples_by_id(store)


def test_tars_of_others_become_a_set(tmp_path: Path, rng: np.random.Generator) -> None:
    with tarfile.open(tmp_path / "corpus-train-000.tar", "w") as tar:
        for number in range(3):
            sound = io.BytesIO()
            soundfile.write(sound, voice(rng, 1.0), 22050, format="FLAC")
            facts = json.dumps({"speaker": f"s{number}", "licence": "CC0", "commercial_use": True}).encode()
            for end, content in (("flac", sound.getvalue()), ("txt", f"word {number}\n".encode()), ("json", facts)):
                member = tarfile.TarInfo(f"a/{number}.{end}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        member = tarfile.TarInfo("a/9.flac")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"junk"))
    good(data("import", tmp_path, "-o", tmp_path / "set"))
    good(data("verify", tmp_path / "set"))
    rows = Store(tmp_path / "set").rows
    assert [(row.kind, row.text, row.licence, row.split) for row in rows] == [
        (f"s{number}", f"word {number}", "CC0", "train") for number in range(3)
    ]
    assert "webdataset/corpus-train-000/a/9,webdataset,broken," in (tmp_path / "set" / "rejected.csv").read_text()


def test_a_damaged_recording_in_an_exported_tar_is_left_out(made: Path, tmp_path: Path) -> None:
    good(data("export", made, "-o", tmp_path / "tars"))
    path = tmp_path / "tars" / "noise-train-00000.tar"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"RIFF", b"JUNK", 1))
    good(data("import", tmp_path / "tars", "-o", tmp_path / "back"))
    assert len(Store(tmp_path / "back").rows) == len(Store(made).rows) - 1
    assert ",webdataset,broken,file does not start with RIFF id" in (tmp_path / "back" / "rejected.csv").read_text()


def test_a_damaged_tar_is_one_line(made: Path, tmp_path: Path) -> None:
    good(data("export", made, "-o", tmp_path / "tars"))
    path = next((tmp_path / "tars").glob("*.tar"))
    path.write_bytes(path.read_bytes()[:-9000])
    done = data("import", tmp_path / "tars", "-o", tmp_path / "back")
    assert f"{path} is no whole tar" in str(done.exception)
    assert not (tmp_path / "back" / "dataset.json").exists()
