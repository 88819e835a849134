"""Common Voice: every release by column name, one language or all, no speaker in two splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from corpus_trees import COMMON_VOICE, COMMON_VOICE_NEW, lines, plant, rows

from unhiss.data.clips import leaks
from unhiss.data.common_voice import CORPUS
from unhiss.errors import CorpusError

RELEASE = "cv-corpus-6.1-2020-12-11"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    root = tmp_path / "cv-corpus-6.1-2020-12-11"
    lines(
        root / "en" / "train.tsv",
        COMMON_VOICE,
        'ann\ta.mp3\t"He saw ""x""."\t2\t0\t\t\t\ten\t',
        'ann\tb.mp3\tFive " of snow\t2\t0\t\t\t\ten\t',
    )
    lines(root / "en" / "dev.tsv", COMMON_VOICE, "bob\tc.mp3\tHello\t2\t0\t\t\t\ten\t")
    lines(root / "en" / "test.tsv", COMMON_VOICE, "cat\td.mp3\tHi\t2\t0\t\t\t\ten\t")
    lines(root / "en" / "validated.tsv", COMMON_VOICE, "ann\ta.mp3\tx\t2\t0\t\t\t\ten\t")
    lines(root / "de" / "train.tsv", COMMON_VOICE, "dora\te.mp3\tJa\t2\t0\t\t\t\tde\t")
    return root


@pytest.mark.parametrize(
    ("part", "split"), [("train", "train"), ("dev", "valid"), ("test", "test"), ("validated", "train")]
)
def test_each_table_goes_to_its_split(release: Path, part: str, split: str) -> None:
    clips = list(CORPUS.read(release, part))
    assert {clip.split for clip in clips} == {split}
    assert {clip.licence for clip in clips} == {"CC0 1.0"}
    assert all(clip.commercial_use and clip.role == "speech" for clip in clips)


def test_the_speaker_is_the_group_in_every_table(release: Path) -> None:
    clips = [clip for part in ("train", "validated") for clip in CORPUS.read(release, part) if clip.kind == "ann"]
    assert len(clips) == 3
    assert {clip.groups for clip in clips} == {("commonvoice/speaker/ann",)}


def test_a_release_gives_all_languages_and_a_language_only_itself(release: Path) -> None:
    assert [clip.language for clip in CORPUS.read(release)] == ["de", "en", "en"]
    assert [clip.path for clip in CORPUS.read(release / "de")] == [release / "de" / "clips" / "e.mp3"]
    # German has no dev.tsv here, English has: what is there is read.
    assert [clip.language for clip in CORPUS.read(release, "dev")] == ["en"]


def test_csv_quotes_go_and_lone_quotes_stay(release: Path) -> None:
    assert [clip.text for clip in CORPUS.read(release / "en")] == ['He saw "x".', 'Five " of snow']


def test_newer_releases_read_by_column_name_and_tell_the_length(tmp_path: Path) -> None:
    row = "ann\ta.mp3\tid1\tHello\t\t2\t0\t\t\tUnited States\t\ten\t"
    lines(tmp_path / "en" / "train.tsv", COMMON_VOICE_NEW, row, row.replace("a.mp3", "b.mp3"))
    lines(tmp_path / "en" / "clip_durations.tsv", "clip\tduration[ms]", "a.mp3\t4320")
    assert [(clip.text, clip.seconds) for clip in CORPUS.read(tmp_path)] == [("Hello", 4.32), ("Hello", None)]


def test_the_first_releases_name_clips_without_extension(tmp_path: Path) -> None:
    lines(tmp_path / "en" / "train.tsv", "client_id\tpath\tsentence", "ann\t0a1b\tHello")
    assert [clip.path.name for clip in CORPUS.read(tmp_path)] == ["0a1b.mp3"]


def check_release(root: Path) -> None:
    """Every row of every language is a clip with a text; no speaker is in two of its splits."""
    languages = [folder for folder in root.iterdir() if (folder / "train.tsv").is_file()]
    tables = {
        part: [row for folder in languages for row in rows(folder / f"{part}.tsv", "\t")] for part in ("train", "dev")
    }
    by_part = {part: list(CORPUS.read(root, part)) for part in tables}
    for part, clips in by_part.items():
        assert sorted(clip.path.name for clip in clips) == sorted(row["path"] for row in tables[part])
        assert {clip.kind for clip in clips} == {row["client_id"] for row in tables[part]}
    clips = [*by_part["train"], *by_part["dev"]]
    assert {clip.language for clip in clips} == {folder.name for folder in languages}
    assert not leaks(clips)
    assert all(clip.path.is_file() and clip.text for clip in clips)
    assert not [clip.text for clip in clips if '""' in clip.text]
    # validated contains dev, so the two leak exactly dev's speakers.
    both = [*CORPUS.read(root, "validated"), *by_part["dev"]]
    assert set(leaks(both)) == {name for clip in by_part["dev"] for name in clip.groups}


def test_a_release_has_every_row_and_no_speaker_in_two_splits(recordings: Path) -> None:
    check_release(recordings / RELEASE)


def test_a_large_release_has_every_row_and_no_speaker_in_two_splits(data: Path) -> None:
    check_release(data / RELEASE)


def test_a_missing_column_is_named_with_what_was_found(tmp_path: Path) -> None:
    lines(tmp_path / "en" / "train.tsv", "path\tsentence", "a.mp3\tHello")
    with pytest.raises(CorpusError, match=r"train\.tsv has no column 'client_id'; found: path, sentence"):
        list(CORPUS.read(tmp_path))


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_bytes(b"client_id\tpath\n\xff\xfe\x00\n")
    with pytest.raises(CorpusError, match=r"train\.tsv is no table in UTF-8"):
        list(CORPUS.read(tmp_path))


def test_another_corpus_at_the_path_is_reported(tmp_path: Path) -> None:
    plant(tmp_path / "UrbanSound8K", "audio/fold1/a.wav", "metadata/UrbanSound8K.csv")
    with pytest.raises(CorpusError, match=r"is not Common Voice: expected LANG/train\.tsv; found: audio, metadata"):
        list(CORPUS.read(tmp_path / "UrbanSound8K"))
    lines(tmp_path / "en" / "dev.tsv", COMMON_VOICE)
    with pytest.raises(CorpusError, match=r"no language in .* has a test\.tsv; found: dev\.tsv"):
        list(CORPUS.read(tmp_path, "test"))
    with pytest.raises(CorpusError, match="holds no speech of common-voice, part 'dev'"):
        list(CORPUS.read(tmp_path, "dev"))
