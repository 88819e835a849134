"""What is scored: a folder of pairs (`clean/ID.ext`, `noisy/ID.ext`, optional `manifest.csv`), or noisy files only."""

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unhiss.errors import AudioError, CorpusError
from unhiss.media.source import READABLE, read_whole

EXPECTED = "a folder of pairs holds clean/ID.wav, noisy/ID.wav (or .flac …) and optionally manifest.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One noisy recording and its clean reference, if there is one.

    clean, noisy: all files with this id; a complete pair has exactly one of each (load() checks it).
    metadata: its columns of the manifest (snr_db, noise_kind, speaker, text …), empty without a manifest.
    noisy_only: no clean recording exists or is expected.
    """

    id: str
    clean: tuple[str, ...]
    noisy: tuple[str, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    noisy_only: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 over the bytes of its files and its text; raises OSError if a file cannot be read."""
        sums = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (*self.noisy, *self.clean)]
        return hashlib.sha256("\n".join([*sums, self.metadata.get("text", "")]).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of its files, roughly proportional to its computing time; 0 if a file is missing."""
        try:
            return sum(Path(path).stat().st_size for path in (*self.noisy, *self.clean))
        except OSError:
            return 0

    def load(self) -> tuple[np.ndarray, np.ndarray | None, int]:
        """(noisy, clean, rate in Hz), both of one shape `(T,)` or `(C, T)`; clean is None for a noisy-only item.

        Raises AudioError if a file is missing or damaged or if the two do not match.
        """
        for side, paths in (("noisy", self.noisy), *(() if self.noisy_only else (("clean", self.clean),))):
            if len(paths) != 1:
                names = ", ".join(Path(path).name for path in paths)
                raise AudioError(f"more than one {side} file: {names}" if paths else f"no {side} file")
        noisy, rate = read_whole(self.noisy[0])
        if self.noisy_only:
            return noisy, None, rate
        clean, clean_rate = read_whole(self.clean[0])
        if rate != clean_rate:
            raise AudioError(f"noisy is at {rate} Hz and clean at {clean_rate} Hz; store both at one rate")
        if noisy.shape != clean.shape:
            raise AudioError(f"noisy {noisy.shape} and clean {clean.shape} differ in shape; align and cut them")
        return noisy, clean, rate


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs in a folder, in the order of the manifest, then those it does not list, by name.

    An incomplete pair is included, so that its failure is listed. Raises CorpusError if the folder is not a
    folder of pairs, is empty, or its manifest is invalid.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder; {EXPECTED}")
    missing = [f"{side}/" for side in ("clean", "noisy") if not (folder / side).is_dir()]
    if missing:
        raise CorpusError(f"{folder} has no {' and no '.join(missing)}; {EXPECTED}")
    clean, noisy = _files_by_id(folder / "clean"), _files_by_id(folder / "noisy")
    if not clean and not noisy:
        raise CorpusError(f"{folder} holds no recordings; {EXPECTED}")
    metadata = _read_manifest(folder / "manifest.csv")
    ids = dict.fromkeys([*metadata, *sorted({*clean, *noisy})])
    return [
        Pair(id=name, clean=clean.get(name, ()), noisy=noisy.get(name, ()), metadata=metadata.get(name, {}))
        for name in ids
    ]


def find_recordings(paths: Iterable[Path]) -> list[Pair]:
    """Noisy-only items: the given files and all recordings below the given folders, named by their relative paths.

    Raises CorpusError if a path does not exist or nothing is found.
    """
    items: dict[str, Pair] = {}
    for path in paths:
        if not path.exists():
            raise CorpusError(f"{path} does not exist; expected a recording, or a folder of them")
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            relative = file.relative_to(path if path.is_dir() else path.parent)
            if file.suffix.lower() in READABLE and not any(part.startswith(".") for part in relative.parts):
                name = relative.as_posix() if relative.as_posix() not in items else file.as_posix()
                items[name] = Pair(id=name, noisy=(str(file),), clean=(), noisy_only=True)
    if not items:
        raise CorpusError(f"no recordings in {', '.join(map(str, paths))}; expected .wav, .flac or the like")
    return list(items.values())


def _files_by_id(folder: Path) -> dict[str, tuple[str, ...]]:
    files: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in READABLE and not path.name.startswith("."):
            files[path.stem] = (*files.get(path.stem, ()), str(path))
    return files


def _read_manifest(path: Path) -> dict[str, dict[str, str]]:
    """id -> its other columns; empty without a manifest."""
    if not path.is_file():
        return {}
    metadata: dict[str, dict[str, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if not columns or columns[0] != "id":
                raise CorpusError(f"{path}: the first column must be 'id', found: {', '.join(columns) or 'none'}")
            for row in reader:
                name = row.pop("id")
                if name in metadata:
                    raise CorpusError(f"{path} lists id {name!r} twice; an id names one pair")
                metadata[name] = {key: value or "" for key, value in row.items() if key is not None}
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as CSV in UTF-8 ({error})") from error
    return metadata
