from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from unhiss.data.manifest import ManifestRow, manifest_files
from unhiss.data.store import Store
from unhiss.errors import DataError


@pytest.fixture
def store(own_copy: Store) -> Store:
    return own_copy


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        opened = Store(folder)
        for row in opened.rows:
            opened.samples(row)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_every_row_finds_its_own_samples(store: Store) -> None:
    shards = {name: np.load(store.folder / "shards" / name) for name in store.settings["shards"]}
    for name, shard in shards.items():
        rows = [row for row in store.rows if row.shard == name]
        assert np.array_equal(np.concatenate([store.samples(row) for row in rows]), shard)
    assert all(store.samples(row).dtype == np.int16 for row in store.rows)


def test_the_set_states_the_hash_of_every_shard(store: Store) -> None:
    stated = store.settings["shards"]
    assert stated.keys() == {row.shard for row in store.rows}
    for name, digest in stated.items():
        assert hashlib.sha256((store.folder / "shards" / name).read_bytes()).hexdigest() == digest


def test_a_row_survives_json_in_any_script() -> None:
    row = ManifestRow(
        id="a/ü.wav", corpus="c", role="speech", kind="k", groups=("x", "y"), split="train", licence="CC0",
        commercial_use=True, language="ja", text="\u2028 猫", shard="s.npy", offset=1, length=2, level_dbfs=-20.5,
        bandwidth_hz=8000.0, snr_db=30.25,
    )  # fmt: skip
    assert ManifestRow.from_json(row.to_json()) == row


def test_texts_with_odd_line_separators_do_not_tear_the_manifest(store: Store) -> None:
    path = store.folder / "manifest.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    tree = json.loads(lines[0]) | {"text": "a\u2028b\x85c"}
    path.write_text("\n".join([json.dumps(tree, ensure_ascii=False), *lines[1:]]) + "\n", encoding="utf-8")
    assert Store(store.folder).rows[0].text == "a\u2028b\x85c"


@pytest.mark.parametrize("size", [None, 0, 100, -100])
def test_rows_are_the_same_with_and_without_columns(store: Store, size: int | None) -> None:
    """None: no columns at all, as in sets of earlier versions; else only the first so many bytes of them."""
    path, rows = store.folder / "columns.npz", list(store.rows)
    content = path.read_bytes()
    path.unlink()
    if size is not None:
        path.write_bytes(content[:size])
    bare = Store(store.folder)
    assert list(bare.rows) == rows == [ManifestRow.from_json(line) for line in manifest(store.folder)]
    for (role, split), part in bare.parts.items():
        assert (
            list(part)
            == [row for row in rows if (row.role, row.split) == (role, split)]
            == list(store.part(role, split))
        )
        for name in ("offset", "length", "level_dbfs", "bandwidth_hz", "snr_db"):
            assert part.column(name).tolist() == [getattr(row, name) for row in part]
        for name in ("role", "split", "kind", "shard"):
            assert part.names(name) == [getattr(row, name) for row in part]
    assert bare.rows[-1] == rows[-1] and bare.rows[2:4] == rows[2:4]
    with pytest.raises(IndexError):
        bare.rows[len(rows)]


def test_the_columns_of_a_set_are_the_same_bytes_every_time(store: Store) -> None:
    again = manifest_files([row.to_json() for row in store.rows])
    assert again["columns.npz"] == (store.folder / "columns.npz").read_bytes()


def manifest(folder: Path) -> list[str]:
    return (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_folder_that_is_no_set_is_said_to_be_none(tmp_path: Path) -> None:
    assert "does not exist; make it with unhiss prepare" in refusal(tmp_path / "nowhere")
    assert "is no prepared data set" in refusal(tmp_path)
    file = tmp_path / "file"
    file.touch()
    assert "is no prepared data set" in refusal(file)


def test_an_unfinished_set_asks_for_the_same_command(store: Store) -> None:
    (store.folder / "dataset.json").unlink()
    assert "is unfinished; run the same unhiss prepare again" in refusal(store.folder)


@pytest.mark.parametrize("name", ["dataset.json", "manifest.jsonl"])
@pytest.mark.parametrize("content", [b'{"half', b"\xff\xfe", b"[]", b"{}", b"3"])
def test_a_damaged_table_is_one_clear_line(store: Store, name: str, content: bytes) -> None:
    (store.folder / name).write_bytes(content)
    assert "is damaged" in refusal(store.folder)


def test_a_set_of_another_format_is_refused(store: Store) -> None:
    path = store.folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    assert "has format 9, this unhiss reads 2" in refusal(store.folder)


@pytest.mark.parametrize("size", [0, 40, 1000])
def test_a_shard_cut_short_or_gone_is_named(store: Store, size: int) -> None:
    shard = store.folder / "shards" / store.rows[0].shard
    shard.write_bytes(shard.read_bytes()[:size])
    assert "is missing or damaged" in refusal(store.folder)
    shard.unlink()
    assert store.rows[0].shard in refusal(store.folder)


def test_a_shard_of_another_set_is_too_short(store: Store) -> None:
    shard = store.folder / "shards" / store.rows[0].shard
    np.save(shard, np.zeros(10, np.int16))
    assert "is too short for" in refusal(store.folder)
