"""Noisy/clean pairs: the clean side serves as speech, and each clip names the noisy recording of the same speech.

    VoiceBank+DEMAND    clean_trainset_28spk_wav/p226_001.wav   noisy_trainset_28spk_wav/p226_001.wav
                        clean_testset_wav/p232_001.wav          noisy_testset_wav/p232_001.wav
    DNS challenge       clean/clean_fileid_7.wav                noisy/…reader_06709_…_fileid_7.wav
                        noise/noise_fileid_7.wav (optional)
    unhiss's own        clean/ID.ext                            noisy/ID.ext
                        manifest.csv (optional): id, speaker, language, text, split, licence, commercial_use

Parts: train (default), valid, test. VoiceBank+DEMAND has train (28 or 56 speakers) and test; unhiss's own
manifest may state a split; elsewhere the part is the split all of it goes to. --noise reads the folder
noise/, where there is one: noise cannot be extracted from a mixture.
Groups, which stay in one split: speaker (VoiceBank's names are VCTK's), else the pair itself.

Licence: VoiceBank+DEMAND CC BY 4.0, https://datashare.ed.ac.uk/handle/10283/2791;
C. Valentini-Botinhao et al., "Investigating RNN-based speech enhancement methods for noise-robust
Text-to-Speech", SSW 2016.
DNS: differs by its parts, so not counted as free; https://github.com/microsoft/DNS-Challenge;
C. K. A. Reddy et al., "The INTERSPEECH 2020 Deep Noise Suppression Challenge", 2020.
Others: the manifest's, else "unknown".
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import SPLITS, Clip, Corpus, group, is_yes, listing, recordings, table
from unhiss.errors import CorpusError

FILE_ID = re.compile(r"fileid_(\d+)$")
READER = re.compile(r"reader_(\d+)")
VOICEBANK_FOLDERS = {"train": "clean_trainset*_wav", "test": "clean_testset*_wav"}
VOICEBANK, DNS, OTHER = "VoiceBank+DEMAND", "DNS", "other"
LICENCES = {VOICEBANK: "CC BY 4.0", DNS: "mixed (DNS challenge, by part)", OTHER: "unknown"}


def _pair_id(file: Path) -> str:
    """What the two recordings of a pair have in common: the DNS number, else the name."""
    match = FILE_ID.search(file.stem)
    return f"fileid_{match[1]}" if match else file.stem


def _rows(path: Path) -> dict[str, dict[str, str]]:
    file = path / "manifest.csv"
    rows = {row["id"]: row for row in table(file, ["id"], ",")} if file.is_file() else {}
    if unknown := sorted({row.get("split", "") for row in rows.values()} - {*SPLITS, ""}):
        raise CorpusError(f"{file} has the split {unknown[0]!r}; expected {', '.join(SPLITS)}")
    return rows


def _folders(path: Path, part: str) -> tuple[str, list[tuple[Path, Path]]]:
    """The layout, and each pair of folders of the part, clean and noisy."""
    if any(next(path.glob(pattern), None) for pattern in VOICEBANK_FOLDERS.values()):
        folders = sorted(path.glob(VOICEBANK_FOLDERS[part])) if part in VOICEBANK_FOLDERS else []
        if not folders:
            raise CorpusError(f"{path} has no part {part!r} of VoiceBank+DEMAND; found: {listing(path)}")
        return VOICEBANK, [(clean, path / clean.name.replace("clean", "noisy", 1)) for clean in folders]
    if not ((path / "clean").is_dir() and (path / "noisy").is_dir()):
        raise CorpusError(
            f"{path} holds no pairs: expected clean/ and noisy/, or clean_trainset_28spk_wav/ and "
            f"noisy_trainset_28spk_wav/; found: {listing(path)}"
        )
    is_dns = any(FILE_ID.search(file.stem) for file in recordings(path / "clean"))
    return DNS if is_dns else OTHER, [(path / "clean", path / "noisy")]


def _speakers(clean: Path, noisy: Path, layout: str, speaker: str) -> tuple[str, tuple[str, ...]]:
    """The speaker's name ("" if unknown), and the groups of a pair. speaker: as the manifest states it."""
    if layout == VOICEBANK:
        name = clean.stem.split("_")[0]
        return name, (group("VCTK", "speaker", name),)
    if layout == DNS and (readers := READER.findall(noisy.stem)):
        return readers[0], tuple(group("DNS", "speaker", name) for name in dict.fromkeys(readers))
    return speaker, (group("pairs", "speaker", speaker) if speaker else _file_group(clean),)


def _file_group(file: Path) -> str:
    """The group of one file: its name and those of the two folders above it."""
    return group("pairs", "recording", "/".join(Path(os.path.normpath(file.absolute())).parts[-3:]))


def _speech(path: Path, part: str) -> Iterator[Clip]:
    layout, folders = _folders(path, part)
    rows = _rows(path) if layout == OTHER else {}
    for clean_folder, noisy_folder in folders:
        noisy_files = {_pair_id(file): file for file in recordings(noisy_folder)} if noisy_folder.is_dir() else {}
        for clean in recordings(clean_folder):
            noisy = noisy_files.get(_pair_id(clean))
            if noisy is None:
                raise CorpusError(f"{clean} has no noisy recording in {noisy_folder}; pairs need both")
            row = rows.get(clean.stem, {})
            if (row.get("split") or part) != part:
                continue
            speaker, groups = _speakers(clean, noisy, layout, row.get("speaker", ""))
            yield Clip(
                path=clean, noisy=noisy, kind=speaker or "unknown", groups=groups, split=part,
                flexible_split=part == SPLITS[0] and layout != VOICEBANK and not row.get("split"),
                licence=row.get("licence") or LICENCES[layout],
                commercial_use=layout == VOICEBANK or is_yes(row.get("commercial_use", "")),
                language="en" if layout == VOICEBANK else row.get("language", ""), text=row.get("text", ""),
            )  # fmt: skip


def _noise(path: Path, part: str) -> Iterator[Clip]:
    if not (path / "noise").is_dir():
        raise CorpusError(f"{path} has no noise/: these pairs hold noise only mixed with speech; use --speech")
    rows = _rows(path)
    for file in recordings(path / "noise"):
        row = rows.get(file.stem, {})
        yield Clip(
            path=file, kind=row.get("noise_kind") or "noise", groups=(_file_group(file),), split=part,
            flexible_split=part == SPLITS[0], commercial_use=is_yes(row.get("commercial_use", "")),
            licence=LICENCES[DNS] if FILE_ID.search(file.stem) else row.get("licence", ""),
        )  # fmt: skip


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    return _speech(path, part) if role == "speech" else _noise(path, part)


CORPUS = Corpus(name="pairs", reader=_clips, tables=("manifest.csv",))
