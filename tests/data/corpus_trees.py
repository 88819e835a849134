"""Tiny fakes of corpora: real headers and layouts, files of a few bytes."""

from __future__ import annotations

import csv
from pathlib import Path

COMMON_VOICE = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\tlocale\tsegment"
COMMON_VOICE_NEW = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender\taccents\t"
    "variant\tlocale\tsegment"
)
URBANSOUND8K = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ESC50 = "filename,fold,target,category,esc10,src_file,take"
VOXCELEB1 = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"


def plant(root: Path, *names: str) -> Path:
    """Files that exist; readers never open audio."""
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"audio")
    return root


def lines(file: Path, *rows: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return file


def rows(file: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table, read without the code under test."""
    with file.open(encoding="utf-8", newline="") as lines:
        if delimiter == "\t":
            return list(csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        return list(csv.DictReader(lines, delimiter=delimiter))
