"""Prepared sets as WebDataset tars, a tar for each shard: KEY.wav and KEY.json one after the other; and the way back.

The format is a convention for names in a tar: members that share everything up to the first dot are one sample. The
standard library reads and writes that; the package webdataset would bring a data loader that nothing here needs.
"""

import hashlib
import io
import json
import tarfile
import tempfile
import wave
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from unhiss.data.clips import SPLITS, Clip, group, leaks
from unhiss.data.completion import REJECTED, complete_set, read_rejected
from unhiss.data.manifest import ManifestRow
from unhiss.data.output_folder import claim_folder
from unhiss.data.shards import CLIPS_PER_SHARD, Loaded, Preprocessing, Rejected, fits, load, rejection, write_shard
from unhiss.data.storage import file_names, save, save_bytes
from unhiss.data.store import SETTINGS, Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.errors import DataError
from unhiss.media.source import READABLE
from unhiss.media.writer import wav_bytes
from unhiss.remote import RemotePath

CORPUS = "webdataset"
POSITION = ("shard", "offset", "length")  # of a row: where its samples are in a set; a tar needs no such thing

Members = dict[str, bytes]  # of one sample: content by ending, which is what follows the first dot of the name


def export_tars(store: Store, folder: Path | RemotePath) -> int:
    """Write `store` into `folder`, a tar for each shard and dataset.json; returns the number of clips.

    KEY.wav has the samples, 16 bits; KEY.json the row and `sample_rate`. Equal sets give equal bytes. A run that was
    killed is resumed by the same call.
    """
    fingerprint = hashlib.sha256((store.folder / SETTINGS).read_bytes()).hexdigest()
    with claim_folder(folder, f"tars {fingerprint}", "set of tars") as temp_folder:
        existing = file_names(folder)
        for shard, rows in groupby(enumerate(store.rows), key=lambda item: item[1].shard):
            path = folder / f"{shard.removesuffix('.npy')}.tar"
            if path.name not in existing:
                save(path, partial(_write_tar, store=store, rows=list(rows)), temp_folder)
        for name in (REJECTED, SETTINGS):
            if (store.folder / name).is_file():
                save_bytes(folder / name, (store.folder / name).read_bytes())
    return len(store.rows)


def _write_tar(file: BinaryIO, store: Store, rows: list[tuple[int, ManifestRow]]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, row in rows:
            metadata = {name: value for name, value in asdict(row).items() if name not in POSITION}
            metadata["sample_rate"] = store.rate
            _add(tar, f"{number:09d}.wav", wav_bytes(store.samples(row) / np.float32(FULL_SCALE), store.rate))
            _add(tar, f"{number:09d}.json", json.dumps(metadata, ensure_ascii=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # its time and owner are zero, so that equal sets give equal bytes
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


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
            preprocessing = replace(preprocessing, sample_rate=settings.get("sample_rate", preprocessing.sample_rate))
            rejected = read_rejected(tars[0].parent) if settings else []
            rows: list[ManifestRow] = []
            hashes: dict[str, str] = {}
            counts: Counter[str] = Counter()
            for part, clips in _shards(tars, role, preprocessing, rejected):
                path = target / "shards" / f"{part}-{counts[part]:05d}.npy"
                counts[part] += 1
                hashes[path.name], _ = write_shard(path, clips[0], iter(clips[1:]), rows)
            for name, splits in sorted(leaks(rows).items()):
                raise DataError(
                    f"{name} would stand in {' and '.join(sorted(splits))}; import the parts as sets of their own"
                )
            sources = settings.get("sources", [f"tar:{path.name}" for path in tars])
            metadata = {"seed": settings.get("seed"), "sources": sources, "shards": hashes}
            lines = [row.to_json() for row in rows]
            complete_set(target, lines, rejected, settings.get("preprocessing", asdict(preprocessing)), metadata)
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


def _shards(
    tars: list[Path], role: str, preprocessing: Preprocessing, rejected: list[dict[str, str]]
) -> Iterator[tuple[str, list[Loaded]]]:
    """ROLE-SPLIT and clips of each shard: of one tar, 64 clips and SHARD_BYTES at most. Adds to `rejected`."""
    for path in tars:
        waiting: dict[str, list[Loaded]] = {}
        for key, members in _samples(path):
            clip_id = f"{CORPUS}/{path.stem}/{key}"
            try:
                loaded = _load(clip_id, path, members, role, preprocessing)
            except Rejected as why:
                rejected.append(rejection(clip_id, _clip(path, path, role, {}), why))
                continue
            for row, samples in loaded:
                part = f"{row.role}-{row.split}"
                if part in waiting and not fits(sum(other.size for _, other in waiting[part]), samples.size):
                    yield part, waiting.pop(part)
                waiting.setdefault(part, []).append((row, samples))
                if len(waiting[part]) == CLIPS_PER_SHARD:
                    yield part, waiting.pop(part)
        yield from waiting.items()


def _samples(path: Path) -> Iterator[tuple[str, Members]]:
    """Key and members of each sample of a tar, compressed or not, in its order. Raises DataError if it is damaged."""
    try:
        with tarfile.open(path, "r|*") as tar:
            members = ((*_split_name(member.name), tar.extractfile(member)) for member in tar if member.isfile())
            for key, sample in groupby(members, key=lambda item: item[0]):
                yield key, {end: file.read() for _, end, file in sample if file}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} is no whole tar ({error}); fetch or export it again") from error


def _split_name(name: str) -> tuple[str, str]:
    """
    >>> _split_name("a.b/c.clean.wav")
    ('a.b/c', 'clean.wav')
    """
    path = PurePosixPath(name)
    stem, _, end = path.name.partition(".")
    return str(path.parent / stem), end


def _load(clip_id: str, tar: Path, members: Members, role: str, preprocessing: Preprocessing) -> list[Loaded]:
    try:
        tree = json.loads(members.get("json", b"{}"))
        if not isinstance(tree, dict):
            raise ValueError("no JSON object")
        metadata = ({"text": members["txt"].decode().strip()} if "txt" in members else {}) | tree
        if exported := _exported_clip(members, metadata, preprocessing.sample_rate):
            return [exported]
    except (ValueError, EOFError, wave.Error) as error:
        raise Rejected("broken", str(error)) from error
    ending = next((end for end in members if f".{end.lower()}" in READABLE), None)
    if ending is None:
        raise Rejected("broken", "no recording among its members")
    with tempfile.TemporaryDirectory(prefix="unhiss-") as folder:
        file = Path(folder) / f"clip.{ending}"
        file.write_bytes(members[ending])
        return list(load(clip_id, _clip(file, tar, role, metadata), preprocessing))


def _exported_clip(members: Members, metadata: dict[str, Any], rate: int) -> Loaded | None:
    """Row (without its position) and int16 samples of a sample from `export_tars`; None for any other sample."""
    names = {item.name for item in fields(ManifestRow)} - set(POSITION)
    if "wav" not in members or not names <= metadata.keys() or metadata.get("sample_rate") != rate:
        return None
    with wave.open(io.BytesIO(members["wav"])) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
            return None
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    values = {name: metadata[name] for name in names} | {"groups": tuple(metadata["groups"])}
    return ManifestRow(**values, shard="", offset=0, length=samples.size), samples


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
