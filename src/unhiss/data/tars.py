"""Prepared sets as WebDataset tars and back: KEY.wav and KEY.json after each other, a tar a shard.

The format is one of names in a tar, and nothing more: members that share all up to the first dot are one sample. The
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

from unhiss.data.clips import AUDIO
from unhiss.data.files import names, save, save_bytes, save_text
from unhiss.data.output import claim
from unhiss.data.rows import Row
from unhiss.data.store import Store
from unhiss.errors import DataError
from unhiss.remote import RemotePath

PLACE = ("shard", "offset", "length")  # of a row: where its samples lay, which a tar tells by itself
SETTINGS, REJECTED = "dataset.json", "rejected.csv"  # are exported too


@dataclass(frozen=True)
class Sample:
    """One sample of a tar: its key, and the content of each of its members by what follows the first dot."""

    key: str
    members: dict[str, bytes]

    def audio(self) -> tuple[str, bytes] | None:
        """Ending and content of its recording, if it has one."""
        return next(((end, self.members[end]) for end in self.members if f".{end.lower()}" in AUDIO), None)

    def facts(self) -> dict[str, Any]:
        """What its .json says; its .txt is the text. Raises ValueError where the JSON is none."""
        found = json.loads(self.members.get("json", b"{}"))
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        return ({"text": self.members["txt"].decode().strip()} if "txt" in self.members else {}) | found


def export(store: Store, folder: Path | RemotePath) -> int:
    """Write `store` into `folder` as a tar a shard and dataset.json; returns how many clips. Equal sets, equal bytes.

    KEY.wav has the samples, 16 bits; KEY.json the row and `sample_rate`. Killed, the same call carries on.
    """
    fingerprint = hashlib.sha256((store.folder / SETTINGS).read_bytes()).hexdigest()
    with claim(folder, f"tars {fingerprint}", "set of tars") as room:
        there = names(folder)
        for shard, rows in groupby(enumerate(store.rows), key=lambda item: item[1].shard):
            path = folder / f"{shard.removesuffix('.npy')}.tar"
            if path.name not in there:
                save(path, partial(_write, store=store, rows=list(rows)), room)
        if (store.folder / REJECTED).is_file():
            save_bytes(folder / REJECTED, (store.folder / REJECTED).read_bytes())
        save_text(folder / SETTINGS, json.dumps(store.settings, indent=1, sort_keys=True, ensure_ascii=False))
    return len(store.rows)


def _write(file: BinaryIO, store: Store, rows: list[tuple[int, Row]]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, row in rows:
            facts = {name: value for name, value in asdict(row).items() if name not in PLACE}
            facts["sample_rate"] = store.rate
            _add(tar, f"{number:09d}.wav", _wav(store.samples(row), store.rate))
            _add(tar, f"{number:09d}.json", json.dumps(facts, ensure_ascii=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # time, owner and rights are zero in it, so that equal sets give equal bytes
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _wav(samples: np.ndarray, rate: int) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2", copy=False).tobytes())
    return held.getvalue()


def samples_of(path: Path) -> Iterator[Sample]:
    """The samples of a tar, compressed or not, in its order. Raises DataError for one that is damaged."""
    try:
        with tarfile.open(path, "r|*") as tar:
            members = ((*_named(member.name), tar.extractfile(member)) for member in tar if member.isfile())
            for key, group in groupby(members, key=lambda item: item[0]):
                yield Sample(key, {end: file.read() for _, end, file in group if file})
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path} is no whole tar ({error}); fetch or export it again") from error


def _named(name: str) -> tuple[str, str]:
    """
    >>> _named("a.b/c.clean.wav")
    ('a.b/c', 'clean.wav')
    """
    path = PurePosixPath(name)
    stem, _, end = path.name.partition(".")
    return str(path.parent / stem), end


def own_row(sample: Sample, shard: str, offset: int, rate: int) -> tuple[Row, np.ndarray] | None:
    """Row and int16 samples of what `export` wrote, at this place; None for a sample of anybody else's."""
    facts, wav = sample.facts(), sample.members.get("wav")
    needed = {item.name for item in fields(Row)} - set(PLACE)
    if wav is None or not needed <= facts.keys() or facts.get("sample_rate") != rate:
        return None
    with wave.open(io.BytesIO(wav)) as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, rate):
            return None
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    known = {name: facts[name] for name in needed} | {"groups": tuple(facts["groups"])}
    return Row(**known, shard=shard, offset=offset, length=samples.size), samples
