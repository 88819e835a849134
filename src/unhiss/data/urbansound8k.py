"""UrbanSound8K: 8,732 clips of at most 4 s from Freesound, of 10 kinds of city noise.

    UrbanSound8K/                   PATH, or the folder that contains it
      metadata/UrbanSound8K.csv     slice_file_name, fsID, start, end, salience, fold, classID, class
      audio/fold1 … fold10/100032-3-0-0.wav

Parts: train (default; folds 1 to 8), valid (9), test (10), all, and fold1 … fold10. Every row of the table
is a clip, whether its file exists or not. Groups, which stay in one split: fold, and source recording (fsID);
the five recordings that the corpus itself puts into two folds count as of their home fold (folds.py).

Licence: CC BY-NC 3.0, and Freesound's credits (FREESOUNDCREDITS.txt).
Get it: https://urbansounddataset.weebly.com/urbansound8k.html
Citation: J. Salamon, C. Jacoby, J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research",
ACM Multimedia 2014.
"""

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, number, root_of
from unhiss.data.folds import fold_parts, read_folds

TABLE = "metadata/UrbanSound8K.csv"
FOLDS = 10
COLUMNS = ("slice_file_name", "fsID", "start", "end", "fold", "class")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    root = root_of(path, "UrbanSound8K", TABLE)
    for row, common in read_folds(root / TABLE, "UrbanSound8K", COLUMNS, "fsID", FOLDS, part):
        start, end = number(row["start"]), number(row["end"])
        seconds = end - start if start is not None and end is not None else None
        file = root / "audio" / f"fold{row['fold']}" / row["slice_file_name"]
        yield Clip(path=file, kind=row["class"], seconds=seconds, **common)


CORPUS = Corpus(
    name="urbansound8k", role="noise", parts=fold_parts(FOLDS), licence="CC BY-NC 3.0", reader=_clips, tables=(TABLE,)
)
