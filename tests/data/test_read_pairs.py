"""Ready pairs: VoiceBank+DEMAND, DNS and unhiss's own layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_trees import lines, plant, rows

from unhiss.data.clips import leaks
from unhiss.data.folder import CORPUS as FOLDER
from unhiss.data.pairs import CORPUS
from unhiss.errors import CorpusError


@pytest.fixture
def voicebank(tmp_path: Path) -> Path:
    for side in ("clean", "noisy"):
        plant(tmp_path, f"{side}_trainset_28spk_wav/p226_001.wav", f"{side}_trainset_28spk_wav/p226_002.wav")
        plant(tmp_path, f"{side}_testset_wav/p232_001.wav")
    return tmp_path


@pytest.fixture
def dns(tmp_path: Path) -> Path:
    noisy = "noisy/book_00000_chp_0009_reader_06709_0_tl-27_snr5_fileid_{}.wav"
    plant(tmp_path, *(noisy.format(n) for n in (1, 2, 10)), "noise/noise_fileid_1.wav")
    return plant(tmp_path, *(f"clean/clean_fileid_{n}.wav" for n in (1, 2, 10)))


def test_voicebank_has_train_and_test_with_noisy_recordings_and_vctks_speakers(voicebank: Path) -> None:
    train, test = list(CORPUS.read(voicebank, role="speech")), list(CORPUS.read(voicebank, "test", "speech"))
    assert [clip.path.name for clip in train] == ["p226_001.wav", "p226_002.wav"]
    assert train[0].noisy == voicebank / "noisy_trainset_28spk_wav" / "p226_001.wav"
    assert {clip.groups for clip in train} == {("vctk/speaker/p226",)}
    assert [(clip.split, clip.kind) for clip in test] == [("test", "p232")]
    assert {(clip.licence, clip.commercial_use, clip.role) for clip in train} == {("CC BY 4.0", True, "speech")}
    assert not leaks([*train, *test])
    with pytest.raises(CorpusError, match=r"has no part 'valid' of VoiceBank\+DEMAND; found: clean_testset_wav, "):
        list(CORPUS.read(voicebank, "valid", "speech"))


def test_a_vctk_speaker_is_the_same_in_voicebank_and_in_a_manifest(voicebank: Path, tmp_path: Path) -> None:
    row = "a.wav,vctk-p226,p226_003,VCTK"
    lines(tmp_path / "speech" / "manifest.csv", "path,speaker_or_kind,recording,source", row)
    (vctk,) = FOLDER.read(plant(tmp_path / "speech", "a.wav"), role="speech")
    assert leaks([vctk, next(iter(CORPUS.read(voicebank, role="speech")))]) == {}
    for side in ("clean", "noisy"):
        plant(voicebank, f"{side}_testset_wav/p226_009.wav")
    assert "vctk/speaker/p226" in leaks([vctk, *CORPUS.read(voicebank, "test", "speech")])


def test_dns_pairs_by_file_id_and_groups_by_reader(dns: Path) -> None:
    clips = list(CORPUS.read(dns, role="speech"))
    ids = [(clip.path.stem.split("_")[-1], clip.noisy.stem.split("_")[-1]) for clip in clips if clip.noisy]
    assert ids == [("1", "1"), ("10", "10"), ("2", "2")]
    assert {clip.groups for clip in clips} == {("dns/speaker/06709",)}
    assert {(clip.licence, clip.commercial_use) for clip in clips} == {("mixed (DNS challenge, by part)", False)}


def test_dns_noise_comes_from_its_own_folder_and_never_from_a_mixture(dns: Path, voicebank: Path) -> None:
    assert [clip.path.name for clip in CORPUS.read(dns, role="noise")] == ["noise_fileid_1.wav"]
    (dns / "noise" / "noise_fileid_1.wav").unlink()
    (dns / "noise").rmdir()
    with pytest.raises(CorpusError, match="has no noise/: these pairs hold noise only mixed with speech"):
        list(CORPUS.read(dns, role="noise"))


def test_real_pairs_have_their_speaker_and_language(real_pairs: Path) -> None:
    clips = list(CORPUS.read(real_pairs, "valid", "speech"))
    listed = {row["id"]: (row["speaker"], row["language"]) for row in rows(real_pairs / "manifest.csv")}
    assert {clip.path.stem: (clip.kind, clip.language) for clip in clips} == listed
    assert {clip.split for clip in clips} == {"valid"}
    assert len({clip.groups for clip in clips}) == len({speaker for speaker, _ in listed.values()})
    assert all(clip.noisy is not None and clip.noisy.is_file() and clip.path.is_file() for clip in clips)
    assert {(clip.licence, clip.commercial_use) for clip in clips} == {("unknown", False)}


def test_own_pairs_without_a_manifest_have_a_group_each(tmp_path: Path) -> None:
    plant(tmp_path / "set", "clean/a.flac", "noisy/a.wav", "clean/b.flac", "noisy/b.wav")
    first, second = CORPUS.read(tmp_path / "set", role="speech")
    assert first.groups == ("pairs/recording/set/clean/a.flac",)
    assert second.noisy == tmp_path / "set" / "noisy" / "b.wav"


def test_a_split_in_the_manifest_wins_over_the_part(tmp_path: Path) -> None:
    plant(tmp_path, *(f"{side}/{name}.wav" for side in ("clean", "noisy") for name in "abc"))
    lines(tmp_path / "manifest.csv", "id,speaker,split", "a,ann,train", "b,bob,valid", "c,cat,")
    stems = {part: [clip.path.stem for clip in CORPUS.read(tmp_path, part, "speech")] for part in ("train", "valid")}
    assert stems == {"train": ["a", "c"], "valid": ["b", "c"]}
    lines(tmp_path / "manifest.csv", "id,split", "a,dev")
    with pytest.raises(CorpusError, match=r"has the split 'dev'; expected train, valid, test"):
        list(CORPUS.read(tmp_path, role="speech"))


def test_faults_of_pairs_are_reported(tmp_path: Path) -> None:
    plant(tmp_path, "clean/a.wav", "noisy/b.wav")
    with pytest.raises(CorpusError, match=r"a\.wav has no noisy recording in .*noisy; pairs need both"):
        list(CORPUS.read(tmp_path, role="speech"))
    lines(tmp_path / "manifest.csv", "name,speaker", "a,ann")
    with pytest.raises(CorpusError, match=r"manifest\.csv has no column 'id'; found: name, speaker"):
        list(CORPUS.read(tmp_path, role="speech"))
    with pytest.raises(CorpusError, match=r"holds no pairs: expected clean/ and noisy/, .* found: a\.wav"):
        list(CORPUS.read(tmp_path / "clean", role="speech"))
