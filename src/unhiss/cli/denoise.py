"""`unhiss denoise`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unhiss.cli.batch import BatchOptions
from unhiss.cli.inputs import PIPE, describe_left_out
from unhiss.cli.message_table import RunMessages
from unhiss.cli.parameters import LocalPath, OutputPath, PathOrUrl, RenamedOption, Seconds, complete_model
from unhiss.cli.plot_option import check_plot, draw_plot
from unhiss.cli.tasks import DenoiseTask, Plan, plan_tasks
from unhiss.cli.terminal import echo

if TYPE_CHECKING:
    from unhiss.infer.files import FileReport
    from unhiss.remote import RemotePath

EXAMPLES = """
\b
unhiss denoise noisy.wav                              writes noisy.clean.wav
unhiss denoise noisy.wav -o clean.wav
unhiss denoise noisy.flac -o clean.flac --plot before-after.png
unhiss denoise recordings/ -o clean/ -j 4 --skip-existing
unhiss denoise talk.mp4 -o talk.clean.mp4
cat noisy.wav | unhiss denoise - -o - > clean.wav
"""


@click.command("denoise", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=PathOrUrl())
@click.option("-o", "--output", type=OutputPath(),
              help="Output file; FOLDER/; - for stdout.  [default: NAME.clean.wav beside NAME.wav, FOLDER.clean/ "
              "beside FOLDER/]")  # fmt: skip
@click.option("--in-place", is_flag=True, help="Replace each recording when its denoised version is complete.")
@click.option("--model", metavar="NAME", help="An installed model (see unhiss models) or an .onnx file.",
              shell_complete=complete_model)  # fmt: skip
@click.option("--atten-limit-db", "--atten-lim", "atten_limit_db", cls=RenamedOption, type=float, metavar="DB",
              help="Attenuate noise by at most this many dB.")  # fmt: skip
@click.option("--mix", type=float, default=1.0, show_default=True, help="1 is the denoised signal, 0 the input.")
@click.option("--residual", type=LocalPath(path_type=Path), help="Also write what was removed: input minus output.")
@click.option("--track", type=click.IntRange(min=1), metavar="N",
              help="Which of several audio tracks, from 1.  [default: the one that a player plays]")  # fmt: skip
@click.option("--start", "start_s", type=Seconds(), default=0.0, metavar="TIME",
              help="Start of the part to keep, such as 90.5 or 1:02:03.5.")  # fmt: skip
@click.option("--end", "end_s", type=Seconds(), metavar="TIME", help="End of the part to keep.")
@click.option("--rate", type=int, metavar="HZ", help="Output sample rate.  [default: that of the input]")
@click.option("--format", "extension", metavar="EXT", help="Output format, such as flac: in a folder, or on stdout.")
@click.option("--subtype", help="Output coding, such as PCM_24 or FLOAT.  [default: that of the input]")
@click.option("--clip-mode", type=click.Choice(["clip", "rescale", "none"]), default="clip", show_default=True,
              help="What to do with peaks above full scale; none: clip without a warning.")  # fmt: skip
@click.option("--strict", is_flag=True,
              help="Refuse a recording that is truncated or whose header lies, as --in-place always does.")  # fmt: skip
@click.option("--loudness", "--loudness-lufs", "loudness_lufs", type=float, metavar="LUFS",
              help="Loudness of the output (EBU R 128), such as -16. True peak at most -1 dBTP.")  # fmt: skip
@click.option("-j", "--jobs", default=1, show_default=True, help="Recordings in parallel; 0: one per core.")
@click.option("--ray", metavar="ADDRESS",
              help="Run on Ray: local, or a cluster's auto or HOST:PORT. Repeat the command to continue an "
              "interrupted run.")  # fmt: skip
@click.option("--threads", type=int, help="Threads per recording; 0: all cores.  [default: all, 1 with -j]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--force", is_flag=True, help="Overwrite existing outputs.")
@click.option("--skip-existing", is_flag=True, help="Skip recordings that have an output already.")
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--plot", type=LocalPath(path_type=Path), help="Write spectrograms before and after to this PNG file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per recording on stdout.")
@click.option("--verbose", is_flag=True, help="Print each error and warning as it comes, and no table of them.")
@click.option("--end-to-end", is_flag=True, help="Frames of the reference system, without overlap (for comparison).")
def command(
    sources: tuple[Path | RemotePath, ...], output: tuple[Path | RemotePath, bool] | None, in_place: bool,
    residual: Path | None, extension: str | None, jobs: int, ray: str | None, skip_existing: bool, dry_run: bool,
    plot: Path | None, as_json: bool, verbose: bool, **options: Any,
) -> None:  # fmt: skip
    """Remove noise from recordings: files, folders with their subfolders, or quoted patterns.

    The output keeps rate, channels, number of samples, coding, tags and, of a video, the picture.
    Exit code 1 if a recording failed, 2 for a wrong option.
    """
    output_path, into_folder = output or (None, False)
    plan = plan_tasks(
        sources, output_path, into_folder=into_folder, in_place=in_place, residual=residual, extension=extension
    )
    tasks = plan.tasks
    check_plot(plot, tasks, options["force"], in_place)
    if jobs < 0:
        raise click.UsageError(f"-j {jobs}: expected 1 or more, or 0 for one a core")
    if ray and (in_place or PIPE in (output_path, *sources)):
        raise click.UsageError("--ray may repeat a recording, and takes neither pipes nor --in-place; use -o FOLDER")
    ledger_folder = output_path if ray and tasks[0].make_folders and not skip_existing else None
    batch = _batch_options({"in_place": in_place, **options}, jobs, ray, ledger_folder, residual)
    planned = len(tasks)
    if skip_existing:
        tasks = [task for task in tasks if not task.target.exists()]
    if dry_run:
        for task in tasks:
            exists = task.target != PIPE and task.target.exists() and not (in_place or options["force"])
            echo(f"{task.source} -> {task.target}{' (exists: it needs --force)' if exists else ''}")
    elif not tasks:
        echo(f"nothing to do: all of {planned} have an output", err=as_json)
    if dry_run or not tasks:
        return _print_left_out(plan, as_json and not dry_run)
    _exit_on_signals()
    if _denoise_and_report(replace(plan, tasks=tasks), batch, plot, as_json, verbose):
        sys.exit(1)


def _batch_options(
    options: dict[str, Any], jobs: int, ray: str | None, ledger_folder: Path | RemotePath | None, residual: Path | None
) -> BatchOptions:
    """What all recordings share. Raises ConfigError for a wrong option of files, once for all of them."""
    from dataclasses import fields

    from unhiss.fleet.ledger import NAME
    from unhiss.infer.files import FileOptions
    from unhiss.weights import DEFAULT

    names = {field.name for field in fields(FileOptions)} & set(options)
    file = FileOptions(**{name: options.pop(name) for name in names}, residual=residual)
    options["model"] = options["model"] or DEFAULT
    if options["threads"] is None:
        options["threads"] = 0 if jobs == 1 and not ray else 1
    ledger = ledger_folder / NAME if isinstance(ledger_folder, Path) else None
    return BatchOptions(model=options, file=file, jobs=0 if ray and jobs == 1 else jobs, ray=ray, ledger=ledger)


def _exit_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise SystemExit, so that temporary files are removed."""
    import signal

    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))


