"""A remote corpus gives the clips that it gives locally: names, groups, splits, sizes, and the URL of each."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_trees import COMMON_VOICE, ESC50, URBANSOUND8K, VOXCELEB1, lines, plant

from unhiss.data import remote_corpus
from unhiss.data.clips import Clip
from unhiss.data.corpora import parse_spec
from unhiss.data.prepare import ClipSource, plan_shards
from unhiss.data.shards import Preprocessing
from unhiss.errors import CorpusError
from unhiss.remote import RemotePath

pytest.importorskip("fsspec", reason="pip install 'unhiss[remote]'")

MANIFEST = ("path,speaker_or_kind,recording,source", "voices/ann/1.wav,ann,r1,Mine", "voices/ann/2.wav,ann,r2,Mine")


def common_voice(root: Path) -> None:
    lines(root / "en" / "train.tsv", COMMON_VOICE, *(f"s{i}\tclip {i}\tSentence {i}" for i in range(3)))
    lines(root / "en" / "other.tsv", "no table that is needed")
    lines(root / "en" / "clip_durations.tsv", "clip\tduration[ms]", "clip 0.mp3\t1500")
    plant(root, "en/clips/clip 0.mp3", "en/clips/clip 1.mp3")  # the third is missing


def librispeech(root: Path) -> None:
    plant(root, "LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac")
    lines(root / "LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt", "103-1240-0000 CHAPTER ONE")


def voxceleb1(root: Path) -> None:
    plant(root, "wav/id10001/abc/00001.wav", "wav/id10002/abd/00001.wav")
    lines(root / "vox1_meta.csv", VOXCELEB1, "id10001\tA\tf\tUK\tdev", "id10002\tB\tm\tUK\ttest")


def urbansound8k(root: Path) -> None:
    lines(root / "UrbanSound8K/metadata/UrbanSound8K.csv", URBANSOUND8K, "1-3-0-0.wav,1,0,2.5,1,1,3,dog_bark")
    plant(root, "UrbanSound8K/audio/fold1/1-3-0-0.wav")


def esc50(root: Path) -> None:
    lines(root / "meta/esc50.csv", ESC50, "1-7-A-0.wav,1,0,dog,True,7,A")
    plant(root, "audio/1-7-A-0.wav")


TREES = {
    "common-voice": (common_voice, "speech", ""),
    "common-voice:en": (common_voice, "speech", "en"),
    "librispeech": (librispeech, "speech", ""),
    "voxceleb1": (voxceleb1, "speech", ""),
    "voxceleb1:below its table": (voxceleb1, "speech", "wav"),
    "urbansound8k": (urbansound8k, "noise", ""),
    "esc50": (esc50, "noise", ""),
    "musan": (lambda root: plant(root, "musan/noise/free-sound/noise-free-sound-0000.wav"), "noise", ""),
    "demand": (lambda root: plant(root, "DKITCHEN_48k/DKITCHEN/ch01.wav", "DKITCHEN/ch02.wav"), "noise", ""),
    "pairs": (lambda root: plant(root, "clean/1.wav", "noisy/1.wav", "noise/1.wav"), "speech", ""),
    "folder": (lambda root: plant(root, "ann/1.wav", "bob/2 ä#%.flac", "bob/.hidden.wav", "notes.txt"), "speech", ""),
    "folder:below its manifest": (
        lambda root: lines(plant(root, "voices/ann/1.wav") / "manifest.csv", *MANIFEST), "speech", "voices/ann"
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", TREES)
def test_a_remote_corpus_gives_the_clips_of_a_local_one(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = which.partition(":")[0]
    make_tree, role, below = TREES[which]
    root = tmp_path / "corpus"
    make_tree(root)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder, url = root / below, RemotePath(f"file://{root / below}")
    corpus, path, part = parse_spec(f"{name}:{folder}", role)
    assert isinstance(path, Path)
    local = ClipSource("", path, list(corpus.read(path, part, role)))
    remote = remote_corpus.read_remote("", corpus, url, part, role)
    assert list((tmp_path / "temporary").iterdir()) == [], "the mirror is removed"
    for clip in remote.clips:
        assert clip.url and Path(clip.url.url.removeprefix("file://")) == folder / clip.path.relative_to(remote.root)
    # A plan names each clip by its id; apart from these fields a clip has no path in it.
    one, other = (plan_shards([source], Preprocessing(), 0.0, 0) for source in (local, remote))
    assert one.fingerprint == other.fingerprint and one.rejected == other.rejected

    def without_paths(clip: Clip) -> Clip:
        return replace(clip, path=Path(), url=None, size=None, noisy=None)

    assert [(key, without_paths(clip)) for key, clip in one.clips] == [
        (key, without_paths(clip)) for key, clip in other.clips
    ]


def test_an_error_names_the_url_and_not_its_mirror(tmp_path: Path) -> None:
    plant(tmp_path, "a/b.wav")
    corpus, url, part = parse_spec(f"common-voice:file://{tmp_path}")
    assert isinstance(url, RemotePath)
    with pytest.raises(CorpusError, match=rf"^file://{tmp_path} is not Common Voice: expected .*; found: a$"):
        remote_corpus.read_remote("", corpus, url, part, "speech")
    with pytest.raises(CorpusError, match="/empty holds no file"):
        remote_corpus.read_remote("", corpus, url / "empty", part, "speech")
    with pytest.raises(CorpusError, match="leads nowhere"):
        remote_corpus.read_remote("", corpus, url / ".." / "x", part, "speech")


def test_a_recording_named_by_two_urls_counts_once(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.wav", "a/2.wav")
    corpus, url, part = parse_spec(f"folder:file://{tmp_path}/a", "speech")
    assert isinstance(url, RemotePath)
    sources = [remote_corpus.read_remote("", corpus, url, part, "speech") for _ in range(2)]
    plan = plan_shards(sources, Preprocessing(), 0.0, 0)
    assert len(plan.clips) == 2 and [item["reason"] for item in plan.rejected] == ["repeated"] * 2


@pytest.mark.parametrize(
    ("spec", "path", "part"),
    [
        ("folder:s3://bucket/voices", "s3://bucket/voices", "train"),
        ("folder:s3://bucket/voices:test", "s3://bucket/voices", "test"),
        ("folder:http://127.0.0.1:8000/voices:valid", "http://127.0.0.1:8000/voices", "valid"),
        ("common-voice:http://host:80", "http://host:80", "train"),
    ],
)
def test_a_url_in_a_spec_keeps_its_colons(spec: str, path: str, part: str) -> None:
    assert parse_spec(spec, "speech")[1:] == (RemotePath(path), part)
