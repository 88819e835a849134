"""What is scored: a folder of pairs (`clean/ID.ext`, `noisy/ID.ext`, perhaps `manifest.csv`), or noisy files alone."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unhiss.errors import AudioError, CorpusError
from unhiss.media.source import READABLE, read

EXPECTED = "a folder of pairs holds clean/ID.wav, noisy/ID.wav (or .flac …) and optionally manifest.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One noisy recording and, unless it is alone, what it should sound like.

    clean, noisy: every file found for this id; exactly one of each is a whole pair (load() says so).
    facts: the manifest's columns for it (snr_db, noise_kind, speaker, text …), empty without a manifest.
    alone: whether there is no clean recording, and none is missed.
    """

    id: str
    clean: tuple[Path, ...]
    noisy: tuple[Path, ...]
    facts: dict[str, str] = field(default_factory=dict)
    alone: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 over the bytes of its files and the text: another one when any of them changes."""
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*self.noisy, *self.clean)]
        return hashlib.sha256("\n".join([*sums, self.facts.get("text", "")]).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of its files: about how long it takes."""
        return sum(path.stat().st_size for path in (*self.noisy, *self.clean))

    def load(self) -> tuple[np.ndarray, np.ndarray | None, int]:
        """(noisy, clean, rate in Hz), both of one shape `(T,)` or `(C, T)`; clean is None for one alone.

        Raises AudioError where a file is missing or broken or the two do not fit together.
        """
        sides = (("noisy", self.noisy),) if self.alone else (("noisy", self.noisy), ("clean", self.clean))
        for side, paths in sides:
            if len(paths) != 1:
                found = ", ".join(path.name for path in paths)
                raise AudioError(f"more than one {side} file: {found}" if paths else f"no {side} file")
        noisy, rate = read(self.noisy[0])
        if self.alone:
            return noisy, None, rate
        clean, clean_rate = read(self.clean[0])
        if rate != clean_rate:
            raise AudioError(f"noisy is at {rate} Hz and clean at {clean_rate} Hz; store both at one rate")
        if noisy.shape != clean.shape:
            raise AudioError(f"noisy {noisy.shape} and clean {clean.shape} differ in shape; align and cut them")
        return noisy, clean, rate


def pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder, those of the manifest first and in its order, the rest by name.

    An id that lacks a file is kept, so that its failure can be listed. Raises CorpusError where the
    folder is not one of pairs, holds none, or its manifest cannot be used.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder; {EXPECTED}")
    absent = [f"{side}/" for side in ("clean", "noisy") if not (folder / side).is_dir()]
    if absent:
        raise CorpusError(f"{folder} has no {' and no '.join(absent)}; {EXPECTED}")
    clean, noisy = _recordings(folder / "clean"), _recordings(folder / "noisy")
    if not clean and not noisy:
        raise CorpusError(f"{folder} holds no recordings; {EXPECTED}")
    facts = _manifest(folder / "manifest.csv")
    ids = dict.fromkeys([*facts, *sorted({*clean, *noisy})])
    return [
        Pair(id=name, clean=clean.get(name, ()), noisy=noisy.get(name, ()), facts=facts.get(name, {})) for name in ids
    ]


def recordings(paths: Iterable[Path]) -> list[Pair]:
    """Noisy recordings alone: files, and all below folders, each called by its path there. CorpusError for none."""
    found: dict[str, Pair] = {}
    for given in paths:
        if not given.exists():
            raise CorpusError(f"{given} does not exist; expected a recording, or a folder of them")
        files = sorted(path for path in given.rglob("*") if path.is_file()) if given.is_dir() else [given]
        for path in files:
            inside = path.relative_to(given if given.is_dir() else given.parent)
            if path.suffix.lower() in READABLE and not any(part.startswith(".") for part in inside.parts):
                name = inside.as_posix() if inside.as_posix() not in found else path.as_posix()
                found[name] = Pair(id=name, noisy=(path,), clean=(), alone=True)
    if not found:
        raise CorpusError(f"no recordings in {', '.join(map(str, paths))}; expected .wav, .flac or the like")
    return list(found.values())


def _recordings(folder: Path) -> dict[str, tuple[Path, ...]]:
    found: dict[str, tuple[Path, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in READABLE and not path.name.startswith("."):
            found[path.stem] = (*found.get(path.stem, ()), path)
    return found


def _manifest(path: Path) -> dict[str, dict[str, str]]:
    """id -> its other columns; empty where there is no manifest."""
    if not path.is_file():
        return {}
    facts: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if not columns or columns[0] != "id":
                raise CorpusError(f"{path}: the first column must be 'id', found: {', '.join(columns) or 'none'}")
            for row in reader:
                name = row.pop("id")
                if name in facts:
                    raise CorpusError(f"{path} lists id {name!r} twice; an id names one pair")
                facts[name] = {key: value or "" for key, value in row.items() if key is not None}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as CSV in UTF-8 ({error})") from error
    return facts
