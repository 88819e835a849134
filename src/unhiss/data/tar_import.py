"""WebDataset tars -> a prepared set: unhiss's own sample for sample, others as `unhiss prepare` would process them."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from unhiss.data.clips import SPLITS, Clip, group, leaks
from unhiss.data.completion import complete_set, read_rejected
from unhiss.data.manifest import ManifestRow
from unhiss.data.output_folder import claim_folder
from unhiss.data.shards import CLIPS_PER_SHARD, Loaded, Preprocessing, Rejected, fits, load, rejection, write_shard
from unhiss.data.store import SETTINGS, Store
from unhiss.data.tar_export import TarSample, exported_row, tar_samples
from unhiss.errors import DataError

CORPUS = "webdataset"


def import_tars(tars: list[Path], target: Path, role: str, preprocessing: Preprocessing) -> Store:
    """A prepared set of all samples of these tars.

    Tars that unhiss exported give the same rows and samples, whatever `role` and `preprocessing` are.
    In other tars each sample is one recording, processed as `unhiss prepare` does; speaker, language, licence, split
    and text come from its .json (or .txt). Without a speaker, the whole tar stays in one split.
    Raises DataError where `target` holds something else, or a group would stand in two splits.
    """
    settings = _exported_settings(tars)
    digest = hashlib.sha256(repr([(path.name, path.stat().st_size) for path in tars]).encode())
    digest.update(repr((role, asdict(preprocessing))).encode())
    with claim_folder(target, f"tars {digest.hexdigest()}", "data set"):
        (target / "shards").mkdir(exist_ok=True)
        if not (target / SETTINGS).is_file():
            rate = settings.get("sample_rate", preprocessing.sample_rate)
            importer = _Importer(target / "shards", replace(preprocessing, sample_rate=rate), role)
            for path in tars:
                importer.add(path)
            for name, splits in sorted(leaks(importer.rows).items()):
                raise DataError(
                    f"{name} would stand in {' and '.join(sorted(splits))}; import the parts as sets of their own"
                )
            metadata = {
                "seed": settings.get("seed"), "sources": settings.get("sources", [f"tar:{path.name}" for path in tars]),
                "shards": importer.hashes,
            }  # fmt: skip
            rejected = [*(read_rejected(tars[0].parent) if settings else ()), *importer.rejected]
            lines = [row.to_json() for row in importer.rows]
            complete_set(
                target, lines, rejected, settings.get("preprocessing", asdict(importer.preprocessing)), metadata
            )
    return Store(target)


def _exported_settings(tars: list[Path]) -> dict[str, Any]:
    """dataset.json of the exported set, if all tars are in the folder with it; else {}."""
    folders = {path.parent for path in tars}
    file = min(folders) / SETTINGS
    if len(folders) > 1 or not file.is_file():
        return {}
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is damaged ({error}); export the set again") from error
    return settings


class _Importer:
    """Writes shards, and collects the rows and hashes of those written, and the clips left out."""

    def __init__(self, folder: Path, preprocessing: Preprocessing, role: str) -> None:
        self.folder, self.preprocessing, self.role = folder, preprocessing, role
        self.rows: list[ManifestRow] = []
        self.hashes: dict[str, str] = {}
        self.rejected: list[dict[str, str]] = []

    def add(self, path: Path) -> None:
        """Write the samples of a tar as shards of one role and split each, of 64 clips and SHARD_BYTES at most."""
        waiting: dict[str, list[Loaded]] = {}
        for sample in tar_samples(path):
            sample_id = f"{CORPUS}/{path.stem}/{sample.key}"
            try:
                row, samples = self._load(sample_id, path, sample)
            except Rejected as why:
                self.rejected.append(rejection(sample_id, CORPUS, why.reason, why.detail))
                continue
            part = f"{row.role}-{row.split}"
            clips = waiting.get(part, [])
            if clips and not fits(sum(other.size for _, other in clips), samples.size):
                self._write(part, waiting.pop(part))
            waiting.setdefault(part, []).append((row, samples))
            if len(waiting[part]) == CLIPS_PER_SHARD:
                self._write(part, waiting.pop(part))
        for part, clips in waiting.items():
            self._write(part, clips)

    def _write(self, part: str, clips: list[Loaded]) -> None:
        number = sum(name.startswith(f"{part}-") for name in self.hashes)
        path = self.folder / f"{part}-{number:05d}.npy"
        self.hashes[path.name], _ = write_shard(path, clips[0], iter(clips[1:]), self.rows)

    def _load(self, sample_id: str, path: Path, sample: TarSample) -> Loaded:
        try:
            exported = exported_row(sample, self.preprocessing.sample_rate)
            metadata = sample.metadata()
        except (ValueError, EOFError) as error:
            raise Rejected("broken", str(error)) from error
        if exported:
            return exported
        audio = sample.audio()
        if audio is None:
            raise Rejected("broken", "no recording among its members")
        ending, content = audio
        with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
            file = Path(folder) / f"clip.{ending.rpartition('.')[2]}"
            file.write_bytes(content)
            return load(sample_id, _clip(file, path, self.role, metadata), self.preprocessing)


def _clip(file: Path, tar: Path, role: str, metadata: dict[str, Any]) -> Clip:
    names = ("speaker", "kind", "language", "licence", "split", "text")
    values = {name: str(metadata.get(name) or "") for name in names}
    speaker = values["speaker"] or values["kind"]
    # Without a split of its own, a sample goes where the tar's name says, such as train-000001.tar, else to training.
    tar_split = next((split for split in SPLITS if split in tar.stem.lower()), "train")
    return Clip(
        path=file, corpus=CORPUS, role=role, kind=speaker or tar.stem,
        groups=(group(CORPUS, "speaker", speaker) if speaker else group(CORPUS, "tar", tar.name),),
        split=values["split"] if values["split"] in SPLITS else tar_split, licence=values["licence"] or "unknown",
        commercial_use=metadata.get("commercial_use") is True, language=values["language"], text=values["text"],
    )  # fmt: skip


def find_tars(paths: list[Path]) -> Iterator[Path]:
    """The tars among `paths`, and those in folders, by name. Raises DataError for a folder without any."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        tars = sorted(entry for entry in path.iterdir() if entry.suffixes[:1] == [".tar"] or entry.suffix == ".tgz")
        if not tars:
            raise DataError(f"{path} holds no .tar; give tars, or a folder of them")
        yield from tars
