"""Speech sung, or raised to the pitch of children and screams, with its formants kept: made by WORLD (pyworld).

    python scripts/make_sung_speech.py DATA DATA/more -o sung/ --count 600
    unhiss prepare … --speech folder:sung/speech …

The folders are in the layout of `folder`, with manifest.csv; only speech that may be used commercially is taken, one
speaker after the other. Half of the clips are pitched up as they are, half are sung: notes in place of intonation,
vibrato, and up to 1.8 times as slow. Median pitches lie evenly (in octaves) from 200 to 900 Hz. manifest.csv names
the speaker in `groups`, so that a voice and what was made of it stay in one split. Needs pyworld (and setuptools<81).
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np
import pyworld
import soundfile

from unhiss.data.clips import Clip
from unhiss.data.folder import CORPUS as FOLDER
from unhiss.dsp.resampling import resample, to_mono
from unhiss.media.source import read

FRAME_MS, RATE, LONGEST_S = 5.0, 24000, 7.0
PITCH_HZ, NOTE_S, VIBRATO_HZ, VIBRATO_SEMITONES, SLOWEST = (200.0, 900.0), (0.15, 0.7), (4.5, 6.5), 0.6, 1.8
HIGHEST_HZ = 1100.0
COLUMNS = ("path", "speaker_or_kind", "recording", "source", "licence", "commercial_use", "seconds", "groups")


def sung_pitch(pitch: np.ndarray, rng: np.random.Generator, target_hz: float) -> np.ndarray:
    """A melody of notes near `target_hz`, with vibrato, where `pitch` (Hz a frame) is voiced."""
    frame_s = FRAME_MS / 1000
    melody, time = np.zeros(pitch.size), np.arange(pitch.size) * frame_s
    first = 0
    while first < pitch.size:
        length = int(rng.uniform(*NOTE_S) / frame_s)
        melody[first : first + length] = rng.integers(-5, 6)
        first += length
    melody = np.convolve(np.pad(melody, 4, "edge"), np.ones(9) / 9, "valid")  # glides of 45 ms
    melody += rng.uniform(0, VIBRATO_SEMITONES) * np.sin(2 * np.pi * rng.uniform(*VIBRATO_HZ) * time)
    return np.where(pitch > 0, target_hz * 2 ** (melody / 12), 0.0)


def resynthesised(audio: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray | None:
    """Float `(T,)` at another pitch; None where hardly anything is voiced."""
    audio = np.ascontiguousarray(audio, np.float64)
    pitch, time = pyworld.dio(audio, rate, frame_period=FRAME_MS)
    pitch = pyworld.stonemask(audio, pitch, time, rate)
    if (pitch > 0).mean() < 0.15:
        return None
    envelope, noise = pyworld.cheaptrick(audio, pitch, time, rate), pyworld.d4c(audio, pitch, time, rate)
    target_hz = float(np.exp(rng.uniform(*np.log(PITCH_HZ))))
    if rng.random() < 0.5:
        pitch, slower = pitch * target_hz / np.median(pitch[pitch > 0]), 1.0
    else:
        pitch, slower = sung_pitch(pitch, rng, target_hz), rng.uniform(1.0, SLOWEST)
    pitch = np.minimum(pitch, HIGHEST_HZ)
    out = pyworld.synthesize(pitch, envelope, noise, rate, FRAME_MS * slower)
    return np.asarray(out * (0.5 / max(1e-6, np.abs(out).max())))


def by_turns(clips: list[Clip], rng: np.random.Generator) -> list[Clip]:
    """Clips in random order, one of each speaker first, then a second of each."""
    order = [clips[k] for k in rng.permutation(len(clips))]
    turn: dict[str, int] = {}
    keyed = []
    for number, clip in enumerate(order):
        turn[clip.kind] = turn.get(clip.kind, -1) + 1
        keyed.append((turn[clip.kind], number))
    return [order[number] for _, number in sorted(keyed)]


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--count", default=600, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(folders: tuple[Path, ...], output: Path, count: int, seed: int) -> None:
    """Write COUNT clips made of the speech in FOLDERS into OUTPUT/speech, and OUTPUT/manifest.csv."""
    rng = np.random.default_rng(seed)
    clips = [clip for folder in folders for clip in FOLDER.read(folder / "speech", role="speech")]
    rows: list[tuple[object, ...]] = []
    for clip in by_turns([clip for clip in clips if clip.commercial_use], rng):
        if len(rows) == count:
            break
        audio, rate = read(clip.path)
        audio = to_mono(audio)[: int(LONGEST_S * rate)]
        if rate > RATE:
            audio, rate = resample(audio, rate, RATE), RATE
        sound = resynthesised(audio, rate, rng)
        if sound is None:
            continue
        name = f"speech/{clip.kind}/{clip.path.stem}.flac"
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(output / name, sound, rate, subtype="PCM_16")
        rows.append((name, clip.kind, clip.path.stem, f"{clip.corpus}, resynthesised", clip.licence, "yes",
                     round(sound.size / rate, 2), " ".join(clip.groups)))  # fmt: skip
    with (output / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    click.echo(f"{len(rows)} clips, {sum(float(str(row[6])) for row in rows) / 3600:.2f} h, in {output}/speech")


if __name__ == "__main__":
    main()
