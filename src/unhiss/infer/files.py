"""Denoising one file: its options, the section to process, the output with its warnings, and the report."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unhiss.arguments import as_path, check_choice, check_count, check_flags, check_number, check_text
from unhiss.dsp.audio import MAX_RATE, MIN_RATE
from unhiss.dsp.loudness import LoudnessGain
from unhiss.dsp.meter import LevelMeter
from unhiss.dsp.resampling import resampled
from unhiss.errors import AudioError, ConfigError
from unhiss.infer.loudness import check_loudness, normalised
from unhiss.infer.speech import SpeechShare
from unhiss.media.audio_source import Source
from unhiss.media.formats import can_exceed_full_scale
from unhiss.media.source import open_source
from unhiss.media.writer import CLIP_MODES, RESCALED_PEAK, SUBTYPE, holds_video, open_writer

BLOCK_S = 2.0  # seconds read at a time
Progress = Callable[[float, float], None]  # called with the part done, 0 to 1, and the seconds of audio in total
MEASURED = 0.9  # of the progress, when the loudness is known and the file is still to be written
Pass = Callable[[], Iterable[np.ndarray]]  # starts a new pass over a recording and returns its blocks (C, T)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """The result for one file: seconds of audio and of work, levels, and SNRs as estimated blindly.

    speech_share: of the frames, those in which somebody speaks; None if the model does not tell.
    With a loudness target: output_lufs (None: there is none to measure), output_dbtp, the true peak, and gain_db.
    """

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
    speech_share: float | None = None
    output_lufs: float | None = None
    output_dbtp: float | None = None
    gain_db: float | None = None
    warnings: tuple[str, ...] = ()

    @property
    def times_real_time(self) -> float:
        return self.seconds / max(1e-9, self.elapsed_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """force: overwrite an existing target. in_place: the target may be the source, which is replaced at the end.

    subtype: libsndfile's name of the coding to write, rate: Hz to write; None: those of the source. start_s, end_s:
    the section to keep. clip_mode: for peaks that the coding cannot represent: "clip", "rescale" (the whole output
    gets quieter) or "none" (clip without a warning). residual: a file for what was removed, input minus output.
    strict: refuse a recording that is truncated, or whose header lies, as in_place always does; else it is read as far
    as possible, and the report says so.
    loudness_lufs: integrated loudness of the output (EBU R 128), as far as a true peak of -1 dBTP allows.
    track: which of several audio tracks to denoise, from 1; None: the one that a player plays.
    Raises ConfigError for an option out of range.
    """

    force: bool = False
    in_place: bool = False
    subtype: str | None = None
    rate: int | None = None
    start_s: float = 0.0
    end_s: float | None = None
    clip_mode: str = "clip"
    residual: str | Path | None = None
    strict: bool = False
    loudness_lufs: float | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        check_flags(force=self.force, in_place=self.in_place, strict=self.strict)
        check_text("subtype", self.subtype, SUBTYPE)
        check_choice("clip_mode", self.clip_mode, CLIP_MODES)
        check_number("start_s", self.start_s, 0, math.inf, "seconds from 0")
        if self.end_s is not None:
            check_number("end_s", self.end_s, 0, math.inf, "seconds, or None for the end")
            if self.end_s <= self.start_s:
                raise ConfigError(
                    f"start_s = {self.start_s}, end_s = {self.end_s}; expected 0 <= start < end, in seconds"
                )
        if self.in_place and (self.start_s or self.end_s is not None):
            raise ConfigError("start_s and end_s keep a part, and in_place would lose the rest; name another output")
        if self.rate is not None:
            check_count("rate", self.rate, MIN_RATE, f"{MIN_RATE:,} to {MAX_RATE:,} Hz", MAX_RATE)
        if self.residual is not None:
            as_path("residual", self.residual)
        if self.track is not None:
            check_count("track", self.track, 1, "the number of an audio track, from 1")
        check_loudness(self.loudness_lufs)
        if self.residual and self.loudness_lufs is not None:
            why = "a residual is input minus output at one level, which loudness_lufs changes"
            raise ConfigError(f"{why}; leave one of the two out")
        if self.residual and self.in_place:
            raise ConfigError("a residual is input minus output, and in_place leaves no input; name another output")
        if self.residual and self.rate:
            raise ConfigError("a residual is input minus output at one rate; leave one of the two out")


class _TooLoud(Exception):
    """The whole output must be quieter; its writer discards the file."""


class FileJob:
    """One recording and its target: `start_pass` returns the blocks of the input, `write` takes those of the output.

    Raises AudioError if the source cannot be read, the target must not or cannot be written, or the section starts
    beyond the end.
    """

    def __init__(self, source: Source | str | Path, target: str | Path, options: FileOptions) -> None:
        self._started = time.perf_counter()
        if isinstance(source, Source) and options.track not in (None, source.track):
            raise ConfigError(f"track = {options.track}; a source that is open has its track, expected {source.track}")
        strict = options.strict or options.in_place
        self.source = source = source if isinstance(source, Source) else open_source(source, options.track, strict)
        if strict and source.warnings:  # of one that was open
            raise AudioError(f"{source.path}: {source.warnings[0]}, and strict=True and in_place=True refuse that")
        self.target, self.options = Path(target), options
        self._residual = None if options.residual is None else Path(options.residual)
        _check_targets(source.path, self.target, self._residual, options)
        if (options.start_s or options.end_s is not None) and source.has_video and holds_video(self.target):
            why = "a section of its audio would not match its video"
            raise AudioError(f"{source.path}: {why}; write audio alone, such as .m4a")
        self._first = round(options.start_s * source.rate)
        if self._first and self._first >= source.frames:
            start = f"the part to keep starts at {options.start_s:g} s"
            raise AudioError(f"{source.path}: {source.seconds:.2f} s long, and {start}")
        # None is the end, which an MP3's header only estimates.
        self._stop = None if options.end_s is None else min(source.frames, round(options.end_s * source.rate))
        frames = (source.frames if self._stop is None else self._stop) - self._first
        self.rate = int(options.rate or source.rate)
        self._format = replace(source.format, rate=self.rate, frames=round(frames * self.rate / source.rate))
        self._target_track: int | None = None
        self._input_meter, self._speech = LevelMeter(source.rate), SpeechShare()

    def start_pass(self) -> Iterator[np.ndarray]:
        """The section of the input in blocks `(C, T)`; the report has the levels of the last pass."""
        self._input_meter, self._speech = LevelMeter(self.source.rate), SpeechShare()
        meter = self._input_meter
        for block in self._section():
            meter.add(block)
            yield block

    def add_speech(self, probability: np.ndarray) -> None:
        """Take the probabilities of speech `(C, N)` of the next frames, for the report."""
        self._speech.add(probability)

    def _section(self) -> Iterator[np.ndarray]:
        return self.source.blocks(max(1, int(BLOCK_S * self.source.rate)), self._first, self._stop)

    def write(self, denoised: Pass, model: str, progress: Progress) -> FileReport:
        """Write the blocks of `denoised()`, which are at the source's rate; a second pass if they must be rescaled."""
        meter, gain, warnings = self._write_target(denoised, progress)
        if self._residual:
            warnings += self._write_residual(self._residual)
        warnings = [*self.source.warnings, *warnings]
        return FileReport(
            source=str(self.source.path), target=str(self.target), model=model, seconds=meter.count / self.rate,
            elapsed_s=time.perf_counter() - self._started, rate=self.rate, channels=self.source.channels,
            input_dbfs=self._input_meter.level_dbfs, output_dbfs=meter.level_dbfs,
            input_snr_db=self._input_meter.snr_db, output_snr_db=meter.snr_db, speech_share=self._speech.value,
            warnings=tuple(warnings),
            **({"output_lufs": gain.lufs, "output_dbtp": gain.true_peak_dbtp, "gain_db": gain.gain_db} if gain else {}),
        )  # fmt: skip

    def _write_target(self, denoised: Pass, progress: Progress) -> tuple[LevelMeter, LoudnessGain | None, list[str]]:
        """The level of what was written, the gain to the loudness target, and warnings."""
        gain, clip_mode = 1.0, self.options.clip_mode
        while True:
            meter = LevelMeter(self.rate)
            try:
                with (
                    open_writer(self.target, self._format, self.options.subtype, self.source) as file,
                    self._output(denoised, progress) as (blocks, loudness),
                ):
                    clips = not can_exceed_full_scale(file.subtype)
                    for block in blocks:
                        scaled = block if gain == 1 else block * np.float32(gain)
                        meter.add(scaled)
                        file.write(scaled)
                    if clips and clip_mode == "rescale" and meter.over:
                        raise _TooLoud
                warnings = [loudness.warning] if loudness and loudness.warning else []
                warnings += [f"not kept: {track}, which {self.target.suffix} cannot hold" for track in file.dropped]
                warnings += filter(None, (self.source.track_notice, *file.notes))
                self._target_track = file.track
                return meter, loudness, [*_level_warnings(meter, gain, clips and clip_mode == "clip"), *warnings]
            except _TooLoud:
                gain = RESCALED_PEAK / meter.peak

    @contextmanager
    def _output(self, denoised: Pass, progress: Progress) -> Iterator[tuple[Iterable[np.ndarray], LoudnessGain | None]]:
        """A pass over the blocks to write, and the gain they got for the loudness target, if there is one."""
        target, rate, channels = self.options.loudness_lufs, self.rate, self.source.channels
        first = 1.0 if target is None else MEASURED
        blocks = resampled(denoised(), self.source.rate, rate, channels)
        blocks = self._reported(blocks, lambda part, seconds: progress(first * part, seconds))
        try:
            with normalised(blocks, target, rate, channels, self.target.resolve().parent) as (scaled, gain):
                if gain:
                    rest = 1 - first
                    scaled = self._reported(scaled, lambda part, seconds: progress(first + rest * part, seconds))
                yield scaled, gain
        except OSError as error:
            if target is None:
                raise
            what = f"cannot be written, which takes 4 bytes a sample beside it meanwhile ({error.strerror})"
            raise AudioError(f"{self.target}: {what}; is the disk full?") from error

    def _reported(self, blocks: Iterable[np.ndarray], progress: Progress) -> Iterator[np.ndarray]:
        """The blocks; the progress is reported when the next one is asked for."""
        count = 0
        for block in blocks:
            yield block
            count += block.shape[1]
            progress(min(1.0, count / max(1, self._format.frames)), self._format.seconds)

    def _write_residual(self, path: Path) -> list[str]:
        """Write input minus output, computed from both files; warnings.

        In integers if the input is, else in floats if the format of `path` has them.
        """
        integers = self.source.format.subtype.startswith(("PCM", "ALAC"))
        meter, format_ = LevelMeter(self.source.rate), self.source.format
        with open_writer(path, format_ if integers else replace(format_, subtype="FLOAT")) as file:
            output = open_source(self.target, self._target_track).blocks(max(1, int(BLOCK_S * self.source.rate)))
            for noisy in self._section():
                denoised = next(output, noisy[:, :0])
                denoised = np.pad(denoised, ((0, 0), (0, max(0, noisy.shape[1] - denoised.shape[1]))))
                removed = noisy - denoised[:, : noisy.shape[1]]
                meter.add(removed)
                file.write(removed)
        if meter.over and not can_exceed_full_scale(file.subtype):
            return [f"{meter.over:,} samples of the residual above full scale were clipped; write it as a float WAV"]
        if not file.subtype.startswith(("FLOAT", "DOUBLE", *(("PCM", "ALAC") if integers else ()))):
            return [f"{path}: the residual is rounded, as {file.subtype} is; a .wav keeps all of it"]
        return [f"{path}: {note}" for note in file.notes]


