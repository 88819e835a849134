"""One recording in, one out: what is kept, what is cut, how loud, and what it was like."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unhiss.dsp.audio import MAX_RATE, MIN_RATE
from unhiss.dsp.meter import LevelMeter
from unhiss.dsp.resampling import resampled
from unhiss.errors import AudioError, ConfigError
from unhiss.media.formats import AudioFormat, can_exceed_full_scale
from unhiss.media.source import Source, open_source
from unhiss.media.writer import holds_video, open_writer

BLOCK_S = 2.0  # seconds read at a time
CLIP_MODES = ("clip", "rescale", "none")
BlockSource = Callable[[], Iterable[np.ndarray]]  # returns the input from its start, as blocks (C, T)
Progress = Callable[[float, float], None]  # of the share that is done, and the seconds of sound in all
Clean = Callable[[BlockSource, int, int], Iterator[np.ndarray]]  # of a rate and a number of channels


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What denoising one file took and did: seconds of audio and of work, levels, SNRs as estimated blindly."""

    source: str
    target: str
    model: str
    seconds: float
    elapsed_s: float
    rate: int
    channels: int
    input_dbfs: float
    output_dbfs: float
    input_snr_db: float
    output_snr_db: float
    warnings: tuple[str, ...] = ()

    @property
    def times_real_time(self) -> float:
        return self.seconds / max(1e-9, self.elapsed_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """force: overwrite. in_place: the target may be the source. subtype, rate: what to write, the source's if None.

    start_s, end_s: the part to keep. clip_mode: what happens to peaks that the coding cannot hold: clip,
    rescale (all of it quieter), none (no word said). residual: where to write what was taken out, input
    less output.
    """

    force: bool = False
    in_place: bool = False
    subtype: str | None = None
    rate: int | None = None
    start_s: float = 0.0
    end_s: float | None = None
    clip_mode: str = "clip"
    residual: Path | None = None

    def __post_init__(self) -> None:
        if self.clip_mode not in CLIP_MODES:
            raise ConfigError(f"clip_mode = {self.clip_mode!r}; expected one of {', '.join(CLIP_MODES)}")
        if not (self.start_s >= 0 and (self.end_s is None or self.end_s > self.start_s)):
            raise ConfigError(f"start_s = {self.start_s}, end_s = {self.end_s}; expected 0 <= start < end, in seconds")
        if self.rate is not None and not MIN_RATE <= self.rate <= MAX_RATE:
            raise ConfigError(f"rate = {self.rate}; expected {MIN_RATE:,} to {MAX_RATE:,} Hz")
        if self.residual and self.in_place:
            raise ConfigError("a residual is input less output, and in_place leaves no input; name another output")
        if self.residual and self.rate:
            raise ConfigError("a residual is input less output at one rate; leave residual or rate out")


class _TooLoud(Exception):
    """The whole file is to be quieter; its writer drops what it has."""


def convert(
    clean: Clean, model: str, source: Source | Path, target: Path, options: FileOptions, progress: Progress
) -> FileReport:
    """Denoise one file; see Denoiser.file."""
    started = time.perf_counter()
    source = source if isinstance(source, Source) else open_source(source)
    facts = source.format
    check_target(source.path, target, options)
    if (options.start_s or options.end_s is not None) and source.has_video and holds_video(target):
        raise AudioError(
            f"{source.path}: a part of its sound would not fit its pictures; write sound alone, such as .m4a"
        )
    first, stop = _range(source.path, facts, options)
    rate = options.rate or facts.rate
    kept = (facts.frames if stop is None else stop) - first
    wanted = replace(facts, rate=rate, frames=round(kept * rate / facts.rate))
    passes = [LevelMeter(facts.rate)]  # one for each pass over the input; the last one counts

    def opened() -> Iterator[np.ndarray]:
        passes.append(LevelMeter(facts.rate))
        for block in source.blocks(_size(facts), first, stop):
            passes[-1].add(block)
            yield block

    again = lambda: resampled(clean(opened, facts.rate, facts.channels), facts.rate, rate, facts.channels)  # noqa: E731
    after, warnings = _write(again, source, target, wanted, options, progress)
    if options.residual:
        warnings += _write_residual(options.residual, facts, source.blocks(_size(facts), first, stop), target)
    return FileReport(
        source=str(source.path), target=str(target), model=model, seconds=after.count / rate,
        elapsed_s=time.perf_counter() - started, rate=rate, channels=facts.channels,
        input_dbfs=passes[-1].level_dbfs, output_dbfs=after.level_dbfs,
        input_snr_db=passes[-1].snr_db, output_snr_db=after.snr_db, warnings=tuple(warnings),
    )  # fmt: skip


def _write(
    again: Callable[[], Iterator[np.ndarray]], source: Source, target: Path, wanted: AudioFormat, options: FileOptions,
    progress: Progress,
) -> tuple[LevelMeter, list[str]]:  # fmt: skip
    """Write all blocks that `again()` gives, once more and quieter if they must fit; their meter, and warnings."""
    gain = 1.0
    while True:
        meter = LevelMeter(wanted.rate)
        try:
            with open_writer(target, wanted, options.subtype, source) as file:
                limited = not can_exceed_full_scale(file.subtype)
                for block in again():
                    scaled = block if gain == 1 else block * np.float32(gain)
                    meter.add(scaled)
                    file.write(scaled)
                    progress(min(1.0, meter.count / max(1, wanted.frames)), wanted.seconds)
                if limited and options.clip_mode == "rescale" and meter.over:
                    raise _TooLoud
            dropped = [f"not kept: {track}, which {target.suffix} cannot hold" for track in file.dropped]
            return meter, [*_warnings(meter, gain, limited and options.clip_mode == "clip"), *dropped]
        except _TooLoud:
            gain = (1 - 2**-15) / meter.peak


def _range(source: Path, facts: AudioFormat, options: FileOptions) -> tuple[int, int | None]:
    """The first sample to keep, and the one to stop at; None is the end, which an MP3's header only estimates."""
    first = round(options.start_s * facts.rate)
    if first and first >= facts.frames:
        raise AudioError(f"{source}: {facts.seconds:.2f} s long, and the part to keep starts at {options.start_s:g} s")
    return first, None if options.end_s is None else min(facts.frames, round(options.end_s * facts.rate))


def _size(facts: AudioFormat) -> int:
    return max(1, int(BLOCK_S * facts.rate))


def _warnings(after: LevelMeter, gain: float, clipped: bool) -> Iterator[str]:
    if gain != 1:
        yield f"peaks above full scale: all of it is {-20 * np.log10(gain):.1f} dB quieter"
    elif clipped and after.over:
        yield (
            f"{after.over:,} samples above full scale were clipped (peak {20 * np.log10(after.peak):+.1f} dBFS);"
            " clip mode rescale keeps them"
        )


def _write_residual(path: Path, facts: AudioFormat, source: Iterator[np.ndarray], target: Path) -> Iterator[str]:
    """What was taken out, from what the two files hold: samples of the input less those of the output; warnings.

    In whole numbers if the input is, else in floats, where the format of `path` has them.
    """
    whole = facts.subtype.startswith(("PCM", "ALAC"))
    meter = LevelMeter(facts.rate)
    with open_writer(path, facts if whole else replace(facts, subtype="FLOAT")) as file:
        outside = open_source(target).blocks(_size(facts))
        for noisy in source:
            clean = next(outside, noisy[:, :0])
            clean = np.pad(clean, ((0, 0), (0, max(0, noisy.shape[1] - clean.shape[1]))))
            taken = noisy - clean[:, : noisy.shape[1]]
            meter.add(taken)
            file.write(taken)
    if meter.over and not can_exceed_full_scale(file.subtype):
        yield f"{meter.over:,} samples of the residual above full scale were clipped; write it as a float WAV"
    elif not file.subtype.startswith(("FLOAT", "DOUBLE", *(("PCM", "ALAC") if whole else ()))):
        yield f"{path}: the residual is rounded, as {file.subtype} is; a .wav keeps all of it"


def check_target(source: Path, target: Path, options: FileOptions) -> None:
    """Refuse a target that would be lost or cannot be written. Raises AudioError."""
    for path in (target, options.residual):
        if path is None:
            continue
        if path.is_dir():
            raise AudioError(f"{path} is a folder; name a file in it, such as {path / source.name}")
        if path.exists():
            if not path.is_file():
                raise AudioError(f"{path} is no file that could be replaced; -o - writes to stdout")
            itself = path.samefile(source)
            if itself and not (options.in_place and path is target):
                raise AudioError(f"{path} is the input itself; choose another output, or replace it with --in-place")
            if not options.force and not itself:
                raise AudioError(f"{path} exists; --force (in Python force=True) overwrites it")
        if not path.parent.is_dir():
            raise AudioError(f"{path.parent} is no folder; make it first: mkdir -p {path.parent}")
    if options.residual and options.residual.resolve() == target.resolve():
        raise AudioError(f"{target} is to hold both the clean sound and the residual; name two files")
