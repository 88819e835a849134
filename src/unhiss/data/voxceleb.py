"""VoxCeleb1: over 100,000 utterances of 1,251 celebrities, cut from interviews on YouTube; 16 kHz.

    vox1_meta.csv                   in PATH or up to two folders above the wav folder; tab-separated:
                                    VoxCeleb1 ID, VGGFace1 ID, Gender, Nationality, Set
    wav/                            PATH, or PATH/wav, or PATH/vox1_dev_wav/wav and PATH/vox1_test_wav/wav
      id10001/                      speaker
        1zcIwhmdeo4/                video
          00001.wav

Parts: dev (default; training), test and all, by the table's Set. Groups, which stay in one split: speaker
and video. It is not clean (chatter, laughter, music): filter it before using it as a training target.

Licence: CC BY 4.0 for the data set; the copyright in the recordings remains with the videos' owners, so
unhiss does not count it as free for commercial use. Get it: https://www.robots.ox.ac.uk/~vgg/data/voxceleb/
Citation: A. Nagrani, J. S. Chung, A. Zisserman, "VoxCeleb: a large-scale speaker identification dataset",
Interspeech 2017.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, listing, recordings, table
from unhiss.errors import CorpusError

COLUMNS = ("VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set")
SPEAKER = re.compile(r"id\d{5}")
SPLIT_OF_SET = {"dev": "train", "test": "test"}


def _sets(path: Path) -> dict[str, str]:
    """Speaker -> dev or test, from the table in the folder, below it or above it."""
    parents = (path, path.absolute().parent, path.absolute().parent.parent)
    files = [folder / "vox1_meta.csv" for folder in parents] + sorted(path.glob("*/vox1_meta.csv"))
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise CorpusError(f"vox1_meta.csv is neither in {path} nor above it; download it with VoxCeleb1")
    sets = {row["VoxCeleb1 ID"]: row["Set"].strip() for row in table(file, COLUMNS)}
    if unknown := sorted(set(sets.values()) - set(SPLIT_OF_SET)):
        raise CorpusError(f"{file} has the set {unknown[0]!r}; expected dev or test")
    return sets


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    below = [folder for pattern in ("wav", "*/wav", "vox1_*_wav") for folder in path.glob(pattern)]
    entries = [entry for folder in (path, *below) if folder.is_dir() for entry in folder.iterdir()]
    speakers = [entry for entry in entries if SPEAKER.fullmatch(entry.name) and entry.is_dir()]
    if not speakers:
        raise CorpusError(f"{path} is not VoxCeleb1: expected wav/idNNNNN/VIDEO/NNNNN.wav; found: {listing(path)}")
    sets = _sets(path)
    for speaker in sorted(speakers, key=lambda folder: (folder.name, str(folder))):
        if (name := speaker.name) not in sets:
            raise CorpusError(f"{speaker} is not in vox1_meta.csv; is this VoxCeleb2?")
        if part in ("all", sets[name]):
            for file in recordings(speaker):
                groups = (group("VoxCeleb1", "speaker", name), group("VoxCeleb1", "video", file.parent.name))
                yield Clip(path=file, kind=name, groups=groups, split=SPLIT_OF_SET[sets[name]])


CORPUS = Corpus(
    name="voxceleb1", role="speech", parts=("dev", "test", "all"), tables=("vox1_meta.csv",), reader=_clips,
    licence="CC BY 4.0 (recordings: copyright of their owners)",
)  # fmt: skip
