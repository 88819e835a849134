"""UrbanSound8K and ESC-50: folds, source recordings, and the recordings they share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from corpus_trees import ESC50, URBANSOUND8K, lines, rows

from unhiss.data import esc50, folder, urbansound8k
from unhiss.data.clips import group, leaks
from unhiss.errors import CorpusError

US8K = urbansound8k.CORPUS
ESC = esc50.CORPUS


@pytest.fixture
def esc(tmp_path: Path) -> Path:
    listed = [f"{fold}-{100 + fold}-A-0.wav,{fold},0,dog,{fold == 1},{100 + fold},A" for fold in range(1, 6)]
    lines(tmp_path / "ESC-50-master" / "meta" / "esc50.csv", ESC50, *listed, "1-101-B-0.wav,1,0,dog,True,101,B")
    return tmp_path


def test_urbansound8k_has_8732_rows_whether_their_files_exist_or_not(data: Path) -> None:
    clips = list(US8K.read(data / "UrbanSound8K", "all"))
    assert len(clips) == 8732
    existing = {clip.path for clip in clips if clip.path.is_file()}
    assert existing == set((data / "UrbanSound8K" / "audio").glob("fold*/*.wav"))
    assert len({clip.kind for clip in clips}) == 10
    assert {(clip.licence, clip.commercial_use, clip.role) for clip in clips} == {("CC BY-NC 3.0", False, "noise")}
    assert all(clip.seconds is not None and 0 < clip.seconds <= 4.0001 for clip in clips)


def test_urbansound8k_parts_are_disjoint_and_divide_no_fold_and_no_recording(data: Path) -> None:
    parts = {part: list(US8K.read(data / "UrbanSound8K", part)) for part in ("train", "valid", "test")}
    assert sum(map(len, parts.values())) == 8732
    assert all(clip.split == part for part, clips in parts.items() for clip in clips)
    # The table's own count by fold, but for the 16 clips of recording 180937 that stray from fold 1 to 9.
    assert {part: len(clips) for part, clips in parts.items()} == {"train": 7079 + 16, "valid": 816 - 16, "test": 837}
    assert not leaks(clip for clips in parts.values() for clip in clips)


def test_five_recordings_in_two_folds_of_the_table_have_one_home_fold(data: Path) -> None:
    folds: dict[str, set[str]] = {}
    home: dict[str, set[str]] = {}
    for clip in US8K.read(data / "UrbanSound8K", "all"):
        recording, _, fold = clip.groups
        folds.setdefault(recording, set()).add(clip.path.parent.name)
        home.setdefault(recording, set()).add(fold)
    divided = {name.split("/")[-1] for name, names in folds.items() if len(names) > 1}
    assert divided == {"106905", "132016", "176638", "180937", "77751"}
    assert all(len(names) == 1 for names in home.values())


def test_single_folds_add_up_to_all(data: Path) -> None:
    counts = Counter({f"fold{n}": len(list(US8K.read(data / "UrbanSound8K", f"fold{n}"))) for n in range(1, 11)})
    assert counts.total() == 8732
    assert counts["fold10"] == 837


def test_the_folder_that_holds_urbansound8k_is_accepted_too(tmp_path: Path) -> None:
    lines(tmp_path / "UrbanSound8K/metadata/UrbanSound8K.csv", URBANSOUND8K, "7-3-0-0.wav,7,0.0,0.5,1,10,3,dog_bark")
    (clip,) = US8K.read(tmp_path, "test")
    assert clip.path == tmp_path / "UrbanSound8K" / "audio" / "fold10" / "7-3-0-0.wav"
    assert (clip.kind, clip.seconds) == ("dog_bark", 0.5)
    assert clip.groups == ("urbansound8k/recording/7", "freesound/recording/7", "urbansound8k/fold/10")


def test_recordings_in_the_noise_folder_and_in_urbansound8k_share_their_group(data: Path) -> None:
    on_disk = [clip for clip in US8K.read(data / "UrbanSound8K", "all") if clip.path.is_file()]
    noise = [clip for clip in folder.CORPUS.read(data / "noise", role="noise") if clip.corpus == "UrbanSound8K"]
    ours = {name for clip in on_disk for name in clip.groups if "/recording/" in name}
    theirs = {name for clip in noise for name in clip.groups}
    manifest = [row for row in rows(data / "manifest.csv") if row["source"] == "UrbanSound8K"]
    shared = {row["recording"] for row in manifest} & {clip.path.name.split("-")[0] for clip in on_disk}
    assert shared and {f"urbansound8k/recording/{name}" for name in shared} <= ours & theirs
    recording = on_disk[0].path.name.split("-")[0]
    assert group("UrbanSound8K", "recording", recording) in on_disk[0].groups


def test_recordings_of_esc10_in_urbansound8k_share_freesounds_group(data: Path) -> None:
    esc10 = [clip for clip in folder.CORPUS.read(data / "noise", role="noise") if clip.corpus == "ESC-10"]
    urban = {name for clip in US8K.read(data / "UrbanSound8K", "all") for name in clip.groups}
    table = rows(data / "UrbanSound8K" / "metadata" / "UrbanSound8K.csv")
    manifest = [row for row in rows(data / "manifest.csv") if row["source"] == "ESC-10"]
    shared = {row["recording"] for row in manifest} & {row["fsID"] for row in table}
    assert shared, "the two corpora have recordings in common"
    assert {name for clip in esc10 for name in clip.groups} & urban == {
        f"freesound/recording/{name}" for name in shared
    }


def test_esc50_splits_by_fold_and_licences_its_esc10_apart(esc: Path) -> None:
    clips = list(ESC.read(esc, "all"))
    assert {clip.path.name[0]: clip.split for clip in clips} == {
        "1": "train", "2": "train", "3": "train", "4": "valid", "5": "test",
    }  # fmt: skip
    assert {(clip.path.name[0] == "1", clip.licence, clip.commercial_use) for clip in clips} == {
        (True, "CC BY 3.0", True),
        (False, "CC BY-NC 3.0", False),
    }
    assert not leaks(clips)
    assert [clip.path.name for clip in ESC.read(esc)] == [
        "1-101-A-0.wav", "1-101-B-0.wav", "2-102-A-0.wav", "3-103-A-0.wav",
    ]  # fmt: skip
    assert [len(list(ESC.read(esc, part))) for part in ("valid", "test", "fold1")] == [1, 1, 2]


def test_takes_of_one_recording_share_their_groups(esc: Path) -> None:
    first, second = ESC.read(esc, "fold1")
    assert first.groups == second.groups == ("esc50/recording/101", "freesound/recording/101", "esc50/fold/1")


@pytest.mark.parametrize(
    ("corpus", "file", "header", "row", "highest"),
    [
        (US8K, "metadata/UrbanSound8K.csv", URBANSOUND8K, "7-3-0-0.wav,7,0,1,1,11,3,dog_bark", 10),
        (ESC, "meta/esc50.csv", ESC50, "9-1-A-0.wav,9,0,dog,True,1,A", 5),
    ],
)
def test_bad_tables_are_reported(corpus, file: str, header: str, row: str, highest: int, tmp_path: Path) -> None:
    lines(tmp_path / file, header, row)
    with pytest.raises(CorpusError, match=f"has the fold '.*'; expected 1 to {highest}"):
        list(corpus.read(tmp_path))
    lines(tmp_path / file, header.replace("fold", "part"), row)
    with pytest.raises(CorpusError, match="has no column 'fold'; found: "):
        list(corpus.read(tmp_path))
    lines(tmp_path / file, header)
    with pytest.raises(CorpusError, match=f"holds no noise of {corpus.name}, part 'train'; found: "):
        list(corpus.read(tmp_path))
    (tmp_path / file).unlink()
    with pytest.raises(CorpusError, match=f"expected {file} in it; found: {file.split('/')[0]}"):
        list(corpus.read(tmp_path))
