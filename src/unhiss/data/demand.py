"""DEMAND: five minutes each of real rooms, streets and vehicles, recorded with 16 microphones at once.

    DEMAND/                         PATH, or one room
      DKITCHEN/                     domestic D…, nature N…, office O…, public P…, street S…, transport T…
        ch01.wav … ch16.wav         48 kHz (DKITCHEN_48k.zip) or 16 kHz (DKITCHEN_16k.zip)

Parts: all (default) and ch01, one channel of each room. The corpus has no split of its own: all is training.
Groups, which stay in one split: room; its 16 channels are one recording, from microphones centimetres apart.

Licence: CC BY-SA 3.0, as the corpus's own DEMAND.pdf says. Get it: https://zenodo.org/records/1227121
Citation: J. Thiemann, N. Ito, E. Vincent, "The Diverse Environments Multi-channel Acoustic Noise Database
(DEMAND)", Proceedings of Meetings on Acoustics 19, 2013.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, group, listing
from unhiss.errors import CorpusError

CHANNEL = re.compile(r"ch(0[1-9]|1[0-6])\.(wav|flac|ogg)")
RATE_SUFFIX = re.compile(r"_(48|16)k$")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    # Rooms are the path itself, its sub-folders, or theirs (DKITCHEN_48k/DKITCHEN).
    below = [folder for pattern in ("*/", "*/*/") for folder in sorted(path.glob(pattern))]
    rooms = [folder for folder in (path, *below) if folder.is_dir()]
    files = [file for room in rooms for file in sorted(room.iterdir()) if CHANNEL.fullmatch(file.name)]
    if not files:
        raise CorpusError(f"{path} is not DEMAND: expected ROOM/ch01.wav … ch16.wav; found: {listing(path)}")
    for file in files:
        if part in ("all", file.stem):
            name = RATE_SUFFIX.sub("", file.absolute().parent.name)  # the same room at both rates is one
            groups = (group("DEMAND", "room", name),)
            yield Clip(path=file, kind=name, groups=groups, flexible_split=True, commercial_use=True)


CORPUS = Corpus(name="demand", role="noise", parts=("all", "ch01"), licence="CC BY-SA 3.0", reader=_clips)
