"""Ready noisy/clean pairs: the clean side serves as speech, and each clip names its noisy twin.

    VoiceBank+DEMAND    clean_trainset_28spk_wav/p226_001.wav   noisy_trainset_28spk_wav/p226_001.wav
                        clean_testset_wav/p232_001.wav          noisy_testset_wav/p232_001.wav
    DNS challenge       clean/clean_fileid_7.wav                noisy/…reader_06709_…_fileid_7.wav
                        noise/noise_fileid_7.wav (optional)
    unhiss's own          clean/ID.ext                            noisy/ID.ext
                        manifest.csv (optional): id, speaker, language, text, split,
                                                                licence, commercial_use

Parts: train (default), valid, test. VoiceBank+DEMAND has train (28 or 56 speakers) and test; unhiss's own
manifest may state a split; elsewhere the part is the split all of it goes to. --noise reads the folder
noise/, where there is one: noise cannot be had from a mixture.
A speaker must not be torn apart (VoiceBank's names are VCTK's), else the pair itself.

Licence: VoiceBank+DEMAND CC BY 4.0, https://datashare.ed.ac.uk/handle/10283/2791;
C. Valentini-Botinhao et al., "Investigating RNN-based speech enhancement methods for noise-robust
Text-to-Speech", SSW 2016.
DNS: differs by its parts, so not counted as free; https://github.com/microsoft/DNS-Challenge;
C. K. A. Reddy et al., "The INTERSPEECH 2020 Deep Noise Suppression Challenge", 2020.
Others: the manifest's, else "unknown".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unhiss.data.clips import SPLITS, Clip, Corpus, group, listing, recordings, table
from unhiss.errors import CorpusError

FILE_ID = re.compile(r"fileid_(\d+)$")
READER = re.compile(r"reader_(\d+)")
VOICEBANK = {"train": "clean_trainset*_wav", "test": "clean_testset*_wav"}


@dataclass(frozen=True)
class _Kind:
    """What the layout says of its clips."""

    licence: str
    free: bool
    rows: dict[str, dict[str, str]] = field(default_factory=dict)


VOICEBANK_KIND = _Kind("CC BY 4.0", True)
DNS_KIND = _Kind("mixed (DNS challenge, by part)", False)


def _key(file: Path) -> str:
    """What a clean file and its noisy twin have in common: the DNS number, else the name."""
    match = FILE_ID.search(file.stem)
    return f"fileid_{match[1]}" if match else file.stem


def _rows(path: Path) -> dict[str, dict[str, str]]:
    file = path / "manifest.csv"
    rows = {row["id"]: row for row in table(file, ["id"], ",")} if file.is_file() else {}
    odd = sorted({row.get("split", "") for row in rows.values()} - {*SPLITS, ""})
    if odd:
        raise CorpusError(f"{file} has the split {odd[0]!r}; expected {', '.join(SPLITS)}")
    return rows


def _folders(path: Path, part: str) -> list[tuple[Path, Path, _Kind]]:
    """(clean, noisy, what it is) for each pair of folders of the part."""
    if any(next(path.glob(pattern), None) for pattern in VOICEBANK.values()):
        cleans = sorted(path.glob(VOICEBANK[part])) if part in VOICEBANK else []
        if not cleans:
            raise CorpusError(f"{path} has no part {part!r} of VoiceBank+DEMAND; found: {listing(path)}")
        return [(clean, path / clean.name.replace("clean", "noisy", 1), VOICEBANK_KIND) for clean in cleans]
    if not ((path / "clean").is_dir() and (path / "noisy").is_dir()):
        raise CorpusError(
            f"{path} holds no pairs: expected clean/ and noisy/, or clean_trainset_28spk_wav/ and "
            f"noisy_trainset_28spk_wav/; found: {listing(path)}"
        )
    dns = any(FILE_ID.search(file.stem) for file in recordings(path / "clean"))
    kind = DNS_KIND if dns else _Kind("unknown", False, _rows(path))
    return [(path / "clean", path / "noisy", kind)]


def _speakers(clean: Path, noisy: Path, kind: _Kind) -> tuple[str, tuple[str, ...]]:
    """The speaker's name, and the groups of a pair."""
    if kind is VOICEBANK_KIND:
        name = clean.stem.split("_")[0]
        return name, (group("VCTK", "speaker", name),)
    if kind is DNS_KIND and (readers := READER.findall(noisy.stem)):
        return readers[0], tuple(group("DNS", "speaker", name) for name in dict.fromkeys(readers))
    if name := kind.rows.get(clean.stem, {}).get("speaker", ""):
        return name, (group("pairs", "speaker", name),)
    return "", (_own(clean),)


def _own(file: Path) -> str:
    """The group of one file: its name and those of the two folders above it."""
    return group("pairs", "recording", "/".join(Path(os.path.normpath(file.absolute())).parts[-3:]))


def _speech(path: Path, part: str) -> Iterator[Clip]:
    for clean_folder, noisy_folder, kind in _folders(path, part):
        twins = {_key(file): file for file in recordings(noisy_folder)} if noisy_folder.is_dir() else {}
        for clean in recordings(clean_folder):
            noisy = twins.get(_key(clean))
            if noisy is None:
                raise CorpusError(f"{clean} has no noisy twin in {noisy_folder}; pairs need both")
            row = kind.rows.get(clean.stem, {})
            if (row.get("split") or part) != part:
                continue
            speaker, groups = _speakers(clean, noisy, kind)
            yield Clip(
                path=clean,
                corpus=CORPUS.name,
                role="speech",
                kind=speaker or "unknown",
                groups=groups,
                split=part,
                loose=part == CORPUS.parts[0] and kind is not VOICEBANK_KIND and not row.get("split"),
                licence=row.get("licence") or kind.licence,
                commercial_use=kind.free or row.get("commercial_use", "").strip().lower() in ("yes", "true", "1"),
                language="en" if kind is VOICEBANK_KIND else row.get("language", ""),
                text=row.get("text", ""),
                noisy=noisy,
            )


def _noise(path: Path, part: str) -> Iterator[Clip]:
    if not (path / "noise").is_dir():
        raise CorpusError(f"{path} has no noise/: these pairs hold noise only mixed with speech; use --speech")
    rows = _rows(path)
    for file in recordings(path / "noise"):
        row = rows.get(file.stem, {})
        licence = DNS_KIND.licence if FILE_ID.search(file.stem) else row.get("licence") or CORPUS.licence
        yield Clip(
            path=file,
            corpus=CORPUS.name,
            role="noise",
            kind=row.get("noise_kind") or "noise",
            groups=(_own(file),),
            split=part,
            loose=part == CORPUS.parts[0],
            licence=licence,
            commercial_use=row.get("commercial_use", "").strip().lower() in ("yes", "true", "1"),
        )


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    return _speech(path, part) if role == "speech" else _noise(path, part)


CORPUS = Corpus(
    name="pairs",
    role="",
    parts=SPLITS,
    licence="unknown",
    citation="",
    source="",
    reader=_clips,
    tables=("manifest.csv",),
)
