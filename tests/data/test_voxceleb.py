"""VoxCeleb1 on its real table and a fake tree: dev and test by the table, one video in one split."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from corpus_trees import VOXCELEB1, lines, plant

from unhiss.data.clips import leaks
from unhiss.data.voxceleb import CORPUS
from unhiss.errors import CorpusError

META = "vox1_meta.csv"
WAVS = ("id10001/1zcIwhmdeo4/00001.wav", "id10001/1zcIwhmdeo4/00002.wav", "id10001/7gWzIy6yIIk/00001.wav")
TEST = "id10270/5r0dWxy17C8/00001.wav"


@pytest.fixture
def vox(tmp_path: Path) -> Path:
    """id10001 is of the development set, id10270 of the test set."""
    lines(
        tmp_path / META,
        VOXCELEB1,
        "id10001\tA.J._Buckley\tm\tIreland\tdev",
        "id10270\tEartha_Kitt\tf\tUSA\ttest",
    )
    return plant(tmp_path, *(f"wav/{name}" for name in (*WAVS, TEST)))


def test_dev_and_test_follow_the_table(vox: Path) -> None:
    assert [clip.path for clip in CORPUS.read(vox)] == [vox / "wav" / name for name in WAVS]
    assert {clip.split for clip in CORPUS.read(vox)} == {"train"}
    assert [(clip.path, clip.split) for clip in CORPUS.read(vox, "test")] == [(vox / "wav" / TEST, "test")]
    assert len(list(CORPUS.read(vox, "all"))) == 4


def test_speaker_and_video_are_groups_and_the_use_is_not_commercial(vox: Path) -> None:
    first, second, other = CORPUS.read(vox)
    assert first.groups == second.groups == ("voxceleb1/speaker/id10001", "voxceleb1/video/1zcIwhmdeo4")
    assert other.groups[0] == first.groups[0]
    assert other.groups[1] != first.groups[1]
    assert first.licence.startswith("CC BY 4.0")
    assert not first.commercial_use


@pytest.mark.parametrize("layout", ["wav", "vox1_dev_wav/wav", "vox1_dev_wav", "dev/wav"])
def test_every_common_way_to_unpack_is_found(tmp_path: Path, layout: str) -> None:
    lines(tmp_path / META, VOXCELEB1, "id10001\tA.J._Buckley\tm\tIreland\tdev")
    plant(tmp_path, *(f"{layout}/{name}" for name in WAVS))
    assert [clip.path for clip in CORPUS.read(tmp_path)] == [tmp_path / layout / name for name in WAVS]
    assert len(list(CORPUS.read(tmp_path / layout))) == 3


def test_the_real_table_splits_1251_speakers_without_a_leak(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "voxceleb1" / META, tmp_path / META)
    table = (tmp_path / META).read_text(encoding="utf-8").splitlines()[1:]
    names = [line.split("\t")[0] for line in table]
    plant(tmp_path / "wav", *(f"{name}/v{name}/00001.wav" for name in names))
    clips = list(CORPUS.read(tmp_path, "all"))
    assert len(clips) == 1251
    assert sum(clip.split == "train" for clip in clips) == 1211
    assert sum(clip.split == "test" for clip in clips) == 40
    assert {clip.kind for clip in clips if clip.split == "test"} == {
        line.split("\t")[0] for line in table if line.endswith("\ttest")
    }
    assert not leaks(clips)


def test_a_missing_table_an_unknown_speaker_and_an_odd_set_are_reported(tmp_path: Path) -> None:
    plant(tmp_path, f"deep/down/wav/{WAVS[0]}")
    root = tmp_path / "deep" / "down"
    with pytest.raises(CorpusError, match=r"vox1_meta\.csv is neither in"):
        list(CORPUS.read(root))
    lines(root / META, VOXCELEB1, "id10270\tEartha_Kitt\tf\tUSA\ttest")
    with pytest.raises(CorpusError, match=r"id10001 is not in vox1_meta\.csv; is this VoxCeleb2\?"):
        list(CORPUS.read(root))
    lines(root / META, VOXCELEB1, "id10001\tA\tm\tIreland\ttrain")
    with pytest.raises(CorpusError, match="has the set 'train'; expected dev or test"):
        list(CORPUS.read(root))
    lines(root / META, VOXCELEB1.replace("\t", ","), "id10001,A,m,Ireland,dev")
    with pytest.raises(CorpusError, match="has no column 'VoxCeleb1 ID'"):
        list(CORPUS.read(root))


def test_another_corpus_at_the_path_is_reported(tmp_path: Path) -> None:
    plant(tmp_path, "audio/fold1/a.wav")
    with pytest.raises(CorpusError, match=r"is not VoxCeleb1: expected wav/idNNNNN/VIDEO/NNNNN\.wav; found: audio"):
        list(CORPUS.read(tmp_path))
