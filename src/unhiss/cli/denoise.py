"""`unhiss denoise`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unhiss.cli.batch import Settings, Where
from unhiss.cli.screen import say
from unhiss.cli.sources import PIPE, Here, Job, PathOrUrl, plan

if TYPE_CHECKING:
    from unhiss.infer.files import FileReport

EXAMPLES = """
\b
unhiss denoise noisy.wav -o clean.wav
unhiss denoise noisy.flac -o clean.flac --plot before-after.png
unhiss denoise recordings/ -o clean/ -j 4 --skip-existing
unhiss denoise talk.mp4 -o talk.clean.mp4
cat noisy.wav | unhiss denoise - -o - > clean.wav
"""


@click.command("denoise", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=PathOrUrl())
@click.option("-o", "--output", type=PathOrUrl(),
              help="The clean file; a folder for several; - for stdout.")  # fmt: skip
@click.option("--in-place", is_flag=True, help="Replace the recordings, each when its clean one is complete.")
@click.option("--model", metavar="NAME", help="An installed model (see unhiss models) or an .onnx file.")
@click.option("--atten-lim", "--atten-limit-db", "atten_limit_db", type=float, metavar="DB",
              help="Take out at most so many dB.")  # fmt: skip
@click.option("--mix", type=float, default=1.0, show_default=True, help="1 is the clean sound, 0 the input.")
@click.option("--guard/--no-guard", default=True, help="Leave clean speech alone (causal models; on by default).")
@click.option("--residual", type=Here(path_type=Path), help="Write what was taken out here: input less output.")
@click.option("--start", "start_s", type=float, default=0.0, metavar="SECONDS", help="Keep the sound from here on.")
@click.option("--end", "end_s", type=float, metavar="SECONDS", help="Keep the sound up to here.")
@click.option("--rate", type=int, metavar="HZ", help="Write at this rate instead of the input's.")
@click.option("--format", "extension", metavar="EXT", help="Write .EXT, such as flac: in a folder, or to stdout.")
@click.option("--subtype", help="Coding to write, such as PCM_24 or FLOAT, instead of the input's.")
@click.option("--clip-mode", type=click.Choice(["clip", "rescale", "none"]), default="clip", show_default=True,
              help="What happens to peaks that the coding cannot hold.")  # fmt: skip
@click.option("-j", "--jobs", default=1, show_default=True, help="Recordings at a time; 0 is one a core.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Do it on Ray: local, or a cluster's auto or HOST:PORT. The same command goes on after any end.",
)
@click.option("--threads", type=int, help="Processor threads for each; 0 takes all.  [default: all, 1 with -j]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out what has an output already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--plot", type=Here(path_type=Path), help="Write before/after spectrograms here (PNG).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per recording on stdout.")
@click.option("--end-to-end", is_flag=True, help="The reference's frames, without overlap (for comparison).")
def command(
    sources, output, in_place, residual, extension, jobs, ray, skip_existing, dry_run, plot, as_json, **options
) -> None:
    """Take the noise out of recordings: files, folders with all below them, or patterns in quotes.

    Rate, channels, number of samples, coding, tags and, of a video, the picture stay those of the input.
    Exit code 1 if a recording failed, 2 for a wrong option.
    """
    import signal

    todo = plan(sources, output, in_place=in_place, residual=residual, extension=extension)
    _check_plot(plot, todo, options["force"], in_place)
    if jobs < 0:
        raise click.UsageError(f"-j {jobs}: expected 1 or more, or 0 for one a core")
    if ray and (in_place or PIPE in (output, *sources)):
        raise click.UsageError("--ray may do a recording twice, and takes neither pipes nor --in-place; use -o FOLDER")
    settings = _settings(options, 0 if ray else jobs, in_place, residual)
    planned = len(todo)
    if skip_existing:
        todo = [job for job in todo if not job.target.exists()]
    if dry_run:
        for job in todo:
            known = job.target != PIPE and job.target.exists() and not (in_place or options["force"])
            say(f"{job.source} -> {job.target}{' (exists: it needs --force)' if known else ''}")
        return
    if not todo:
        say(f"nothing to do: all of {planned} have an output", err=as_json)
        return
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):  # leave through the exits that clean up
        signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    where = Where(0 if ray and jobs == 1 else jobs, ray, _ledger(todo, output, ray, skip_existing))
    if _work(todo, settings, where, plot, as_json):
        sys.exit(1)


def _settings(options: dict, jobs: int, in_place: bool, residual: Path | None) -> Settings:
    """What all recordings share. Raises ConfigError, once for all, for a wrong option."""
    from unhiss.infer.files import FileOptions
    from unhiss.weights import DEFAULT

    if options["threads"] is None:
        options["threads"] = 0 if jobs == 1 else 1
    names = ("atten_limit_db", "mix", "guard", "threads", "device", "end_to_end")
    model = {"model": options["model"] or DEFAULT, **{name: options[name] for name in names}}
    file = {name: options[name] for name in ("force", "start_s", "end_s", "rate", "subtype", "clip_mode")}
    file["in_place"] = in_place
    FileOptions(residual=residual, **file)
    return Settings(model, file)


def _ledger(todo: list[Job], output: Path | None, ray: str | None, skip_existing: bool) -> Path | None:
    """Where a run on Ray notes what is done; with --skip-existing the outputs themselves say it."""
    from unhiss.fleet.ledger import NAME

    return output / NAME if ray and isinstance(output, Path) and todo[0].folders and not skip_existing else None


def _work(todo: list[Job], settings: Settings, where: Where, plot: Path | None, as_json: bool) -> int:
    """Denoise all, tell of each; how many failed. What goes wrong with a single recording is raised."""
    import time

    from unhiss.cli.batch import outcomes

    alone = len(todo) == 1
    began, seconds, done, failed = time.perf_counter(), 0.0, 0, 0
    try:
        outcome_of = outcomes(todo, settings, where, raise_errors=alone and not as_json)
        for number, outcome in _in_order(outcome_of) if as_json and not alone else outcome_of:
            job = todo[number]
            if isinstance(outcome, str):
                failed += 1
                _tell_failure(job, outcome, as_json)
                continue
            done, seconds = done + 1, seconds + outcome.seconds
            if plot:
                _draw(plot, job, settings)
            _tell(job, outcome, plot, as_json, alone)
    except KeyboardInterrupt as stop:
        if alone or settings.file["in_place"]:
            raise
        raise KeyboardInterrupt(f"{done} of {len(todo)} recordings are done; --skip-existing does the rest") from stop
    if done and not alone:
        speed = seconds / max(1e-9, time.perf_counter() - began)
        say(f"{done} recording{'s' * (done > 1)}, {_clock(seconds)} of sound, {speed:.0f} x real time", err=as_json)
    if failed and not alone:
        say(f"unhiss: {failed} of {len(todo)} recordings failed", err=True)
    return failed


def _in_order(outcomes: Iterator[tuple[int, FileReport | str]]) -> Iterator[tuple[int, FileReport | str]]:
    from unhiss.fleet.mapping import in_order  # not at the top: it takes longer to load than some recordings to clean

    return in_order(outcomes)


def _draw(plot: Path, job: Job, settings: Settings) -> None:
    from unhiss.media.plots import compare, levels

    assert isinstance(job.source, Path) and isinstance(job.target, Path)  # else --plot was refused
    before = levels(job.source, settings.file["start_s"], settings.file["end_s"])
    compare(plot, {"before": before, "after": levels(job.target)})


def _check_plot(plot: Path | None, todo: list[Job], force: bool, in_place: bool) -> None:
    """Refuse, before the work, a picture that cannot or must not be written."""
    from unhiss.errors import AudioError

    if not plot:
        return
    source, target = todo[0].source, todo[0].target
    if len(todo) > 1 or not isinstance(source, Path) or not isinstance(target, Path) or PIPE in (source, target):
        raise click.UsageError("--plot takes one recording, from a file to a file")
    if in_place:
        raise click.UsageError("--plot shows the input beside the output, and --in-place leaves no input; use -o")
    if plot.is_dir() or not plot.absolute().parent.is_dir():
        raise AudioError(f"{plot}: --plot needs a file name in a folder that exists, such as before-after.png")
    if plot.resolve() in (source.resolve(), target.resolve()):
        raise AudioError(f"{plot} is a recording here; choose another file for --plot, such as before-after.png")
    if plot.exists() and not force:
        raise AudioError(f"{plot} exists; --force overwrites it")


def _tell(job: Job, report: FileReport, plot: Path | None, as_json: bool, alone: bool) -> None:
    to_stderr = job.target == PIPE  # stdout is the recording then
    for warning in report.warnings if not as_json else ():
        say(f"unhiss: {job.source}: {warning}", err=True)
    if as_json:
        say(_json(job, report), err=to_stderr)
        return
    what = f"{report.seconds:.1f} s of audio ({report.channels} ch, {report.rate:,} Hz)"
    speed = f"{report.times_real_time:.0f} x real time"
    if not alone:
        say(f"{job.target}: {what}, {speed}", err=to_stderr)
        return
    say(f"{what} in {report.elapsed_s:.2f} s, {speed}, model {report.model}", err=to_stderr)
    say(
        f"  level {report.input_dbfs:.1f} -> {report.output_dbfs:.1f} dBFS, "
        f"SNR about {report.input_snr_db:.0f} -> {report.output_snr_db:.0f} dB", err=to_stderr,
    )  # fmt: skip
    say(f"  clean: {'stdout' if to_stderr else job.target}", err=to_stderr)
    if job.residual:
        say(f"  taken out: {job.residual}", err=to_stderr)
    if plot:
        say(f"  spectrograms: {plot}", err=to_stderr)


def _tell_failure(job: Job, line: str, as_json: bool) -> None:
    import json

    if as_json:
        say(json.dumps({"source": str(job.source), "error": line}))
    else:
        say(f"unhiss: {line}", err=True)


def _json(job: Job, report: FileReport) -> str:
    import json
    from dataclasses import asdict

    facts = asdict(report) | {"source": str(job.source), "target": str(job.target)}
    facts["residual"] = str(job.residual) if job.residual else None
    facts["times_real_time"] = report.times_real_time
    return json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in facts.items()})


def _clock(seconds: float) -> str:
    """
    >>> _clock(59.4), _clock(3725)
    ('59 s', '1:02:05')
    """
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
