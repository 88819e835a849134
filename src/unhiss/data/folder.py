"""Any folder of recordings, searched to any depth: your own speech or noise.

    PATH/
      rain/heavy.ogg                the parent folder is the speaker (--speech) or the kind (--noise)
      dog_bark/1.wav                wav, flac, ogg, opus, mp3, aiff, au, caf, w64
    manifest.csv                    optional; in PATH or up to two folders above it; must have a column `path`

A manifest is honoured: path (relative to it), speaker_or_kind, recording, source, licence, commercial_use
(yes or no), seconds, language, text; only its rows beneath PATH count, and files it does not name are skipped.
One role a call: give the speech and the noise of a mixed manifest as two paths.

Parts: train (default), valid, test: the split all of it goes to; a plain folder has no division of its own.
Must not be torn apart: a speaker (and its recording); a noise's source recording, else the file itself.
Licence: the manifest's; "unknown", and not for commercial use, where there is none.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import SPLITS, Clip, Corpus, group, number, recordings, table
from unhiss.data.freesound import recording_groups

PREFIX = re.compile(r"(libri|vctk)-")  # as in libri-1034: the corpus's own number follows


def _has_paths(manifest: Path) -> bool:
    """Whether this is a list of files; a folder of pairs has a manifest.csv of another kind."""
    if not manifest.is_file():
        return False
    with manifest.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        return "path" in next(csv.reader(file), [])


def _whole(path: Path) -> Path:
    """The path from the root, without `..`; links are left as they are, so that names stay the user's."""
    return Path(os.path.normpath(path.absolute()))


def _listed(path: Path) -> list[tuple[Path, dict[str, str]]]:
    """Files beneath `path` with their rows, from the nearest manifest that lists any."""
    top = _whole(path)
    for base in (top, top.parent, top.parent.parent):
        if not _has_paths(base / "manifest.csv"):
            continue
        files = [(_whole(base / row["path"]), row) for row in table(base / "manifest.csv", ["path"], ",")]
        found = [(path / file.relative_to(top), row) for file, row in files if file.is_relative_to(top)]
        if found:
            return sorted(found, key=lambda item: item[0])
    return []


def _own(file: Path) -> tuple[str, str]:
    """Names of a file's parent and of the file that stay the same however PATH was given."""
    parent = _whole(file).parent
    name = f"{parent.parent.name}/{parent.name}"
    return name, f"{name}/{file.name}"


def _groups(file: Path, row: dict[str, str], role: str) -> tuple[str, ...]:
    parent, itself = _own(file)
    source, recording, speaker = (row.get(key, "") for key in ("source", "recording", "speaker_or_kind"))
    whole = (
        recording_groups(source, recording)
        if source and recording
        else (group("folder", "recording", recording or itself),)
    )
    if role == "noise":
        return whole
    if not speaker:
        return group("folder", "speaker", parent), *(whole if recording else ())
    return group(source or "folder", "speaker", PREFIX.sub("", speaker, count=1)), *whole


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    for file, row in _listed(path) or ((file, {}) for file in recordings(path)):
        yield Clip(
            path=file,
            corpus=row.get("source") or CORPUS.name,
            role=role,
            kind=row.get("speaker_or_kind") or _whole(file).parent.name,
            groups=_groups(file, row, role),
            split=part,
            loose=part == CORPUS.parts[0],  # another part can only be the user's own word
            licence=row.get("licence") or CORPUS.licence,
            commercial_use=row.get("commercial_use", "").strip().lower() in ("yes", "true", "1"),
            language=row.get("language", ""),
            text=row.get("text", ""),
            seconds=number(row.get("seconds", "")),
        )


CORPUS = Corpus(
    name="folder",
    role="",
    parts=SPLITS,
    licence="unknown",
    citation="",
    source="",
    reader=_clips,
    tables=("manifest.csv",),
)
