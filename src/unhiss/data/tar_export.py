"""Prepared sets as WebDataset tars, a tar for each shard: KEY.wav and KEY.json one after the other; and their reading.

The format is a convention for names in a tar: members that share everything up to the first dot are one sample. The
standard library reads and writes that; the package webdataset would bring a data loader that nothing here needs.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from unhiss.data.completion import REJECTED, settings_text
from unhiss.data.manifest import ManifestRow
from unhiss.data.output_folder import claim_folder
from unhiss.data.storage import file_names, save, save_bytes, save_text
from unhiss.data.store import SETTINGS, Store
from unhiss.dsp.audio import FULL_SCALE
from unhiss.errors import DataError
from unhiss.media.source import READABLE
from unhiss.media.writer import wav_bytes
from unhiss.remote import RemotePath

POSITION = ("shard", "offset", "length")  # of a row: where its samples are in a set; a tar needs no such thing


@dataclass(frozen=True)
class TarSample:
    """One sample of a tar: its key, and the content of each member by its ending (what follows the first dot)."""

    key: str
    members: dict[str, bytes]

    def audio(self) -> tuple[str, bytes] | None:
        """Ending and content of the recording, if there is one."""
        return next(((end, self.members[end]) for end in self.members if f".{end.lower()}" in READABLE), None)

    def metadata(self) -> dict[str, Any]:
        """The .json, and the .txt as "text". Raises ValueError if the .json is no JSON object."""
        tree = json.loads(self.members.get("json", b"{}"))
        if not isinstance(tree, dict):
            raise ValueError("no JSON object")
        return ({"text": self.members["txt"].decode().strip()} if "txt" in self.members else {}) | tree


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
        if (store.folder / REJECTED).is_file():
            save_bytes(folder / REJECTED, (store.folder / REJECTED).read_bytes())
        save_text(folder / SETTINGS, settings_text(store.settings))
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


def tar_samples(path: Path) -> Iterator[TarSample]:
    """The samples of a tar, compressed or not, in its order. Raises DataError if it is damaged."""
    try:
        with tarfile.open(path, "r|*") as tar:
            members = ((*_split_name(member.name), tar.extractfile(member)) for member in tar if member.isfile())
            for key, group in groupby(members, key=lambda item: item[0]):
                yield TarSample(key, {end: file.read() for _, end, file in group if file})
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


def exported_row(sample: TarSample, rate: int) -> tuple[ManifestRow, np.ndarray] | None:
    """Row (without its position) and int16 samples of a sample from `export_tars`; None for any other sample."""
    metadata, wav = sample.metadata(), sample.members.get("wav")
    needed = {item.name for item in fields(ManifestRow)} - set(POSITION)
    if wav is None or not needed <= metadata.keys() or metadata.get("sample_rate") != rate:
        return None
    with wave.open(io.BytesIO(wav)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
            return None
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    values = {name: metadata[name] for name in needed} | {"groups": tuple(metadata["groups"])}
    return ManifestRow(**values, shard="", offset=0, length=samples.size), samples
