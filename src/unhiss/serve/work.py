"""What a process does that denoises an uploaded recording; beside the live streams, and behind them in the queue.

It writes into a folder of the request, and whoever answers reads along: `sound` grows as it is made. When the folder
is gone, nobody wants the answer any more, and the work ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unhiss.errors import AudioError
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.files import BLOCK_S
from unhiss.media.recordings import blocks, info
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import Refusal, sound_bytes

SOUND, FACTS = "sound", "facts"
NICE = 10  # a live stream on the same core goes first
# What can be sent while it is made. Every other format is sent once it is whole: its header or index comes last.
GROWING = {"wav": "audio/wav", "pcm16": "application/octet-stream", "float32": "application/octet-stream"}
WHOLE = {"flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg", "mp3": "audio/mpeg"}
FORMATS = GROWING | WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a recording is to be denoised and written."""

    model: str
    atten_lim: float | None = None
    mix: float = 1.0
    guard: bool = True
    format: str = "wav"


class _Left(Exception):
    """Whoever asked has gone."""


_denoisers: dict[tuple, Denoiser] = {}


def begin() -> None:
    """At the start of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def denoise(source: Path, folder: Path, wish: Wish, limits: Limits) -> None:
    """Denoise `source` into `folder / SOUND`. FACTS is written, whole, before the first byte of it.

    Raises Refusal for what is no recording (422) or one beyond the limits.
    """
    try:
        facts = info(source)
        limits.check_sound(facts.rate, facts.channels, facts.seconds)
        if wish.format in WHOLE:
            _write_whole(source, folder, wish)
        else:
            _write_growing(source, folder, wish, limits)
    except AudioError as error:
        # The name of the file is ours, and says nothing to whoever sent it.
        raise Refusal(422, str(error).replace(f"{source}: ", "").replace(str(source), "this"), "recording") from None
    except _Left:
        return
    except OSError:
        if folder.is_dir():
            raise


def _denoiser(wish: Wish) -> Denoiser:
    key = (wish.model, wish.atten_lim, wish.mix, wish.guard)
    if key not in _denoisers:
        if len(_denoisers) >= 4:
            _denoisers.clear()
        options = {"atten_limit_db": wish.atten_lim, "mix": wish.mix, "guard": wish.guard, "threads": 1}
        _denoisers[key] = Denoiser(wish.model, **options)  # type: ignore[arg-type]
    return _denoisers[key]


def _write_growing(source: Path, folder: Path, wish: Wish, limits: Limits) -> None:
    facts = info(source)
    size = max(1, int(BLOCK_S * facts.rate))
    frames = facts.frames
    if facts.format == "MP3":  # its header only estimates
        frames = sum(block.shape[1] for block in _wanted(source, size, folder))
        limits.check_sound(facts.rate, facts.channels, frames / facts.rate)
    floats = wish.format == "float32" or (wish.format == "wav" and facts.subtype in ("FLOAT", "DOUBLE"))
    coding = "float32" if floats else "pcm16"
    head = _wav_head(facts.rate, facts.channels, frames, floats) if wish.format == "wav" else b""
    with (folder / SOUND).open("wb") as file:
        file.write(head)
        file.flush()
        total = len(head) + frames * facts.channels * (4 if floats else 2)
        _tell(folder, f"{total} {facts.rate} {facts.channels}")
        clean = _denoiser(wish).denoise_blocks(lambda: _wanted(source, size, folder), facts.rate, facts.channels)
        for block in clean:
            file.write(sound_bytes(block, coding))
            file.flush()


def _wanted(source: Path, size: int, folder: Path) -> Iterator[np.ndarray]:
    for block in blocks(source, size):
        if not folder.is_dir():
            raise _Left
        yield block


def _write_whole(source: Path, folder: Path, wish: Wish) -> None:
    target = folder / f"whole.{wish.format}"

    def progress(share: float, seconds: float) -> None:
        if not folder.is_dir():
            raise _Left

    report = _denoiser(wish).file(source, target, progress=progress)
    size = target.stat().st_size
    target.rename(folder / SOUND)
    _tell(folder, f"{size} {report.rate} {report.channels}")


def _tell(folder: Path, text: str) -> None:
    draft = folder / f"{FACTS}.part"
    draft.write_text(text)
    draft.rename(folder / FACTS)


def _wav_head(rate: int, channels: int, frames: int, floats: bool) -> bytes:
    """A WAV's header for sound that is still to come. Beyond 4 GB its sizes say "until the end"."""
    width = 4 if floats else 2
    size = frames * channels * width
    kind = struct.pack(
        "<HHIIHH", 3 if floats else 1, channels, rate, rate * channels * width, channels * width, width * 8
    )
    fact = b"fact" + struct.pack("<II", 4, min(frames, 0xFFFFFFFF)) if floats else b""
    inner = b"WAVEfmt " + struct.pack("<I", len(kind)) + kind + fact + b"data"
    top = 0xFFFFFFFF
    return b"RIFF" + struct.pack("<I", min(top, len(inner) + 4 + size)) + inner + struct.pack("<I", min(top, size))
