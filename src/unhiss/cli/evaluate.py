"""`unhiss evaluate`: compares denoisers by metrics, charts and audio examples."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unhiss.cli.parameters import FolderOrUrl, LocalPath, PathOrUrl
from unhiss.errors import ModelError

if TYPE_CHECKING:
    from unhiss.infer.denoiser import Denoiser
    from unhiss.remote import RemotePath
    from unhiss.score.pairs import Pair
    from unhiss.score.recognition import Recogniser
    from unhiss.score.report import Report
    from unhiss.score.systems import System


@click.command()
@click.option(
    "--model", "--system", "specs", multiple=True, metavar="SYSTEM",
    help="What to score: a model's name or .onnx file, NAME=python:package.module:function, or "
    "'NAME=cmd:program {in} {out}'. Can be repeated; tables keep the order.",
)  # fmt: skip
@click.option(
    "--pairs", "folder", type=FolderOrUrl(),
    help="Folder with clean/ID.ext, noisy/ID.ext and an optional manifest.csv; local or s3://….",
)  # fmt: skip
@click.option(
    "--noisy", multiple=True, type=PathOrUrl(),
    help="Recordings without clean references, or folders of them; can be repeated. Only metrics without a reference.",
)  # fmt: skip
@click.option(
    "--metrics", "selection", default="default", show_default=True, metavar="LIST",
    help="Names separated by commas, 'default' (the fast ones) or 'all', which takes about twice as long and also runs "
    "each system on the clean speech and on the noise alone.",
)  # fmt: skip
@click.option(
    "--recogniser", metavar="NAME",
    help="Word error rates against the manifest's column 'text': pocketsphinx (English; pip install 'unhiss[asr]'), or "
    "python:package.module:function.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=LocalPath(path_type=Path),
    help="Write report.html, report.md, scores.json and scores.csv here; an interrupted run continues from here.",
)  # fmt: skip
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option("--ray", metavar="ADDRESS", help="Run on Ray: local, or a cluster's auto or HOST:PORT.")
@click.option("--force", is_flag=True, help="Overwrite the report of an earlier run.")
def command(
    specs: tuple[str, ...], folder: Path | RemotePath | None, noisy: tuple[Path | RemotePath, ...], selection: str,
    recogniser: str | None, output: Path | None, jobs: int | None, ray: str | None, force: bool,
) -> None:  # fmt: skip
    """Compare denoisers on your recordings: models, Python functions and programs.

    The noisy input is always the first row. Means have a 95 % confidence interval, over all recordings and per SNR
    (to the nearest 5 dB if they are many or uneven), noise kind and language if manifest.csv has these columns. A
    system that fails on a recording, or returns another length, is listed and counted.

    \b
    unhiss evaluate --model small --pairs dev/
    unhiss evaluate --model small --system nr=python:peers:noisereduce --pairs dev/ -o report/ --metrics all
    unhiss evaluate --model small --noisy recordings/ -o report/
    """
    from unhiss.cli.fetching import local_copies
    from unhiss.fleet.processes import cpu_count
    from unhiss.score import tables
    from unhiss.score.pairs import find_pairs, find_recordings
    from unhiss.score.registry import select_metrics

    paths, jobs = _input_paths(folder, noisy, ray), jobs or cpu_count()
    with local_copies(paths) as local_paths:
        pairs = find_pairs(local_paths[0]) if folder else find_recordings(local_paths)
        has_text = any(pair.metadata.get("text") for pair in pairs)
        parsed_recogniser = _recogniser(recogniser, has_text)
        metrics = select_metrics(selection, clean=folder is not None, text=has_text, recogniser=recogniser is not None)
        systems = _systems(specs)
        if output is not None:
            tables.prepare_folder(output, force)
        report = _evaluate(systems, pairs, output, metrics=metrics, recogniser=parsed_recogniser, jobs=jobs, ray=ray)
        click.echo(tables.to_markdown(report), nl=False)
        if output is not None:
            settings = {"pairs" if folder else "noisy": ", ".join(map(str, paths)), "recogniser": recogniser}
            _write(report, systems, output, settings, jobs)
    if report.failures:
        click.get_current_context().exit(1)


def _input_paths(
    folder: Path | RemotePath | None, noisy: tuple[Path | RemotePath, ...], ray: str | None
) -> tuple[Path | RemotePath, ...]:
    """The paths of the recordings. Raises UsageError if the processes that score could not read them."""
    if (folder is None) == (not noisy):
        raise click.UsageError("give --pairs FOLDER, or --noisy with recordings; one of the two")
    paths = (folder,) if folder else noisy
    remote = [path for path in paths if not isinstance(path, Path)]
    if remote and ray not in (None, "local"):
        raise click.UsageError(
            f"{remote[0]} would be copied to this machine alone; copy it to a folder that all machines of {ray} see"
        )
    return paths


def _recogniser(spec: str | None, has_text: bool) -> Recogniser | None:
    from unhiss.score.recognition import parse_recogniser

    if spec and not has_text:
        raise click.UsageError(
            "--recogniser needs reference texts; give --pairs whose manifest.csv has the spoken words in a column "
            "`text`, or leave --recogniser out"
        )
    return parse_recogniser(spec) if spec else None


def _evaluate(systems: list[System], pairs: list[Pair], folder: Path | None, **options: Any) -> Report:
    from unhiss.cli.terminal import ProgressBar, silence_c_libraries
    from unhiss.score.report import evaluate

    with silence_c_libraries(), ProgressBar("scoring", unit="rows") as bar:
        return evaluate(systems, pairs, folder=folder, progress=bar.update, **options)


def _write(report: Report, systems: list[System], output: Path, settings: dict[str, Any], jobs: int) -> None:
    from unhiss.score import tables
    from unhiss.score.page.clips import make_clips
    from unhiss.score.page.html import render_page

    settings |= {"systems": list(report.systems)}
    page = render_page(report, make_clips(report, systems, jobs), settings)
    tables.write_report(report, output, settings, page)
    click.echo(f"report: {output / 'report.html'}", err=True)


def _systems(specs: tuple[str, ...]) -> list[System]:
    """The systems in the given order; models with the same name, such as two exported runs, are named by their path."""
    from dataclasses import replace

    systems: list[System] = []
    for spec in dict.fromkeys(specs):
        system = _system(spec)
        systems.append(replace(system, name=spec) if system.name in [other.name for other in systems] else system)
    return systems


def _system(spec: str) -> System:
    """A model, unless the spec has the form NAME=…"""
    import hashlib

    from unhiss import __version__
    from unhiss.score.systems import System, parse_system
    from unhiss.weights import find

    if "=" in spec and not Path(spec).is_file():
        return parse_system(spec)
    path = find(spec)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = _model_name(path, digest) if Path(spec).suffix else spec
    return System(name=name, load=partial(_load_model, spec), identity=f"unhiss {__version__} {digest}")


def _model_name(path: Path, digest: str) -> str:
    """The name in the card beside a model file; in the file itself, which is slower, without a card of this file."""
    from unhiss.weights import ModelCard

    with suppress(ModelError):
        card = ModelCard.read(path.with_suffix(".json"))
        if card.sha256 == digest:
            return card.name
    return _load_model(str(path)).name


def _load_model(spec: str) -> Denoiser:
    """With one thread: recordings are scored in parallel processes, and costs are those of one core."""
    from unhiss.infer.denoiser import Denoiser

    return Denoiser(spec, threads=1)
