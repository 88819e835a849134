"""A corpus read by its shadow gives the clips that it gives here: names, groups, splits, sizes, and where each lies."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_trees import COMMON_VOICE, ESC50, URBANSOUND8K, VOXCELEB1, lines, plant

from unhiss.data import elsewhere
from unhiss.data.corpora import parse
from unhiss.data.plan import Source, make_plan
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
def test_a_shadow_gives_the_clips_of_the_corpus(which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = which.partition(":")[0]
    plant_it, role, below = TREES[which]
    root = tmp_path / "corpus"
    plant_it(root)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    here, there = root / below, RemotePath(f"file://{root / below}")
    corpus, path, part = parse(f"{name}:{here}", role)
    local = Source("", path, list(corpus.read(path, part, role)))
    far = elsewhere.source("", corpus, there, part, role)
    assert list((tmp_path / "temporary").iterdir()) == [], "the shadow goes"
    for clip in far.clips:
        assert clip.there and Path(clip.there.url.removeprefix("file://")) == here / clip.path.relative_to(far.root)
    # What is planned names each by its id; the rest of a clip has no path in it.
    one, other = (make_plan([source], Preprocessing(), 0.0, 0) for source in (local, far))
    assert one.fingerprint == other.fingerprint and one.rejected == other.rejected
    gone = {"path": Path(), "there": None, "size": None, "noisy": None}
    assert [(key, replace(clip, **gone)) for key, clip in one.clips] == [
        (key, replace(clip, **gone)) for key, clip in other.clips
    ]


def test_what_is_no_such_corpus_is_said_of_the_url(tmp_path: Path) -> None:
    plant(tmp_path, "a/b.wav")
    corpus, there, part = parse(f"common-voice:file://{tmp_path}")
    assert isinstance(there, RemotePath)
    with pytest.raises(CorpusError, match=rf"^file://{tmp_path} is not Common Voice: expected .*; found: a$"):
        elsewhere.source("", corpus, there, part, "speech")
    with pytest.raises(CorpusError, match="/empty holds no file"):
        elsewhere.source("", corpus, there / "empty", part, "speech")
    with pytest.raises(CorpusError, match="leads nowhere"):
        elsewhere.source("", corpus, there / ".." / "x", part, "speech")


def test_a_recording_named_by_two_urls_counts_once(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.wav", "a/2.wav")
    corpus, there, part = parse(f"folder:file://{tmp_path}/a", "speech")
    assert isinstance(there, RemotePath)
    found = [elsewhere.source("", corpus, there, part, "speech") for _ in range(2)]
    plan = make_plan(found, Preprocessing(), 0.0, 0)
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
    assert parse(spec, "speech")[1:] == (RemotePath(path), part)
