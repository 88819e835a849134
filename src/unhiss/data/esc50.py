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

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, root_of
from unhiss.data.folds import fold_parts, read_folds

TABLE = "meta/esc50.csv"
FOLDS = 5
COLUMNS = ("filename", "fold", "category", "esc10", "src_file")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    root = root_of(path, "ESC-50", TABLE)
    for row, common in read_folds(root / TABLE, "ESC-50", COLUMNS, "src_file", FOLDS, part):
        in_esc10 = row["esc10"].strip().lower() == "true"
        yield Clip(
            path=root / "audio" / row["filename"], kind=row["category"], seconds=5.0, commercial_use=in_esc10,
            licence="CC BY 3.0" if in_esc10 else "", **common,
        )  # fmt: skip


CORPUS = Corpus(
    name="esc50", role="noise", parts=fold_parts(FOLDS), licence="CC BY-NC 3.0", reader=_clips, tables=(TABLE,)
)
