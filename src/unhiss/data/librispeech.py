"""LibriSpeech: 1,000 hours of English read for LibriVox audiobooks; FLAC at 16 kHz.

    LibriSpeech/                    PATH, or the folder that contains it, or one subset
      train-clean-100/              subsets: train-*, dev-*, test-*
        103/                        speaker
          1240/                     chapter
            103-1240-0000.flac
            103-1240.trans.txt      one line an utterance: ID TEXT (may be missing)

Parts: train (default), dev, test and all. With one subset at PATH that subset is read, whatever the default.
Groups, which stay in one split: speaker.

Licence: CC BY 4.0. Get it: https://www.openslr.org/12
Citation: V. Panayotov, G. Chen, D. Povey, S. Khudanpur, "Librispeech: an ASR corpus based on public domain
audio books", ICASSP 2015.
"""

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, listing, recordings
from unhiss.errors import CorpusError

SPLIT_OF_PART = {"train": "train", "dev": "valid", "test": "test"}


def _part(subset: Path) -> str:
    """train, dev or test, from a subset's name; "" for any other folder."""
    part = subset.absolute().name.split("-")[0]
    return part if part in SPLIT_OF_PART and any(_chapters(subset)) else ""


def _chapters(subset: Path) -> Iterator[Path]:
    return (chapter for speaker in _numbered_folders(subset) for chapter in _numbered_folders(speaker))


def _numbered_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.name.isdigit() and entry.is_dir())


def _subsets(path: Path, part: str) -> list[Path]:
    if single := _part(path):
        if part not in ("all", single, "train"):
            raise CorpusError(f"{path} is the subset of part {single!r}, not {part!r}; leave the part out")
        return [path]
    for root in (path, path / "LibriSpeech"):
        entries = sorted(root.iterdir()) if root.is_dir() else []
        if subsets := {entry: _part(entry) for entry in entries if entry.is_dir() and _part(entry)}:
            return [subset for subset, its_part in subsets.items() if part in ("all", its_part)]
    raise CorpusError(
        f"{path} is not LibriSpeech: expected train-clean-100/SPEAKER/CHAPTER/*.flac or the like; "
        f"found: {listing(path)}"
    )


def _texts(chapter: Path) -> dict[str, str]:
    files = sorted(chapter.glob("*.trans.txt"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return dict(line.split(" ", 1) for line in lines if " " in line)


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    for subset in _subsets(path, part):
        for chapter in _chapters(subset):
            texts = _texts(chapter)
            speaker = chapter.parent.name
            for file in recordings(chapter):
                yield Clip(
                    path=file, kind=speaker, groups=(group("LibriSpeech", "speaker", speaker),),
                    split=SPLIT_OF_PART[_part(subset)], commercial_use=True, language="en",
                    text=texts.get(file.stem, ""),
                )  # fmt: skip


CORPUS = Corpus(
    name="librispeech", role="speech", parts=(*SPLIT_OF_PART, "all"), licence="CC BY 4.0", reader=_clips,
    tables=("*.trans.txt",),
)  # fmt: skip
