"""Any folder of recordings, searched to any depth: your own speech or noise.

    PATH/
      rain/heavy.ogg                the parent folder is the speaker (--speech) or the kind (--noise)
      dog_bark/1.wav                every format that unhiss denoises
    manifest.csv                    optional; in PATH or up to two folders above it; must have a column `path`

A manifest is honoured: path (relative to it), speaker_or_kind, recording, source, licence, commercial_use
(yes or no), seconds, language, text, and groups (more names of what stays in one split). Only its rows beneath PATH
count, and files it does not name are skipped.
One role a call: give the speech and the noise of a mixed manifest as two paths.

Parts: train (default), valid, test: the split all of it goes to; a plain folder has no division of its own.
Groups, which stay in one split: a speaker (and its recording); a noise's source recording, else the file itself.
Licence: the manifest's; "unknown", and not for commercial use, where there is none.
"""

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import SPLITS, Clip, Corpus, group, is_yes, number, recording_groups, recordings, table

SPEAKER_PREFIX = re.compile(r"(libri|vctk|cv)-")  # as in libri-1034: the corpus's own number follows
VERSION = re.compile(r"(?<=Common Voice) [\d.]+$")  # a speaker of one release is the same in the next


def _has_paths(manifest: Path) -> bool:
    """Whether this is a list of files; a folder of pairs has a manifest.csv of another kind."""
    if not manifest.is_file():
        return False
    with manifest.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        return "path" in next(csv.reader(file), [])


def _absolute(path: Path) -> Path:
    """The path from the root, without `..`; links are not resolved, so that names stay the user's."""
    return Path(os.path.normpath(path.absolute()))


def _rows(path: Path) -> list[tuple[Path, dict[str, str]]]:
    """Files beneath `path` with their rows, from the nearest manifest that lists any."""
    top = _absolute(path)
    for base in (top, top.parent, top.parent.parent):
        if not _has_paths(base / "manifest.csv"):
            continue
        files = [(_absolute(base / row["path"]), row) for row in table(base / "manifest.csv", ["path"], ",")]
        inside = [(path / file.relative_to(top), row) for file, row in files if file.is_relative_to(top)]
        if inside:
            return sorted(inside, key=lambda item: item[0])
    return []


def _groups(file: Path, row: dict[str, str], role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_own_groups(file, row, role), *row.get("groups", "").split())))


def _own_groups(file: Path, row: dict[str, str], role: str) -> tuple[str, ...]:
    parent = _absolute(file).parent
    folder = f"{parent.parent.name}/{parent.name}"  # stays the same however PATH was given
    source, recording, speaker = (row.get(key, "") for key in ("source", "recording", "speaker_or_kind"))
    if source and recording:
        recorded = recording_groups(source, recording)
    else:
        recorded = (group("folder", "recording", recording or f"{folder}/{file.name}"),)
    if role == "noise":
        return recorded
    if not speaker:
        return group("folder", "speaker", folder), *(recorded if recording else ())
    corpus = VERSION.sub("", source) or "folder"
    return group(corpus, "speaker", SPEAKER_PREFIX.sub("", speaker, count=1)), *recorded


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    for file, row in _rows(path) or ((file, {}) for file in recordings(path)):
        yield Clip(
            path=file, kind=row.get("speaker_or_kind") or _absolute(file).parent.name, groups=_groups(file, row, role),
            split=part, flexible_split=part == SPLITS[0],  # any other part was chosen by the user
            commercial_use=is_yes(row.get("commercial_use", "")), seconds=number(row.get("seconds", "")),
            corpus=row.get("source", ""), licence=row.get("licence", ""), language=row.get("language", ""),
            text=row.get("text", ""),
        )  # fmt: skip


CORPUS = Corpus(name="folder", reader=_clips, tables=("manifest.csv",))
