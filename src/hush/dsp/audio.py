"""Audio files: read, write beside and rename, stream in blocks, resample. The only room that does so."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import soundfile as sf
import soxr

from hush.dsp import containers
from hush.dsp.containers import UNKNOWN
from hush.errors import AudioError

LOUDEST = 2.0**31  # float recordings scaled as integers reach this; beyond it lie damaged bytes, not sound
FASTEST = 10_000_000  # Hz; what states more has a damaged header, and soxr crashes on some of it

_SYSTEM_ERROR = 2  # libsndfile's code for a read or write that failed


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """rate in Hz, channels, frames (samples per channel), libsndfile's names of the coding, and tags.

    frames is what the header says: exact, but for an MP3 an estimate.
    """

    rate: int
    channels: int
    frames: int
    format: str = ""
    subtype: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def _open(path: Path) -> sf.SoundFile:
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path} is a folder, not a recording; name the files in it")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path}: raw samples say neither rate nor channels; wrap them in a WAV first")
    try:
        with path.open("rb") as probe:
            empty = not probe.read(1)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if empty:
        raise AudioError(f"{path}: 0 bytes, not a recording")
    missing = containers.shortage(path)
    if missing:
        raise AudioError(f"{path}: truncated, {missing}; get the whole file")
    try:
        file = sf.SoundFile(path)
    except (sf.SoundFileError, RuntimeError, TypeError) as error:
        raise AudioError(
            f"{path}: not a readable recording ({_reason(error)}); is it WAV, FLAC, Ogg or MP3?"
        ) from error
    missing = containers.mismatch(file.extra_info)
    if missing or file.frames >= UNKNOWN or file.samplerate > FASTEST:
        file.close()
        if file.samplerate > FASTEST:
            raise AudioError(
                f"{path}: damaged, {file.samplerate:,} Hz (at most {FASTEST:,} is a rate); get a whole copy"
            )
        if missing:
            raise AudioError(f"{path}: truncated, {missing}; get the whole file")
        raise AudioError(f"{path}: written to a pipe, so its header leaves the length open; rewrite it to a file")
    return file


def _reason(error: Exception) -> str:
    text = str(getattr(error, "error_string", error)).replace("Error : ", "").strip(". \n")
    return "no sound found in it" if "not a regular file" in text else text  # said of any MP3 without a frame


def info(path: str | Path) -> AudioInfo:
    """Facts of a recording without decoding it. Raises AudioError if it cannot be read."""
    with _open(Path(path)) as file:
        tags = {name: value for name, value in file.copy_metadata().items() if name in containers.TAGS}
        return AudioInfo(file.samplerate, file.channels, file.frames, file.format, file.subtype, tags)


def blocks(path: str | Path, size: int) -> Iterator[np.ndarray]:
    """A recording in blocks, float32 `(C, size)`, the last one shorter; memory stays bounded.

    Raises AudioError for damaged or truncated data, and for samples that are no sound (NaN, infinite).
    """
    path = Path(path)
    with _open(path) as file:
        yield from _decoded(file, path, size)


def _decoded(file: sf.SoundFile, path: Path, size: int) -> Iterator[np.ndarray]:
    done = 0
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)
        except (sf.SoundFileError, RuntimeError) as error:
            where = f"{done / file.samplerate:.2f} s"
            raise AudioError(f"{path}: damaged after {where} ({_reason(error)}); get a whole copy") from error
        _check_samples(path, block, done, file.samplerate)
        done += len(block)
        if len(block):
            yield np.ascontiguousarray(block.T)
        if len(block) < size:
            break
    # The length an MP3 states is an estimate; every other header is a promise.
    if done < file.frames and file.format != "MP3":
        raise AudioError(f"{path}: truncated, holds {done:,} of {file.frames:,} samples; get the whole file")


def _check_samples(path: Path, block: np.ndarray, done: int, rate: int) -> None:
    if not (np.abs(block) <= LOUDEST).all():  # NaN fails this too
        place = done + int(np.argmin((np.abs(block) <= LOUDEST).all(axis=1)))
        value = block[place - done][~(np.abs(block[place - done]) <= LOUDEST)][0]
        raise AudioError(f"{path}: sample {place:,} ({place / rate:.2f} s) is {value:g}, no sound; repair it first")


class TooLong(AudioError):
    """A recording is longer than its reader wants; `seconds` is its length."""

    def __init__(self, path: Path, seconds: float, longest_s: float) -> None:
        super().__init__(f"{path}: {seconds:.2f} s long, expected {longest_s:g} s at most; cut it first")
        self.seconds = seconds


def read(path: str | Path, longest_s: float | None = None) -> tuple[np.ndarray, int]:
    """A whole recording as float32, `(T,)` if mono, else `(C, T)`, and its rate in Hz.

    longest_s: what is longer by its header is not decoded, but raises TooLong.
    Raises AudioError as `blocks` does. An empty recording is valid and gives `T = 0`.
    """
    path = Path(path)
    with _open(path) as file:
        if longest_s is not None and file.frames / file.samplerate > longest_s:
            raise TooLong(path, file.frames / file.samplerate, longest_s)
        parts = list(_decoded(file, path, 1 << 18))
        audio = np.concatenate(parts, axis=1) if parts else np.zeros((file.channels, 0), np.float32)
        return (audio[0] if file.channels == 1 else audio), file.samplerate


class Writer:
    """Write a recording block by block into a hidden file beside `path`, renamed when complete.

    like: rate, channels, tags, and as far as the container (by the extension) has it, the coding; subtype:
    a coding that must be had. Use as a context manager; `write(block)` takes float32 `(C, T)`. An
    exception inside leaves nothing behind.
    Raises AudioError if the container cannot hold this, or the file does not hold what was written.
    """

    def __init__(self, path: str | Path, like: AudioInfo, subtype: str | None = None) -> None:
        self.path = Path(path)
        target = self.path.resolve()  # through a link to the file it names
        form = containers.container(target, like.format)
        if form is None:
            raise AudioError(f"{self.path}: cannot write {target.suffix or 'without an extension'}; try .wav or .flac")
        if subtype and not sf.check_format(form, subtype):
            known = ", ".join(sorted(sf.available_subtypes(form)))
            raise AudioError(f"{self.path}: {form} has no coding {subtype!r}; known: {known}")
        subtype = subtype or containers.coding(form, target.suffix, like.subtype)
        form = containers.roomy(form, subtype, like.channels * like.frames)
        self._what, self._like, self._target, self._written = f"{form}/{subtype}", like, target, 0
        self._beside = target.with_name(f".hush-{uuid.uuid4().hex}.part")
        try:
            self._beside.touch()
            self._file = sf.SoundFile(self._beside, "w", like.rate, like.channels, subtype, format=form)
        except OSError as error:
            raise AudioError(f"{self.path}: cannot be written ({error.strerror}); choose another place") from error
        except (sf.SoundFileError, TypeError, ValueError) as error:
            self._beside.unlink(missing_ok=True)
            if getattr(error, "code", None) == _SYSTEM_ERROR:
                raise self._full(error) from error
            sound = f"{like.channels} channels at {like.rate:,} Hz"
            raise AudioError(
                f"{self.path}: {self._what} cannot hold {sound} ({_reason(error)}); try .wav or .flac"
            ) from error
        for name, text in like.tags.items():
            setattr(self._file, name, text)

    def write(self, block: np.ndarray) -> None:
        try:
            self._file.write(block.T)
        except (sf.SoundFileError, RuntimeError, OSError, AssertionError) as error:
            raise self._full(error) from error
        self._written += block.shape[1]

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                self._file.close()
            except (sf.SoundFileError, RuntimeError, OSError) as error:
                if kind is None:
                    raise self._full(error) from error
            if kind is None:
                self._verify()
                self._beside.replace(self._target)
        finally:
            self._beside.unlink(missing_ok=True)

    def _full(self, error: Exception) -> AudioError:
        reason = _reason(error)
        return AudioError(f"{self.path}: cannot be written{f' ({reason})' if reason else ''}; is the disk full?")

    def _verify(self) -> None:
        """What lies on disk is what was written: some containers round rates, pad, or keep no empty sound."""
        like, written = self._like, self._written
        try:
            with sf.SoundFile(self._beside) as file:
                held = (file.samplerate, file.channels, file.frames)
        except sf.SoundFileError as error:
            if not written:
                raise AudioError(f"{self.path}: {self._what} cannot hold an empty recording; try .wav") from error
            raise self._full(error) from error
        if held[2] < written:
            raise AudioError(
                f"{self.path}: only {held[2]:,} of {written:,} samples could be written; is the disk full?"
            )
        if held != (like.rate, like.channels, written):
            raise AudioError(
                f"{self.path}: {self._what} makes {held[2]:,} samples at {held[0]:,} Hz "
                f"of {written:,} at {like.rate:,} Hz; try .wav or .flac"
            )


def turned(audio: np.ndarray) -> bool:
    """Whether an array is `(T, C)` by all likelihood: more than 32 channels, and longer across than along."""
    return audio.ndim == 2 and len(audio) > 32 and 0 < audio.shape[1] < len(audio)


def write(path: str | Path, audio: np.ndarray, rate: int, subtype: str | None = None) -> None:
    """Write float32 `(T,)` or `(C, T)`; the container follows the extension, complete or not at all.

    subtype: libsndfile's name of a coding, such as "FLOAT". Raises AudioError.
    """
    audio = np.atleast_2d(audio)
    if audio.ndim > 2 or turned(audio):
        raise AudioError(f"audio of shape {audio.shape}; expected (T,) or (C, T), such as audio.T")
    with Writer(path, AudioInfo(rate, len(audio), audio.shape[1]), subtype) as file:
        file.write(audio)


def spool(stream: BinaryIO, path: Path) -> Path:
    """A pipe's bytes as a file: two passes over a recording need something to seek in."""
    try:
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
    except OSError as error:
        raise AudioError(
            f"{path.parent}: stdin cannot be kept there ({error.strerror}); set TMPDIR to a roomier folder"
        ) from error
    return path


