"""MUSAN, DEMAND and plain folders of noise."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_trees import plant, rows

from unhiss.data.clips import leaks, recording_groups
from unhiss.data.demand import CORPUS as DEMAND
from unhiss.data.folder import CORPUS as FOLDER
from unhiss.data.musan import CORPUS as MUSAN
from unhiss.errors import CorpusError


@pytest.fixture
def musan(tmp_path: Path) -> Path:
    return plant(
        tmp_path / "musan",
        "noise/free-sound/noise-free-sound-0000.wav",
        "noise/free-sound/LICENSE",
        "noise/sound-bible/noise-sound-bible-0001.wav",
        "music/fma/music-fma-0000.wav",
        "speech/us-gov/speech-us-gov-0000.wav",
    )


def test_musan_serves_the_part_that_fits_the_role(musan: Path) -> None:
    def kinds(part: str, role: str) -> list[str]:
        return [clip.kind for clip in MUSAN.read(musan, part, role)]

    noises = ["noise-free-sound", "noise-sound-bible"]
    assert kinds("", "noise") == kinds("noise", "noise") == noises
    assert kinds("", "speech") == kinds("all", "speech") == ["speech-us-gov"]
    assert kinds("all", "noise") == [*noises, "music-fma"]
    assert kinds("music", "noise") == ["music-fma"]
    assert kinds("speech", "noise") == ["speech-us-gov"]  # babble, but only when asked for
    assert [clip.path for clip in MUSAN.read(musan.parent, "music", "noise")] == [
        musan / "music" / "fma" / "music-fma-0000.wav"
    ]


def test_freesound_recordings_are_known_under_every_corpus_that_cut_from_them() -> None:
    for corpus in ("UrbanSound8K", "ESC-50", "ESC-10", "freesound (ESC-50)", "freesound"):
        assert "freesound/recording/105270" in recording_groups(corpus, "105270")
    assert recording_groups("freesound", "1") == ("freesound/recording/1",)


def test_musan_groups_by_recording_and_states_its_licence(musan: Path) -> None:
    first, second = MUSAN.read(musan, role="noise")
    assert first.groups == ("musan/recording/noise-free-sound-0000",)
    assert first.groups != second.groups
    assert {clip.split for clip in (first, second)} == {"train"}
    assert first.licence.startswith("CC BY 4.0")
    assert first.commercial_use


def test_musan_refuses_noise_as_speech_and_other_folders(musan: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="part 'music' holds no speech to learn from; use part speech, or --noise"):
        list(MUSAN.read(musan, "music", "speech"))
    # This folder has speech/ and noise/ too, but none of MUSAN's names in them.
    other = plant(tmp_path / "other", "speech/ann/1.wav", "noise/rain/1.wav")
    with pytest.raises(CorpusError, match=r"is not MUSAN: expected noise/SOURCE/noise-SOURCE-0000\.wav; found: "):
        list(MUSAN.read(other, role="noise"))


def test_all_channels_of_a_room_are_one_group(tmp_path: Path) -> None:
    channels = [f"ch{n:02d}.wav" for n in range(1, 17)]
    plant(tmp_path, *(f"DKITCHEN/{name}" for name in channels), *(f"TBUS_48k/TBUS/{name}" for name in channels))
    plant(tmp_path, "DKITCHEN/ch17.wav", "DKITCHEN/notes.txt")
    clips = list(DEMAND.read(tmp_path))
    assert len(clips) == 32
    assert {clip.kind: clip.groups for clip in clips} == {
        "DKITCHEN": ("demand/room/DKITCHEN",),
        "TBUS": ("demand/room/TBUS",),
    }
    assert {(c.licence, c.commercial_use, c.split) for c in clips} == {("CC BY-SA 3.0", True, "train")}
    assert [clip.path.name for clip in DEMAND.read(tmp_path, "ch01")] == ["ch01.wav", "ch01.wav"]
    assert len(list(DEMAND.read(tmp_path / "DKITCHEN"))) == 16


def test_a_room_at_both_rates_is_one_room(tmp_path: Path) -> None:
    plant(tmp_path, "TBUS_48k/ch01.wav", "TBUS_16k/ch01.wav")
    assert {clip.groups for clip in DEMAND.read(tmp_path)} == {("demand/room/TBUS",)}


def test_another_folder_is_not_demand(tmp_path: Path) -> None:
    plant(tmp_path, "air_conditioner/1.ogg", "rain/1.ogg")
    with pytest.raises(
        CorpusError, match=r"is not DEMAND: expected ROOM/ch01\.wav … ch16\.wav; found: air_conditioner, "
    ):
        list(DEMAND.read(tmp_path))


def check_noise_folder(root: Path) -> None:
    """Each row of the manifest is a clip of its kind and licence, grouped by recording."""
    listed = [row for row in rows(root / "manifest.csv") if row["path"].startswith("noise/")]
    clips = list(FOLDER.read(root / "noise", role="noise"))
    assert sorted(clip.path for clip in clips) == sorted(root / row["path"] for row in listed)
    assert {clip.kind for clip in clips} == {row["speaker_or_kind"] for row in listed}
    assert all(clip.path.is_file() and clip.role == "noise" for clip in clips)
    assert all("/recording/" in name for clip in clips for name in clip.groups)
    use = {(clip.path, clip.licence, clip.commercial_use) for clip in clips}
    assert use == {(root / row["path"], row["licence"], row["commercial_use"] == "yes") for row in listed}


def test_a_noise_folder_is_read_by_its_manifest(recordings: Path) -> None:
    check_noise_folder(recordings)


def test_a_large_noise_folder_is_read_by_its_manifest(data: Path) -> None:
    check_noise_folder(data)


def test_one_kind_of_a_noise_folder_still_finds_its_manifest(recordings: Path) -> None:
    clips = list(FOLDER.read(recordings / "noise" / "rain", role="noise"))
    assert {clip.kind for clip in clips} == {"rain"}
    assert "unknown" not in {clip.licence for clip in clips}


def test_slices_of_one_recording_in_two_splits_are_a_leak(recordings: Path) -> None:
    train = list(FOLDER.read(recordings / "noise", "train", "noise"))
    test = list(FOLDER.read(recordings / "noise" / "rain", "test", "noise"))
    assert set(leaks([*train, *test])) == {name for clip in test for name in clip.groups}


def test_without_a_manifest_each_noise_file_is_a_group(tmp_path: Path) -> None:
    plant(tmp_path, "rain/1.ogg", "rain/2.ogg", "top.wav")
    clips = list(FOLDER.read(tmp_path, role="noise"))
    assert [clip.kind for clip in clips] == ["rain", "rain", tmp_path.name]
    assert len({clip.groups for clip in clips}) == 3
    assert clips[0].groups == (f"folder/recording/{tmp_path.name}/rain/1.ogg",)


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    plant(tmp_path / "elsewhere", "far.wav")
    plant(tmp_path / "mine", "rain/near.wav")
    (tmp_path / "mine" / "rain" / "up").symlink_to(tmp_path / "mine")
    (tmp_path / "mine" / "wind").symlink_to(tmp_path / "elsewhere")
    clips = FOLDER.read(tmp_path / "mine", role="noise")
    assert [clip.path.name for clip in clips] == ["near.wav", "far.wav"]
