"""Denoising of an uploaded recording, in a worker process of lower priority than the live streams.

The worker writes to the request's folder: first INFO, then OUTPUT, which the server sends while it grows. The server
deletes the folder when the client has left; the worker then stops.
"""

import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unhiss.atomic import atomic_write
from unhiss.errors import AudioError, MissingExtra
from unhiss.fleet.processes import end_with_parent
from unhiss.infer.denoiser import Denoiser
from unhiss.infer.files import BLOCK_S
from unhiss.infer.loudness import normalised
from unhiss.media import layout_headers, layouts
from unhiss.media.audio_source import Source
from unhiss.media.source import open_source
from unhiss.serve.limits import Limits
from unhiss.serve.protocol import RequestError, encode_samples

OUTPUT, INFO = "output", "info"  # file names
BASE_FORMATS = "WAV, FLAC, Ogg, Opus, MP3, AIFF, AU and CAF"  # read without the extra `media`; not all of them
NICE = 10  # priority: a live stream on the same core goes first
# Sent while they are written. The header or index of every other format is known only at the end.
STREAMABLE = {"wav": "audio/wav", "pcm16": "application/octet-stream", "float32": "application/octet-stream"}
BUFFERED = {"flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg", "mp3": "audio/mpeg"}
FORMATS = STREAMABLE | BUFFERED  # name -> media type


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiseRequest:
    """How to denoise a recording, and the format of the output."""

    model: str
    atten_limit_db: float | None = None
    mix: float = 1.0
    loudness_lufs: float | None = field(default=None, compare=False)  # a denoiser serves every loudness and format
    format: str = field(default="wav", compare=False)
    track: int | None = field(default=None, compare=False)  # of several audio tracks, from 1


class OutputInfo(NamedTuple):
    """Size in bytes, sample rate in Hz and channels of an output; with a loudness target what FileReport has, too."""

    size: int
    rate: int
    channels: int
    output_lufs: float | None = None
    output_dbtp: float | None = None
    gain_db: float | None = None
    warning: str = ""


class _ClientGoneError(Exception):
    """The folder of the request was deleted."""


def set_up_process() -> None:
    """Runs at the start of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends it
    with suppress(OSError, AttributeError):
        os.nice(NICE)
    end_with_parent()


def denoise(source: Path, folder: Path, request: DenoiseRequest, limits: Limits) -> None:
    """Denoise `source` into `folder / OUTPUT`; INFO is written before the first byte of it.

    Raises RequestError for a file that is not a recording, or in a format that needs the extra `media` (422), or one
    beyond the limits.
    """
    try:
        recording = open_source(source, request.track)
        limits.check_audio(recording.rate, recording.channels, recording.seconds)
        if request.format in BUFFERED:
            _write_buffered(recording, folder, request)
        else:
            _write_streamable(recording, folder, request, limits)
    except MissingExtra as error:  # what to install concerns the operator
        _log(str(error).replace(str(source), "a recording that was sent"))
        line = f"a recording in a format that this server cannot read; it reads {BASE_FORMATS}; convert it first"
        raise RequestError(422, line, "recording") from None
    except AudioError as error:
        # The path of the temporary file means nothing to the client.
        line = str(error).replace(f"{source}: ", "").replace(str(source), "this")
        raise RequestError(422, line, "recording") from None
    except _ClientGoneError:
        return
    except OSError:
        if folder.is_dir():
            raise


@cache
def _log(line: str) -> None:
    """Print a line to the server's log, once per process."""
    print(f"unhiss: {line}", file=sys.stderr, flush=True)


@lru_cache(maxsize=4)
def _denoiser(request: DenoiseRequest) -> Denoiser:
    return Denoiser(request.model, atten_limit_db=request.atten_limit_db, mix=request.mix, threads=1)


def _write_streamable(recording: Source, folder: Path, request: DenoiseRequest, limits: Limits) -> None:
    rate, channels, frames = recording.rate, recording.channels, recording.frames
    block_size = max(1, int(BLOCK_S * rate))
    if not recording.exact_length:
        frames = sum(block.shape[1] for block in _read_blocks(recording, block_size, folder))
        limits.check_audio(rate, channels, frames / rate)
    is_wav = request.format == "wav"
    is_float = recording.format.subtype in ("FLOAT", "DOUBLE") if is_wav else request.format == "float32"
    header = _wav_header(rate, channels, frames, is_float, recording.format.layout) if is_wav else b""
    size = len(header) + frames * channels * (4 if is_float else 2)

    def denoised() -> Iterator[np.ndarray]:  # runs from the first block on, when the response has begun
        read = partial(_read_blocks, recording, block_size, folder)
        yield from _denoiser(request).denoise_blocks(read, rate, channels)

    with (
        (folder / OUTPUT).open("wb") as file,
        normalised(denoised(), request.loudness_lufs, rate, channels, folder) as (blocks, gain),
    ):
        file.write(header)
        file.flush()
        warnings = filter(None, (recording.track_notice, *recording.warnings, gain.warning if gain else ""))
        info = OutputInfo(size, rate, channels, warning="; ".join(warnings))
        if gain:
            info = info._replace(output_lufs=gain.lufs, output_dbtp=gain.true_peak_dbtp, gain_db=gain.gain_db)
        _write_info(folder, info)
        for block in blocks:
            file.write(encode_samples(block, "float32" if is_float else "pcm16"))
            file.flush()


def _read_blocks(recording: Source, size: int, folder: Path) -> Iterator[np.ndarray]:
    for block in recording.blocks(size):
        _check_folder(folder)
        yield block


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise _ClientGoneError


def _write_buffered(recording: Source, folder: Path, request: DenoiseRequest) -> None:
    target = folder / f"complete.{request.format}"
    report = _denoiser(request).file(
        recording, target, loudness_lufs=request.loudness_lufs, progress=lambda *_: _check_folder(folder)
    )
    size = target.stat().st_size
    target.rename(folder / OUTPUT)
    loudness = (report.output_lufs, report.output_dbtp, report.gain_db, "; ".join(report.warnings))
    _write_info(folder, OutputInfo(size, report.rate, report.channels, *loudness))


def _write_info(folder: Path, output: OutputInfo) -> None:
    with atomic_write(folder / INFO) as temporary:
        temporary.write_text(json.dumps(output))


def _wav_header(rate: int, channels: int, frames: int, is_float: bool, layout: str = "") -> bytes:
    """A WAV header for samples that follow. Sizes above 4 GB are set to the maximum: "until the end".

    layout: of the speakers; a special one, or one of more than two, makes it a WAVEFORMATEXTENSIBLE.
    """
    width, maximum = 4 if is_float else 2, 0xFFFFFFFF
    frame_size = width * channels
    form = struct.pack("<HHIIHH", 3 if is_float else 1, channels, rate, rate * frame_size, frame_size, width * 8)
    if layout and (channels > 2 or layout != layouts.usual(channels)):
        form = layout_headers.extensible(form, layouts.mask_of(layout))
    fact = b"fact" + struct.pack("<II", 4, min(frames, maximum)) if is_float else b""
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + fact + b"data"
    size = frames * frame_size
    sizes = [struct.pack("<I", min(maximum, value)) for value in (len(body) + 4 + size, size)]
    return b"RIFF" + sizes[0] + body + sizes[1]
