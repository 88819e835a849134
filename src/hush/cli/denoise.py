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


@click.command("denoise", epilog=EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, allow_dash=True),
              help="The clean file; a folder for several; - for stdout (WAV).")  # fmt: skip
@click.option("--model", default=None, help="An installed model (see hush models) or an .onnx file.")
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write before/after spectrograms here (PNG).")
@click.option("--end-to-end", is_flag=True, help="The reference's frames, without overlap (for comparison).")
@click.option("--threads", default=0, help="Processor threads; 0 takes all.")
def command(sources, output, model, force, plot, end_to_end, threads) -> None:
    """Take the noise out of recordings.

    Rate, channels and number of samples stay those of the input, in any format libsndfile reads.
    """
    from hush.errors import HushError
    from hush.infer.denoiser import Denoiser
    from hush.weights import DEFAULT

    if len(sources) > 1 and not output.is_dir():
        raise click.UsageError(f"{len(sources)} inputs need a folder that exists as -o, not {output}")
    if plot and len(sources) > 1:
        raise click.UsageError("--plot takes one input")
    denoiser = Denoiser(model or DEFAULT, end_to_end=end_to_end, threads=threads)
    failed = 0
    for source in sources:
        target = output / source.name if output.is_dir() and str(source) != "-" else output
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
        click.echo(f"hush: {failed} of {len(sources)} files failed", err=True)
        sys.exit(1)


def _one(denoiser: Denoiser, source: Path, target: Path, force: bool, plot: Path | None) -> FileReport:
    """One file, either end of which may be a pipe; pipes are spooled to disk, since two passes seek."""
    import tempfile

    from hush.cli.screen import progress
    from hush.dsp.audio import spool

    with tempfile.TemporaryDirectory(prefix="hush-") as folder:
        inside = spool(sys.stdin.buffer, Path(folder) / "in") if str(source) == "-" else source
        outside = Path(folder) / "out.wav" if str(target) == "-" else target
        with progress() as bar:
            task = bar.add_task(source.name, total=1.0)
            report = denoiser.file(inside, outside, force=force, progress=lambda part: bar.update(task, completed=part))
        if plot:
            from hush.dsp.plots import compare

            compare(plot, {"before": inside, "after": outside})
        if str(target) == "-":
            with outside.open("rb") as file:
                while chunk := file.read(1 << 20):
                    sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return report


def _tell(report: FileReport, target: Path, plot: Path | None) -> None:
    to_stderr = str(target) == "-"  # stdout is the recording then
    click.echo(
        f"{report.seconds:.1f} s of audio ({report.channels} ch, {report.rate:,} Hz) in {report.elapsed_s:.2f} s, "
        f"{report.times_real_time:.0f} x real time, model {report.model}",
        err=to_stderr,
    )
    click.echo(f"  clean: {target}", err=to_stderr)
    if plot:
        click.echo(f"  spectrograms: {plot}", err=to_stderr)
