"""The pauses of Common Voice clips as noise: real rooms, fans and microphones of hundreds of devices.

    python scripts/cut_pauses.py cv-corpus-6.1-2020-12-11/ more/ -o pauses/
    unhiss prepare … --noise folder:pauses/noise …

A pause is at least 0.3 s in which every 20 ms lie 30 dB below active speech, and which is not digital silence. All
pauses of one clip become one file, joined by short cross-fades and brought to -30 dBFS, if together they last half a
second. manifest.csv names the speaker in `groups`, so that a speaker's voice and room stay in one split.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
import soundfile

from unhiss.data.clips import Clip
from unhiss.data.common_voice import CORPUS as COMMON_VOICE
from unhiss.data.folder import CORPUS as FOLDER
from unhiss.dsp.levels import active_level_dbfs, frame_levels_dbfs, rms_dbfs
from unhiss.dsp.resampling import to_mono
from unhiss.media.source import read

SHORTEST_S, LEAST_S, BELOW_DB, SILENCE_DBFS = 0.3, 0.5, 30.0, -95.0
EDGE_S = 0.04  # left out on both sides of a pause: ends of words
FADE_S, LEVEL_DBFS = 0.01, -30.0
COLUMNS = ("path", "speaker_or_kind", "recording", "source", "licence", "commercial_use", "seconds", "groups")


def pauses(audio: np.ndarray, rate: int) -> list[np.ndarray]:
    """The pauses of float `(T,)`, without their edges."""
    size = rate // 50
    levels = frame_levels_dbfs(audio, size)
    quiet = (levels < active_level_dbfs(audio, rate) - BELOW_DB) & (levels > SILENCE_DBFS)
    steps = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
    edge = round(EDGE_S * rate)
    return [
        audio[first * size + edge : last * size - edge]
        for first, last in zip(steps[::2], steps[1::2], strict=True)
        if (last - first) * size >= SHORTEST_S * rate
    ]


def joined(pieces: list[np.ndarray], rate: int) -> np.ndarray:
    """Pieces one after the other, each faded into the next."""
    fade = round(FADE_S * rate)
    rise = np.linspace(0, 1, fade)
    out = pieces[0].copy()
    for piece in pieces[1:]:
        out[-fade:] = out[-fade:] * np.sqrt(1 - rise) + piece[:fade] * np.sqrt(rise)
        out = np.concatenate([out, piece[fade:]])
    return out


def speech_clips(folder: Path) -> list[Clip]:
    """Common Voice clips of a release, or of a `folder` layout with a manifest."""
    if not (folder / "manifest.csv").is_file():
        return list(COMMON_VOICE.read(folder))
    return [clip for clip in FOLDER.read(folder / "speech", role="speech") if clip.corpus.startswith("Common Voice")]


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
def main(folders: tuple[Path, ...], output: Path) -> None:
    """Write the pauses of all clips in FOLDERS into OUTPUT/noise, and OUTPUT/manifest.csv."""
    (output / "noise" / "room").mkdir(parents=True)
    rows = []
    for clip in (clip for folder in folders for clip in speech_clips(folder)):
        audio, rate = read(clip.path)
        audio = to_mono(audio)
        pieces = pauses(audio, rate)
        sound = joined(pieces, rate) if pieces else audio[:0]
        if sound.size < LEAST_S * rate:
            continue
        name = f"noise/room/{clip.path.stem}.flac"
        sound = sound * 10 ** ((LEVEL_DBFS - rms_dbfs(sound)) / 20)
        soundfile.write(output / name, np.clip(sound, -1, 1), rate, subtype="PCM_16")
        rows.append((name, "room", clip.path.stem, "Common Voice pauses", "CC0 1.0", "yes",
                     round(sound.size / rate, 2), clip.groups[-1]))  # fmt: skip
    with (output / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    click.echo(f"{len(rows)} rooms, {sum(row[6] for row in rows) / 3600:.2f} h, in {output}/noise")


if __name__ == "__main__":
    main()