def to_mono(audio: np.ndarray) -> np.ndarray:
    """The mean of all channels, `(T,)`."""
    return audio if audio.ndim == 1 else audio.mean(axis=0, dtype=np.float32)


def resample(audio: np.ndarray, from_rate: float, to_rate: float) -> np.ndarray:
    """float32 `(..., T)` at another rate (soxr, high quality), aligned with the input."""
    if from_rate == to_rate or audio.shape[-1] == 0:
        return audio
    columns = np.ascontiguousarray(np.atleast_2d(audio).T)
    out: np.ndarray = soxr.resample(columns, from_rate, to_rate).T
    return np.ascontiguousarray(out.reshape(*audio.shape[:-1], -1), dtype=np.float32)


class Resampler:
    """Resample a stream of float32 `(C, T)` blocks; all pushed and flushed aligns with the input."""

    def __init__(self, from_rate: float, to_rate: float, channels: int) -> None:
        self._same = from_rate == to_rate
        self._channels = channels
        self._soxr = None if self._same else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        if self._soxr is None:
            return block
        out = self._soxr.resample_chunk(np.ascontiguousarray(block.T), last=last)
        return np.ascontiguousarray(out.reshape(-1, self._channels).T)

    def flush(self) -> np.ndarray:
        return self.push(np.zeros((self._channels, 0), np.float32), last=True)