def _level_warnings(output: LevelMeter, gain: float, clipped: bool) -> Iterator[str]:
    if gain != 1:
        yield f"peaks above full scale: the whole output is {-20 * np.log10(gain):.1f} dB quieter"
    elif clipped and output.over:
        peak = f"peak {20 * np.log10(output.peak):+.1f} dBFS"
        yield f"{output.over:,} samples above full scale were clipped ({peak}); clip_mode=rescale keeps them"


def _check_targets(source: Path, target: Path, residual: Path | None, options: FileOptions) -> None:
    """Raise AudioError for a target that would be lost or cannot be written."""
    for path in filter(None, (target, residual)):
        if path.is_dir():
            raise AudioError(f"{path} is a folder; name a file in it, such as {path / source.name}")
        if path.exists():
            if not path.is_file():
                raise AudioError(f"{path} is no file that could be replaced; name another output")
            is_input = path.samefile(source)
            if is_input and not (options.in_place and path is target):
                raise AudioError(f"{path} is the input itself; choose another output, or replace it with in_place=True")
            if not options.force and not is_input:
                raise AudioError(f"{path} exists; force=True overwrites it")
        if not path.parent.is_dir():
            raise AudioError(f"{path.parent} is no folder; make it first: mkdir -p {path.parent}")
    if residual and residual.resolve() == target.resolve():
        raise AudioError(f"{target} cannot be both the output and the residual; name two files")
