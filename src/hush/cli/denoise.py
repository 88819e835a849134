"""`hush denoise`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hush.infer.denoiser import Denoiser, FileReport

EXAMPLES = """
\b
hush denoise noisy.wav -o clean.wav
hush denoise noisy.flac -o clean.flac --plot before-after.png
hush denoise a.wav b.wav c.ogg -o cleaned/
cat noisy.wav | hush denoise - -o - > clean.wav
"""
PIPE = Path("-")


@click.command("denoise", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, allow_dash=True),
              help="The clean file; a folder for several; - for stdout (WAV).")  # fmt: skip
@click.option("--model", default=None, help="An installed model (see hush models) or an .onnx file.")
@click.option("--atten-limit-db", type=float, metavar="DB", help="Take out at most so many dB.")
@click.option("--mix", type=float, default=1.0, show_default=True, help="1 is the clean sound, 0 the input.")
@click.option("--guard/--no-guard", default=True, help="Leave clean speech alone (causal models; on by default).")
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write before/after spectrograms here (PNG).")
@click.option("--end-to-end", is_flag=True, help="The reference's frames, without overlap (for comparison).")
@click.option("--threads", default=0, help="Processor threads; 0 takes all.")
def command(sources, output, model, force, plot, **options) -> None:
    """Take the noise out of recordings.

    Rate, channels, number of samples, coding and tags stay those of the input, in any format libsndfile
    reads. Exit code 1 if a recording failed, 2 for a wrong option.
    """
    import signal

    from hush.errors import HushError
    from hush.infer.denoiser import Denoiser
    from hush.weights import DEFAULT

    targets = _targets(sources, output)
    _check_plot(plot, sources, targets, force)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the exits that clean up
    denoiser = Denoiser(model or DEFAULT, **options)
    failed = 0
    for source, target in zip(sources, targets, strict=True):
        try:
            report = _one(denoiser, source, target, force, plot)
        except (HushError, OSError) as error:
            if len(sources) == 1:
                raise
            failed += 1
            click.echo(f"hush: {error}", err=True)
            continue
        _tell(report, target, plot)
    if failed:
        click.echo(f"hush: {failed} of {len(sources)} recordings failed", err=True)
        sys.exit(1)


def _targets(sources: tuple[Path, ...], output: Path) -> list[Path]:
    """Where each source goes. Raises UsageError or AudioError where that is not clear."""
    from hush.errors import AudioError

    if PIPE in sources and sys.stdin.isatty():
        raise click.UsageError("- reads a recording from a pipe: cat noisy.wav | hush denoise - -o clean.wav")
    if output == PIPE and sys.stdout.isatty():
        raise click.UsageError("-o - would write sound to the screen; send it on: ... -o - > clean.wav")
    if output == PIPE or not output.is_dir():
        if len(sources) > 1:
            raise click.UsageError(f"{len(sources)} inputs need a folder that exists as -o, not {output}")
        if output != PIPE and not output.suffix and not output.exists():
            raise AudioError(f"{output}: no such folder; mkdir -p {output} makes it, or name a file: {output}.wav")
        return [output]
    targets = [output / ("stdin.wav" if source == PIPE else source.name) for source in sources]
    twice = sorted({target.name for target in targets if targets.count(target) > 1})
    if twice:
        raise click.UsageError(f"several inputs are named {', '.join(twice)}; denoise them into separate folders")
    return targets


def _check_plot(plot: Path | None, sources: tuple[Path, ...], targets: list[Path], force: bool) -> None:
    """Refuse, before the work, a picture that cannot or must not be written."""
    from hush.errors import AudioError

    if not plot:
        return
    if len(sources) > 1:
        raise click.UsageError("--plot takes one input")
    if plot.is_dir() or not plot.absolute().parent.is_dir():
        raise AudioError(f"{plot}: --plot needs a file name in a folder that exists, such as before-after.png")
    if plot.resolve() in (sources[0].resolve(), targets[0].resolve()):
        raise AudioError(f"{plot} is a recording here; choose another file for --plot, such as before-after.png")
    if plot.exists() and not force:
        raise AudioError(f"{plot} exists; --force overwrites it")


def _one(denoiser: Denoiser, source: Path, target: Path, force: bool, plot: Path | None) -> FileReport:
    """One file, either end of which may be a pipe; pipes are spooled to disk, since two passes seek."""
    import shutil
    import tempfile

    from hush.dsp.audio import spool

    if PIPE not in (source, target):
        return _file(denoiser, source, target, force, plot)
    with tempfile.TemporaryDirectory(prefix="hush-") as folder:
        inside = spool(sys.stdin.buffer, Path(folder) / "stdin") if source == PIPE else source
        outside = Path(folder) / "stdout.wav" if target == PIPE else target
        report = _file(denoiser, inside, outside, force, plot)
        if target == PIPE:
            with outside.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
    return report


def _file(denoiser: Denoiser, source: Path, target: Path, force: bool, plot: Path | None) -> FileReport:
    from hush.cli.screen import only_python, progress
    from hush.errors import AudioError

    with only_python(), progress() as bar:
        task = bar.add_task(source.name, total=1.0)
        try:
            report = denoiser.file(source, target, force=force, progress=lambda part: bar.update(task, completed=part))
        except AudioError as error:
            if source.name == "stdin":
                raise AudioError(str(error).replace(str(source), "stdin")) from error
            raise
        if plot:
            from hush.dsp.plots import compare

            compare(plot, {"before": source, "after": target})
    return report


def _tell(report: FileReport, target: Path, plot: Path | None) -> None:
    to_stderr = target == PIPE  # stdout is the recording then
    click.echo(
        f"{report.seconds:.1f} s of audio ({report.channels} ch, {report.rate:,} Hz) in {report.elapsed_s:.2f} s, "
        f"{report.times_real_time:.0f} x real time, model {report.model}",
        err=to_stderr,
    )
    click.echo(f"  clean: {'stdout' if to_stderr else target}", err=to_stderr)
    if plot:
        click.echo(f"  spectrograms: {plot}", err=to_stderr)
