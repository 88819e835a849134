"""ESC-50: 2,000 clips of 5 s from Freesound, of 50 kinds of everyday sound; 44.1 kHz.

    ESC-50-master/                  PATH, or the folder that contains it
      meta/esc50.csv                filename, fold, target, category, esc10, src_file, take
      audio/1-100032-A-0.wav        FOLD-SRC_FILE-TAKE-TARGET.wav

Parts: train (default; folds 1 to 3), valid (4), test (5), all, and fold1 … fold5.
Groups, which stay in one split: fold, and source recording (src_file, its number at Freesound).

Licence: CC BY-NC 3.0; the 400 clips of its subset ESC-10 CC BY 3.0. Credits are in its LICENSE file.
Get it: https://github.com/karolpiczak/ESC-50
Citation: K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, recording_groups, root_of
from unhiss.data.folds import fold_parts, read_folds

FOLDS = 5
COLUMNS = ("filename", "fold", "category", "esc10", "src_file")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    root = root_of(path, "ESC-50", "meta/esc50.csv")
    rows = read_folds(root / "meta" / "esc50.csv", COLUMNS, "src_file", FOLDS, part)
    for row, fold, split in sorted(rows, key=lambda item: item[0]["filename"]):
        in_esc10 = row["esc10"].strip().lower() == "true"
        yield Clip(
            path=root / "audio" / row["filename"],
            kind=row["category"],
            groups=(*recording_groups("ESC-50", row["src_file"]), group("ESC-50", "fold", str(fold))),
            split=split,
            licence="CC BY 3.0" if in_esc10 else "",
            commercial_use=in_esc10,
            seconds=5.0,
        )


CORPUS = Corpus(
    name="esc50",
    role="noise",
    parts=fold_parts(FOLDS),
    licence="CC BY-NC 3.0",
    source="https://github.com/karolpiczak/ESC-50",
    reader=_clips,
    tables=("meta/esc50.csv",),
)