def _denoise_and_report(plan: Plan, options: BatchOptions, plot: Path | None, as_json: bool, verbose: bool) -> int:
    """Denoise all and print each result; returns the number of failures. The error of a single recording is raised."""
    import time

    from unhiss.cli.batch import denoise_all

    tasks, single = plan.tasks, len(plan.tasks) == 1
    start_s, audio_s, done = time.perf_counter(), 0.0, 0
    messages = RunMessages(verbose, as_json)
    try:
        outcomes = denoise_all(tasks, options, raise_errors=single and not as_json)
        if as_json and not single:
            from unhiss.fleet.mapping import in_order  # slow to import

            outcomes = in_order(outcomes)
        for index, outcome in outcomes:
            task = tasks[index]
            if isinstance(outcome, str):
                messages.fail(task, outcome)
                continue
            done, audio_s = done + 1, audio_s + outcome.seconds
            if plot:
                draw_plot(plot, task, options)
            messages.warn(task, outcome.warnings)
            _print_report(task, outcome, plot, as_json, single)
    except KeyboardInterrupt as interrupt:
        if single or options.file.in_place:
            raise
        message = f"{done} of {len(tasks)} recordings are done; --skip-existing does the rest"
        raise KeyboardInterrupt(message) from interrupt
    finally:  # after Ctrl-C too, so that each failure is named
        messages.print_tables()
        _print_left_out(plan, as_json)
    if done and not single:
        speed = audio_s / max(1e-9, time.perf_counter() - start_s)
        recordings = f"{done} recording{'s' * (done > 1)}"
        echo(f"{recordings}, {_format_duration(audio_s)} of audio, {speed:.0f} x real time", err=as_json)
    if (failed := len(messages.errors)) and not single:
        echo(f"unhiss: {failed} of {len(tasks)} recordings failed", err=True)
    return failed


