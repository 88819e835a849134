"""MUSAN: 109 hours of music, speech and noise; 16 kHz.

    musan/                          PATH, or the folder that contains it
      noise/free-sound/noise-free-sound-0000.wav      noise/sound-bible/…
      music/fma/music-fma-0000.wav                    music/jamendo/… and others
      speech/librivox/speech-librivox-0000.wav        speech/us-gov/…
      */*/LICENSE, ANNOTATIONS      each source's own

Parts: noise, music, speech, all. The default follows the role: --noise reads noise/, --speech reads speech/.
As noise, `all` is noise and music; voices are included only on request (part speech).
The corpus has no split of its own: all is training. Groups, which stay in one split: recording.

Licence: CC BY 4.0 for the whole; each recording is Creative Commons or US public domain, by source, with no
bar on commercial use as the corpus states it: see the LICENSE files. Get it: https://www.openslr.org/17
Citation: D. Snyder, G. Chen, D. Povey, "MUSAN: A Music, Speech, and Noise Corpus", arXiv 1510.08484, 2015.
"""

from collections.abc import Iterator
from pathlib import Path

from unhiss.data.clips import Clip, Corpus, listing, recording_groups, recordings
from unhiss.errors import CorpusError

KINDS = ("noise", "music", "speech")


def _clips(path: Path, part: str, role: str) -> Iterator[Clip]:
    if role == "speech" and part in ("noise", "music"):
        raise CorpusError(f"musan: part {part!r} holds no speech to learn from; use part speech, or --noise")
    kinds = {"all": ("speech",) if role == "speech" else ("noise", "music")}.get(part, (part,))
    roots = [root for root in (path, path / "musan") if any((root / kind).is_dir() for kind in KINDS)]
    folders = [root / kind for root in roots[:1] for kind in kinds if (root / kind).is_dir()]
    # The prefix tells MUSAN's files from those of any other folder that is called noise.
    files = [file for folder in folders for file in recordings(folder) if file.name.startswith(f"{folder.name}-")]
    if not files:
        example = f"{kinds[0]}/SOURCE/{kinds[0]}-SOURCE-0000.wav"
        raise CorpusError(f"{path} is not MUSAN: expected {example}; found: {listing(path)}")
    for file in files:
        yield Clip(
            path=file, kind=f"{file.name.partition('-')[0]}-{file.parent.name}", flexible_split=True,
            groups=recording_groups("MUSAN", file.stem), commercial_use=True,
        )  # fmt: skip


CORPUS = Corpus(
    name="musan", parts=(*KINDS, "all"), reader=_clips,
    licence="CC BY 4.0 (recordings: Creative Commons or public domain, by source)",
)  # fmt: skip
