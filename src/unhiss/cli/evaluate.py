"""`unhiss evaluate`: hold denoisers against each other, by table, picture and ear."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unhiss.cli.sources import Folder, Here, PathOrUrl

if TYPE_CHECKING:
    from unhiss.infer.denoiser import Denoiser
    from unhiss.remote import RemotePath
    from unhiss.score.pairs import Pair
    from unhiss.score.report import Report
    from unhiss.score.systems import System
    from unhiss.score.words import Recogniser


@click.command()
@click.option(
    "--model", "--system", "given", multiple=True, metavar="SYSTEM",
    help="What to score: a model's name or .onnx file, NAME=python:package.module:function, or "
    "'NAME=cmd:program {in} {out}'. May be repeated; the order is that of the tables.",
)  # fmt: skip
@click.option(
    "--pairs", "folder", type=Folder(),
    help="Folder with clean/ID.ext, noisy/ID.ext and, where there is one, manifest.csv; here or on s3://….",
)  # fmt: skip
@click.option(
    "--noisy", multiple=True, type=PathOrUrl(),
    help="Recordings without a clean one, or folders of them; may be repeated. Metrics that need no reference.",
)  # fmt: skip
@click.option(
    "--metrics", "wanted", default="default", show_default=True, metavar="LIST",
    help="Names with commas, 'default' (the quick ones) or 'all', which takes about twice as long and runs each system "
    "on the clean speech and on the noise alone as well.",
)  # fmt: skip
@click.option(
    "--recogniser", "recogniser_given", metavar="NAME",
    help="Word error rates against the manifest's column 'text': pocketsphinx (English; pip install 'unhiss[asr]'), or "
    "python:package.module:function.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=Here(path_type=Path),
    help="Write report.html, report.md, scores.json and scores.csv here; a run that was stopped goes on from here.",
)  # fmt: skip
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Processes.  [default: all cores]")
@click.option("--ray", metavar="ADDRESS", help="Do it on Ray: local, or a cluster's auto or HOST:PORT.")
@click.option("--force", is_flag=True, help="Overwrite the report of an earlier run.")
def command(
    given: tuple[str, ...], folder: Path | RemotePath | None, noisy: tuple[Path | RemotePath, ...], wanted: str,
    recogniser_given: str | None, output: Path | None, jobs: int | None, ray: str | None, force: bool,
) -> None:  # fmt: skip
    """Hold denoisers against each other: models, Python functions and programs, on your recordings.

    The noisy input is always the first row. Means come with their 95 % interval, over all recordings and per SNR (of
    many, to the nearest 5 dB), noise kind and language where manifest.csv has them. A system that fails on a recording,
    or gives another length, is listed and counted.

    \b
    unhiss evaluate --model small --pairs dev/
    unhiss evaluate --model small --system nr=python:peers:noisereduce --pairs dev/ -o report/ --metrics all
    unhiss evaluate --model small --noisy recordings/ -o report/
    """
    from unhiss.cli.fetching import local_copies
    from unhiss.fleet.processes import cpu_count
    from unhiss.score import tables
    from unhiss.score.measure import chosen

    places = _places(folder, noisy, ray)
    jobs = jobs or cpu_count()
    with local_copies(places) as here:
        found = _recordings(here, paired=folder is not None)
        text = any(pair.facts.get("text") for pair in found)
        heard = _recogniser(recogniser_given, text)
        metrics = chosen(wanted, clean=folder is not None, text=text, recogniser=heard is not None)
        systems = _systems(given)
        if output is not None:
            tables.folder_for(output, force)
        report = _scored(systems, found, jobs, ray, metrics=metrics, recogniser=heard, folder=output)
        click.echo(tables.markdown(report), nl=False)
        if output is not None:
            settings = {"pairs" if folder else "noisy": ", ".join(map(str, places)), "recogniser": recogniser_given}
            _write(report, systems, output, settings, jobs)
    if report.failures:
        click.get_current_context().exit(1)


def _places(
    folder: Path | RemotePath | None, noisy: tuple[Path | RemotePath, ...], ray: str | None
) -> tuple[Path | RemotePath, ...]:
    """What was given to be scored; refused where those who score could not see it."""
    if (folder is None) == (not noisy):
        raise click.UsageError("give --pairs FOLDER, or --noisy with recordings; one of the two")
    places = (folder,) if folder else noisy
    far = [place for place in places if not isinstance(place, Path)]
    if far and ray not in (None, "local"):
        raise click.UsageError(f"{far[0]} would be copied to this machine alone; copy it where all of {ray} see it")
    return places


def _scored(systems: list[System], found: list[Pair], jobs: int, ray: str | None, **options: Any) -> Report:
    from unhiss.cli.screen import only_python, progress
    from unhiss.score.report import evaluate

    with only_python(), progress("rows") as bar:
        task = bar.add_task("scoring", total=None)
        show = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        return evaluate(systems, found, progress=show, jobs=jobs, ray=ray, **options)


def _write(report: Report, systems: list[System], output: Path, settings: dict[str, Any], jobs: int) -> None:
    from unhiss.score import tables
    from unhiss.score.page.clips import clips
    from unhiss.score.page.html import page

    settings |= {"systems": list(report.systems)}
    tables.save(report, output, settings, page(report, clips(report, systems, jobs), settings))
    click.echo(f"report: {output / 'report.html'}", err=True)


def _recordings(here: list[Path], paired: bool) -> list[Pair]:
    from unhiss.score.pairs import pairs, recordings

    return pairs(here[0]) if paired else recordings(here)


def _recogniser(given: str | None, text: bool) -> Recogniser | None:
    """The one that is named; refused where there are no words to hold what it hears against."""
    from unhiss.score.words import recogniser

    if given and not text:
        raise click.UsageError(
            "--recogniser has nothing to hold words against; give --pairs whose manifest.csv says in a column `text` "
            "what was said, or leave it out"
        )
    return recogniser(given) if given else None


def _systems(given: tuple[str, ...]) -> list[System]:
    """In their order; models of one name, as two runs export them, keep their paths."""
    from dataclasses import replace

    systems: list[System] = []
    for one in dict.fromkeys(given):
        made = _system(one)
        systems.append(replace(made, name=one) if made.name in [other.name for other in systems] else made)
    return systems


def _system(given: str) -> System:
    """A model where nothing says that it is something else."""
    import hashlib

    from unhiss import __version__
    from unhiss.score.systems import System, system
    from unhiss.weights import find

    if "=" in given and not Path(given).is_file():
        return system(given)
    path = find(given)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = _exported_as(path, digest) if Path(given).suffix else given
    return System(name=name, load=partial(_model, given), identity=f"unhiss {__version__} {digest}")


def _exported_as(path: Path, digest: str) -> str:
    """A model file's name: by the card beside it, or by the file itself, which takes longer, where none is its own."""
    from unhiss.errors import ModelError
    from unhiss.weights import ModelCard

    with suppress(ModelError):
        card = ModelCard.read(path.with_suffix(".json"))
        if card.sha256 == digest:
            return card.name
    return _model(str(path)).name


def _model(given: str) -> Denoiser:
    """On one thread: the processes are what runs in parallel, and costs are those of one core."""
    from unhiss.infer.denoiser import Denoiser

    return Denoiser(given, threads=1)
