"""The registry, NAME:PATH[:SPLIT], and what every reader refuses before it looks inside."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from corpus_trees import plant

from unhiss.data.clips import ROLES, Corpus
from unhiss.data.corpora import CORPORA, MODULES, parse_spec
from unhiss.errors import CorpusError

NAMES = {
    "common-voice", "voxceleb1", "urbansound8k", "folder", "librispeech", "esc50", "musan", "demand", "pairs",
}  # fmt: skip
EVERY = pytest.mark.parametrize("corpus", CORPORA.values(), ids=lambda corpus: corpus.name)


def role_of(corpus: Corpus) -> str:
    return corpus.role or "noise"


def source_of(module: ModuleType) -> str:
    """The address that a reader's docstring gives; "" where there is none."""
    match = re.search(r"Get it: (https?://\S+)", str(module.__doc__))
    return match[1] if match else ""


def test_all_corpora_are_there_by_name() -> None:
    assert set(CORPORA) == NAMES


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.CORPUS.name)
def test_each_file_states_layout_licence_and_source_on_top(module: ModuleType) -> None:
    text, corpus = " ".join(str(module.__doc__).split()), module.CORPUS
    assert "Licence: " in text
    assert "stay in one split" in text
    assert corpus.licence.split(" (")[0] in text
    assert bool(source_of(module)) == ("Citation: " in text) == (corpus.name not in ("folder", "pairs"))
    assert corpus.role in (*ROLES, "")


@pytest.mark.parametrize(
    ("spec", "name", "path", "part"),
    [
        ("common-voice:/data/cv", "common-voice", "/data/cv", "train"),
        ("common-voice:/data/cv:dev", "common-voice", "/data/cv", "dev"),
        ("voxceleb1:/data/vox", "voxceleb1", "/data/vox", "dev"),
        ("urbansound8k:/data/US8K:fold7", "urbansound8k", "/data/US8K", "fold7"),
        ("folder:/a:b/c:d", "folder", "/a:b/c:d", "train"),
        ("folder:/a:b/c:d:test", "folder", "/a:b/c:d", "test"),
        (r"folder:C:\noise", "folder", r"C:\noise", "train"),
        ("demand:rooms", "demand", "rooms", "all"),
        # Only a part of this corpus is a SPLIT: DEMAND has no train.
        ("demand:rooms:train", "demand", "rooms:train", "all"),
    ],
)
def test_a_spec_is_name_path_and_maybe_part(spec: str, name: str, path: str, part: str) -> None:
    corpus, found, got = parse_spec(spec)
    assert (corpus.name, str(found), got) == (name, path, part)


def test_the_default_part_of_musan_follows_the_role() -> None:
    assert parse_spec("musan:m", "speech")[2] == "speech"
    assert parse_spec("musan:m", "noise")[2] == parse_spec("musan:m")[2] == "noise"


def test_home_is_written_as_a_tilde() -> None:
    assert parse_spec("folder:~/noise:valid")[1] == Path.home() / "noise"


def test_a_mistyped_name_or_part_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no corpus 'urbansound' in .*; did you mean 'urbansound8k'"):
        parse_spec("urbansound:/data")
    with pytest.raises(CorpusError, match="urbansound8k has no part 'trian'; did you mean 'train'"):
        parse_spec(f"urbansound8k:{tmp_path}:trian")
    with pytest.raises(CorpusError, match="names no folder; expected folder:PATH or folder:PATH:train"):
        parse_spec("folder")
    with pytest.raises(CorpusError, match="no corpus '/data/noise' in '/data/noise'; known: common-voice, "):
        parse_spec("/data/noise")


@EVERY
def test_every_reader_refuses_a_missing_an_empty_folder_and_a_file_at_once(corpus: Corpus, tmp_path: Path) -> None:
    # Called, not iterated: the user hears of it before any other corpus is read.
    with pytest.raises(CorpusError, match="missing does not exist; give the folder the corpus was unpacked into"):
        corpus.read(tmp_path / "missing", role=role_of(corpus))
    with pytest.raises(CorpusError, match="is empty; give the folder"):
        corpus.read(tmp_path, role=role_of(corpus))
    plant(tmp_path, "clip.wav")
    with pytest.raises(CorpusError, match=r"clip\.wav is a file; give the folder"):
        corpus.read(tmp_path / "clip.wav", role=role_of(corpus))


@EVERY
def test_every_reader_refuses_an_unknown_part(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=f"{corpus.name} has no part 'tset'; "):
        corpus.read(tmp_path, "tset", role_of(corpus))


@EVERY
def test_every_reader_says_in_one_line_that_a_stranger_is_at_the_path(corpus: Corpus, tmp_path: Path) -> None:
    plant(tmp_path, "holiday/beach.jpg", "readme.txt")
    with pytest.raises(CorpusError) as caught:
        list(corpus.read(tmp_path, role=role_of(corpus)))
    message = str(caught.value)
    assert message.count("\n") == 0
    assert str(tmp_path) in message
    assert "found: holiday, readme.txt" in message or corpus.name == "pairs"


@EVERY
def test_every_reader_knows_its_role(corpus: Corpus, tmp_path: Path) -> None:
    plant(tmp_path, "clip.wav")
    if not corpus.role:
        with pytest.raises(CorpusError, match="may be speech or noise; say which with --speech or --noise"):
            corpus.read(tmp_path)
    else:
        other = next(role for role in ROLES if role != corpus.role)
        with pytest.raises(CorpusError, match=f"holds {corpus.role}, not {other}; give it to --{corpus.role}"):
            corpus.read(tmp_path, role=other)


def test_the_data_page_states_each_corpus_as_its_reader_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for corpus, module in zip(CORPORA.values(), MODULES, strict=True):
        assert source_of(module) in page
        row = next(line for line in page.splitlines() if line.startswith(f"| `{corpus.name}` | "))
        assert corpus.licence in row
        assert f" {corpus.role or ('speech' if corpus.name == 'pairs' else 'either')} " in row