def _print_left_out(plan: Plan, as_json: bool) -> None:
    """Say which files of the folders were taken for no recordings; in JSON an object for each folder."""
    import json

    if as_json:
        for source, counts in plan.left_out.items():
            echo(json.dumps({"source": source, "left_out": dict(counts.most_common())}))
        return
    for line in describe_left_out(plan.left_out.values()):
        echo(f"unhiss: {line}", err=True)


def _print_report(task: DenoiseTask, report: FileReport, plot: Path | None, as_json: bool, single: bool) -> None:
    to_stderr = task.target == PIPE  # stdout is the recording
    if as_json:
        echo(_report_json(task, report), err=to_stderr)
        return
    summary = f"{report.seconds:.1f} s of audio ({report.channels} ch, {report.rate:,} Hz)"
    speed = f"{report.times_real_time:.0f} x real time"
    if not single:
        echo(f"{task.target}: {summary}, {speed}", err=to_stderr)
        return
    snr = f"{report.input_snr_db:.0f} -> {report.output_snr_db:.0f} dB"
    echo(f"{summary} in {report.elapsed_s:.2f} s, {speed}, model {report.model}", err=to_stderr)
    echo(f"  level {report.input_dbfs:.1f} -> {report.output_dbfs:.1f} dBFS, SNR about {snr}", err=to_stderr)
    if report.gain_db is not None:
        lufs = "-" if report.output_lufs is None else f"{report.output_lufs:.1f}"
        loudness = f"loudness {lufs} LUFS, true peak {report.output_dbtp:.1f} dBTP, gain {report.gain_db:+.1f} dB"
        echo(f"  {loudness}", err=to_stderr)
    paths = {"clean": "stdout" if to_stderr else task.target, "residual": task.residual, "spectrograms": plot}
    for name, path in paths.items():
        if path:
            echo(f"  {name}: {path}", err=to_stderr)


def _report_json(task: DenoiseTask, report: FileReport) -> str:
    import json
    from dataclasses import asdict

    fields: dict[str, Any] = asdict(report) | {"source": str(task.source), "target": str(task.target)}
    fields["residual"] = str(task.residual) if task.residual else None
    fields["times_real_time"] = report.times_real_time
    return json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in fields.items()})


def _format_duration(seconds: float) -> str:
    """
    >>> _format_duration(59.4), _format_duration(3725)
    ('59 s', '1:02:05')
    """
    rounded = round(seconds)
    return f"{rounded} s" if rounded < 60 else f"{rounded // 3600}:{rounded // 60 % 60:02}:{rounded % 60:02}"
