"""LibriSpeech, and plain folders of speech with and without a manifest."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_trees import lines, plant, rows

from unhiss.data.clips import leaks
from unhiss.data.common_voice import CORPUS as COMMON_VOICE
from unhiss.data.folder import CORPUS as FOLDER
from unhiss.data.librispeech import CORPUS as LIBRI
from unhiss.errors import CorpusError


@pytest.fixture
def libri(tmp_path: Path) -> Path:
    root = tmp_path / "LibriSpeech"
    for subset, speaker in (("train-clean-100", 103), ("train-other-500", 20), ("dev-clean", 84), ("test-other", 61)):
        plant(root / subset, f"{speaker}/1240/{speaker}-1240-0000.flac", f"{speaker}/9/{speaker}-9-0000.flac")
    lines(root / "train-clean-100/103/1240/103-1240.trans.txt", "103-1240-0000 CHAPTER ONE", "")
    plant(root, "SPEAKERS.TXT")
    return tmp_path


@pytest.mark.parametrize(("part", "split", "count"), [("train", "train", 4), ("dev", "valid", 2), ("test", "test", 2)])
def test_librispeech_subsets_go_to_their_split(libri: Path, part: str, split: str, count: int) -> None:
    clips = list(LIBRI.read(libri, part))
    assert len(clips) == count
    assert {(clip.split, clip.licence, clip.commercial_use) for clip in clips} == {(split, "CC BY 4.0", True)}


def test_librispeech_groups_by_speaker_over_chapters_and_reads_texts(libri: Path) -> None:
    clips = list(LIBRI.read(libri / "LibriSpeech", "all"))
    assert len(clips) == 8
    mine = [clip for clip in clips if clip.kind == "103"]
    assert [clip.text for clip in mine] == ["CHAPTER ONE", ""]
    assert {clip.groups for clip in mine} == {("librispeech/speaker/103",)}
    assert not leaks(clips)


def test_one_subset_at_the_path_is_read_whatever_the_default(libri: Path) -> None:
    subset = libri / "LibriSpeech" / "dev-clean"
    assert [clip.split for clip in LIBRI.read(subset)] == ["valid", "valid"]
    with pytest.raises(CorpusError, match="is the subset of part 'dev', not 'test'; leave the part out"):
        list(LIBRI.read(subset, "test"))


def test_another_folder_is_not_librispeech(tmp_path: Path) -> None:
    plant(tmp_path, "libri-1034/1034-121119-0000.ogg")
    with pytest.raises(CorpusError, match="is not LibriSpeech: expected train-clean-100/SPEAKER/CHAPTER"):
        list(LIBRI.read(tmp_path))


def test_a_real_folder_with_a_manifest_is_grouped_by_speaker_and_recording(data: Path) -> None:
    clips = list(FOLDER.read(data / "speech", role="speech"))
    listed = [row for row in rows(data / "manifest.csv") if row["path"].startswith("speech/")]
    assert sorted(clip.path for clip in clips) == sorted(data / row["path"] for row in listed)
    assert all(clip.path.is_file() and clip.role == "speech" and clip.commercial_use for clip in clips)
    assert {clip.corpus: clip.licence for clip in clips} == {row["source"]: row["licence"] for row in listed}
    speakers = {(row["source"], row["speaker_or_kind"]) for row in listed}
    assert len({clip.groups[0] for clip in clips}) == len(speakers)
    assert all("/speaker/" in clip.groups[0] and "/recording/" in clip.groups[1] for clip in clips)


def test_a_speaker_of_the_speech_folder_is_the_same_in_librispeech_itself(data: Path, tmp_path: Path) -> None:
    plant(tmp_path, "test-clean/1034/121119/1034-121119-0001.flac")
    (whole,) = LIBRI.read(tmp_path, "test")
    (part,) = (clip for clip in FOLDER.read(data / "speech", role="speech") if clip.kind == "libri-1034")
    assert list(leaks([whole, part])) == ["librispeech/speaker/1034"]


def test_without_a_manifest_the_parent_folder_is_the_speaker(tmp_path: Path) -> None:
    plant(tmp_path, "me/b.WAV", "me/a.flac", "you/deep/c.mp3", "you/notes.txt", "me/._a.flac", ".git/x.wav")
    clips = list(FOLDER.read(tmp_path, role="speech"))
    assert [(clip.path.name, clip.kind) for clip in clips] == [("a.flac", "me"), ("b.WAV", "me"), ("c.mp3", "deep")]
    assert clips[0].groups == clips[1].groups == (f"folder/speaker/{tmp_path.name}/me",)
    assert {(clip.licence, clip.commercial_use, clip.split) for clip in clips} == {("unknown", False, "train")}


def test_the_group_does_not_depend_on_how_the_path_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(tmp_path, "corpus/me/a.wav")
    monkeypatch.chdir(tmp_path / "corpus" / "me")
    given = (tmp_path, tmp_path / "corpus", tmp_path / "corpus" / "me", Path(), Path("..", "me"))
    found = [next(iter(FOLDER.read(path, role="speech"))) for path in given]
    assert {clip.groups for clip in found} == {("folder/speaker/corpus/me",)}
    assert {clip.kind for clip in found} == {"me"}


def test_the_part_of_a_plain_folder_names_its_split(tmp_path: Path) -> None:
    plant(tmp_path, "me/a.wav")
    assert [clip.split for clip in FOLDER.read(tmp_path, "test", "speech")] == ["test"]


def test_a_manifest_is_honoured_and_only_beneath_the_path(tmp_path: Path) -> None:
    lines(
        tmp_path / "manifest.csv",
        "path,speaker_or_kind,recording,source,licence,commercial_use,seconds,language",
        "a/2.wav,ann,r2,Mine,CC0,yes,1.5,en",
        "a/1.wav,ann,r1,Mine,CC0,no,,",
        "b/3.wav,bob,r3,Mine,CC0,yes,2,",
    )
    plant(tmp_path, "a/unlisted.wav")
    clips = list(FOLDER.read(tmp_path / "a", role="speech"))
    assert [clip.path for clip in clips] == [tmp_path / "a" / "1.wav", tmp_path / "a" / "2.wav"]
    assert [clip.seconds for clip in clips] == [None, 1.5]
    assert [clip.commercial_use for clip in clips] == [False, True]
    assert clips[1].groups == ("mine/speaker/ann", "mine/recording/r2")
    assert (clips[1].corpus, clips[1].licence, clips[1].language) == ("Mine", "CC0", "en")
    plant(tmp_path, "b/x")
    assert len(list(FOLDER.read(tmp_path, role="speech"))) == 3


def test_groups_of_a_manifest_and_common_voice_speakers_join_what_is_one_voice(tmp_path: Path) -> None:
    lines(
        tmp_path / "manifest.csv",
        "path,speaker_or_kind,recording,source,groups",
        "cv/1.opus,cv-0123456789abcdef,r1,Common Voice 6.1,",
        "sung/1.wav,cv-0123456789abcdef,r1,Mine,commonvoice/speaker/0123456789abcdef mine/recording/r1",
    )
    plant(tmp_path / "en", "x")
    lines(tmp_path / "en" / "train.tsv", "client_id\tpath", f"0123456789abcdef{'0' * 112}\tcommon_voice_en_1.mp3")
    voices = [*FOLDER.read(tmp_path, role="speech"), *COMMON_VOICE.read(tmp_path / "en")]
    assert all("commonvoice/speaker/0123456789abcdef" in clip.groups for clip in voices)
    assert voices[1].groups.count("mine/recording/r1") == 1


def test_a_manifest_with_the_path_column_alone_will_do(tmp_path: Path) -> None:
    lines(tmp_path / "manifest.csv", "path", "ann/1.wav")
    (clip,) = FOLDER.read(tmp_path, role="speech")
    assert (clip.kind, clip.corpus, clip.licence) == ("ann", "folder", "unknown")
    assert clip.groups == (f"folder/speaker/{tmp_path.name}/ann",)


def test_the_manifest_of_pairs_is_ignored_by_a_folder(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{side}/{name}.wav" for side in ("clean", "noisy") for name in "ab"))
    lines(tmp_path / "manifest.csv", "id,speaker,licence", "a,ann,CC0", "b,bob,CC0")
    clips = list(FOLDER.read(tmp_path / "clean", "test", "speech"))
    assert len(clips) == 2
    assert {clip.licence for clip in clips} == {"unknown"}


def test_a_folder_without_recordings_is_reported_with_its_content(tmp_path: Path) -> None:
    plant(tmp_path, "a.txt", "b.txt")
    with pytest.raises(CorpusError, match=r"holds no speech of folder, part 'train'; found: a\.txt, b\.txt"):
        list(FOLDER.read(tmp_path, role="speech"))
