"""ESC-50: 2,000 clips of 5 s from Freesound, of 50 kinds of everyday sound; 44.1 kHz.

    ESC-50-master/                  PATH, or the folder that holds it
      meta/esc50.csv                filename, fold, target, category, esc10, src_file, take
      audio/1-100032-A-0.wav        FOLD-SRC_FILE-TAKE-TARGET.wav

Parts: train (default; folds 1 to 3), valid (4), test (5), all, and fold1 … fold5.
A fold and a source recording (src_file, its number at Freesound) must not be torn apart.

Licence: CC BY-NC 3.0; the 400 clips of its subset ESC-10 CC BY 3.0. Credits stand in its LICENSE file.
Get it: https://github.com/karolpiczak/ESC-50
Citation: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, root_of, table
from unhiss.data.freesound import home_folds, recording_groups
from unhiss.errors import CorpusError

FOLDS = range(1, 6)


def split_of_fold(fold: int) -> str:
    return {4: "valid", 5: "test"}.get(fold, "train")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    root = root_of(path, "ESC-50", "meta/esc50.csv")
    file = root / "meta" / "esc50.csv"
    rows = list(table(file, ["filename", "fold", "category", "esc10", "src_file"], ","))
    for row in rows:
        if row["fold"] not in map(str, FOLDS):
            raise CorpusError(f"{file} has the fold {row['fold']!r}; expected 1 to 5")
    home = home_folds((row["src_file"], int(row["fold"])) for row in rows)
    for row in sorted(rows, key=lambda row: row["filename"]):
        fold = home[row["src_file"]]
        if part not in ("all", f"fold{fold}", split_of_fold(fold)):
            continue
        free = row["esc10"].strip().lower() == "true"
        yield Clip(
            path=root / "audio" / row["filename"],
            corpus=CORPUS.name,
            role=role,
            kind=row["category"],
            groups=(*recording_groups("ESC-50", row["src_file"]), group("ESC-50", "fold", str(fold))),
            split=split_of_fold(fold),
            licence="CC BY 3.0" if free else CORPUS.licence,
            commercial_use=free,
            seconds=5.0,
        )


CORPUS = Corpus(
    name="esc50",
    role="noise",
    parts=("train", "valid", "test", "all", *(f"fold{fold}" for fold in FOLDS)),
    licence="CC BY-NC 3.0",
    citation='K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015',
    source="https://github.com/karolpiczak/ESC-50",
    reader=_clips,
    tables=("meta/esc50.csv",),
)
