"""WebDataset tars -> a prepared set: unhiss's own sample for sample, others' as `unhiss prepare` would take them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unhiss.data.clips import SPLITS, Clip, group, leaks
from unhiss.data.complete import complete, rejected_of
from unhiss.data.files import save
from unhiss.data.output import claim
from unhiss.data.rows import Row
from unhiss.data.shards import CLIPS_PER_SHARD, Preprocessing, Rejected, fits, load, rejection, write_header
from unhiss.data.store import Store
from unhiss.data.tars import SETTINGS, Sample, own_row, samples_of
from unhiss.errors import DataError


def import_tars(tars: list[Path], target: Path, role: str, preprocessing: Preprocessing) -> Store:
    """A prepared set of all samples of these tars.

    Of sets that unhiss exported: row for row and sample for sample, whatever `role` and `preprocessing` say.
    Of others: each sample is one recording, preprocessed as `unhiss prepare` does. Speaker, language, licence, split
    and text come from its .json (or .txt). Without a speaker, the whole tar stays in one split.
    Raises DataError where `target` holds something else, or a group would stand in two splits.
    """
    kept = _settings(tars)
    digest = hashlib.sha256(repr([(path.name, path.stat().st_size) for path in tars]).encode())
    digest.update(repr((role, asdict(preprocessing))).encode())
    with claim(target, f"tars {digest.hexdigest()}", "data set"):
        (target / "shards").mkdir(exist_ok=True)
        if not (target / SETTINGS).is_file():
            rate = kept.get("sample_rate", preprocessing.sample_rate)
            shards = _Shards(target / "shards", Preprocessing(**asdict(preprocessing) | {"sample_rate": rate}), role)
            for path in tars:
                shards.add(path)
            _refuse_leaks(shards.rows)
            facts = {
                "seed": kept.get("seed"), "sources": kept.get("sources", [f"tar:{path.name}" for path in tars]),
                "shards": shards.hashes,
            }  # fmt: skip
            rejected = [*(rejected_of(tars[0].parent) if kept else ()), *shards.rejected]
            lines = [row.to_json() for row in shards.rows]
            complete(target, lines, rejected, kept.get("preprocessing", asdict(shards.preprocessing)), facts)
    return Store(target)


def _settings(tars: list[Path]) -> dict[str, Any]:
    """Of the set that was exported, if all tars lie beside its dataset.json."""
    folders = {path.parent for path in tars}
    beside = min(folders) / SETTINGS
    if len(folders) > 1 or not beside.is_file():
        return {}
    try:
        found: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{beside} is damaged ({error}); export the set again") from error
    return found


class _Shards:
    """The shards that come about: rows and hashes of those that are written, clips left out."""

    def __init__(self, folder: Path, preprocessing: Preprocessing, role: str) -> None:
        self.folder, self.preprocessing, self.role = folder, preprocessing, role
        self.rows: list[Row] = []
        self.hashes: dict[str, str] = {}
        self.rejected: list[dict[str, str]] = []

    def add(self, path: Path) -> None:
        """The samples of a tar, as shards of one role and split each, of 64 clips and SHARD_BYTES at most."""
        waiting: dict[str, list[tuple[Row, np.ndarray]]] = {}
        for sample in samples_of(path):
            try:
                row, samples = self._taken(path, sample)
            except Rejected as why:
                self.rejected.append({**_nobody(path, sample), "reason": why.reason, "detail": why.detail})
                continue
            part = f"{row.role}-{row.split}"
            held = waiting.get(part, [])
            if held and not fits(sum(other.size for _, other in held), samples.size):
                self._write(part, waiting.pop(part))
            waiting.setdefault(part, []).append((row, samples))
            if len(waiting[part]) == CLIPS_PER_SHARD:
                self._write(part, waiting.pop(part))
        for part, held in waiting.items():
            self._write(part, held)

    def _write(self, part: str, held: list[tuple[Row, np.ndarray]]) -> None:
        number = sum(name.startswith(f"{part}-") for name in self.hashes)
        path = self.folder / f"{part}-{number:05d}.npy"

        def fill(file: BinaryIO) -> None:
            write_header(file, sum(samples.size for _, samples in held))
            for _, samples in held:
                file.write(samples.tobytes())

        self.hashes[path.name] = save(path, fill)
        offset = 0
        for row, samples in held:
            facts = asdict(row) | {"groups": row.groups, "shard": path.name, "offset": offset}
            self.rows.append(Row(**facts))
            offset += samples.size

    def _taken(self, path: Path, sample: Sample) -> tuple[Row, np.ndarray]:
        try:
            own = own_row(sample, "", 0, self.preprocessing.sample_rate)
            facts = sample.facts()
        except (ValueError, EOFError) as error:
            raise Rejected("broken", str(error)) from error
        if own:
            return own
        found = sample.audio()
        if found is None:
            raise Rejected("broken", "no recording among its members")
        with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
            file = Path(folder) / f"clip.{found[0].rpartition('.')[2]}"
            file.write_bytes(found[1])
            clip = _clip(file, path, self.role, facts)
            samples, measures = load(clip, self.preprocessing)
        row = Row(
            id=_nobody(path, sample)["id"], corpus=clip.corpus, role=clip.role, kind=clip.kind, groups=clip.groups,
            split=clip.split, licence=clip.licence, commercial_use=clip.commercial_use, language=clip.language,
            text=clip.text, shard="", offset=0, length=samples.size, **measures,
        )  # fmt: skip
        return row, samples


def _clip(file: Path, tar: Path, role: str, facts: dict[str, Any]) -> Clip:
    said = {name: str(facts.get(name) or "") for name in ("speaker", "kind", "language", "licence", "split", "text")}
    speaker = said["speaker"] or said["kind"]
    return Clip(
        path=file, corpus="webdataset", role=role, kind=speaker or tar.stem,
        groups=(group("webdataset", "speaker", speaker) if speaker else group("webdataset", "tar", tar.name),),
        split=said["split"] if said["split"] in SPLITS else _split(tar), licence=said["licence"] or "unknown",
        commercial_use=facts.get("commercial_use") is True, language=said["language"], text=said["text"],
    )  # fmt: skip


def _split(tar: Path) -> str:
    """As the tar's name has it, such as train-000001.tar; training where it has none."""
    return next((split for split in SPLITS if split in tar.stem.lower()), "train")


def _nobody(path: Path, sample: Sample) -> dict[str, str]:
    return rejection(f"webdataset/{path.stem}/{sample.key}", Clip(
        path=path, corpus="webdataset", role="", kind="", groups=(), split="", licence="", commercial_use=False,
    ), "", "")  # fmt: skip


def _refuse_leaks(rows: list[Row]) -> None:
    for name, splits in sorted(leaks(rows).items()):
        raise DataError(f"{name} would stand in {' and '.join(sorted(splits))}; import the parts as sets of their own")


def expand(given: list[Path]) -> Iterator[Path]:
    """Tars, and those in folders, by name. Raises DataError for a folder without any."""
    for path in given:
        if not path.is_dir():
            yield path
            continue
        found = sorted(entry for entry in path.iterdir() if entry.suffixes[:1] == [".tar"] or entry.suffix == ".tgz")
        if not found:
            raise DataError(f"{path} holds no .tar; give tars, or a folder of them")
        yield from found
