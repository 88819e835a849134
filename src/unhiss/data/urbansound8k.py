"""UrbanSound8K: 8,732 clips of at most 4 s from Freesound, of 10 kinds of city noise.

    UrbanSound8K/                   PATH, or the folder that holds it
      metadata/UrbanSound8K.csv     slice_file_name, fsID, start, end, salience, fold, classID, class
      audio/fold1 … fold10/100032-3-0-0.wav

Parts: train (default; folds 1 to 8), valid (9), test (10), all, and fold1 … fold10. Every row of the table
is a clip, whether its file is there or not. A fold and a source recording (fsID) must not be torn apart;
the five recordings that the corpus itself lays into two folds count as of their home fold (freesound.py).

Licence: CC BY-NC 3.0, and Freesound's credits (FREESOUNDCREDITS.txt).
Get it: https://urbansounddataset.weebly.com/urbansound8k.html
Citation: J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research",
ACM Multimedia 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, number, root_of, table
from unhiss.data.freesound import home_folds, recording_groups
from unhiss.errors import CorpusError

FOLDS = range(1, 11)


def split_of_fold(fold: int) -> str:
    return {9: "valid", 10: "test"}.get(fold, "train")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    root = root_of(path, "UrbanSound8K", "metadata/UrbanSound8K.csv")
    file = root / "metadata" / "UrbanSound8K.csv"
    rows = list(table(file, ["slice_file_name", "fsID", "start", "end", "fold", "class"], ","))
    for row in rows:
        if row["fold"] not in map(str, FOLDS):
            raise CorpusError(f"{file} has the fold {row['fold']!r}; expected 1 to 10")
    home = home_folds((row["fsID"], int(row["fold"])) for row in rows)
    for row in sorted(rows, key=lambda row: (int(row["fold"]), row["slice_file_name"])):
        fold = home[row["fsID"]]
        if part not in ("all", f"fold{fold}", split_of_fold(fold)):
            continue
        start, end = number(row["start"]), number(row["end"])
        yield Clip(
            path=root / "audio" / f"fold{row['fold']}" / row["slice_file_name"],
            corpus=CORPUS.name,
            role=role,
            kind=row["class"],
            groups=(*recording_groups("UrbanSound8K", row["fsID"]), group("UrbanSound8K", "fold", str(fold))),
            split=split_of_fold(fold),
            licence=CORPUS.licence,
            commercial_use=False,
            seconds=end - start if start is not None and end is not None else None,
        )


CORPUS = Corpus(
    name="urbansound8k",
    role="noise",
    parts=("train", "valid", "test", "all", *(f"fold{fold}" for fold in FOLDS)),
    licence="CC BY-NC 3.0",
    citation='J. Salamon et al., "A Dataset and Taxonomy for Urban Sound Research", ACM Multimedia 2014',
    source="https://urbansounddataset.weebly.com/urbansound8k.html",
    reader=_clips,
    tables=("metadata/UrbanSound8K.csv",),
)
