"""`hush evaluate`: score models on noisy/clean pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.option("--model", "models", multiple=True, metavar="NAME", help="A model to score; may be repeated.")
@click.option(
    "--pairs",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with clean/ID.ext, noisy/ID.ext and, where there is one, manifest.csv.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write scores.json and scores.csv here.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Scoring processes.  [default: all cores]")
@click.option("--force", is_flag=True, help="Overwrite the scores of an earlier run.")
def command(models: tuple[str, ...], folder: Path, output: Path | None, jobs: int | None, force: bool) -> None:
    """Score models on noisy/clean pairs: PESQ-WB, STOI, ESTOI, SI-SDR and DNSMOS (SIG, BAK, OVRL).

    The noisy input is always the first row. Means come with their 95 % interval, over all pairs and per
    SNR (of many, to the nearest 5 dB) and noise kind where manifest.csv has them.
    Without --model only the noisy input is scored.

    \b
    hush evaluate --model unet --pairs dev/
    hush evaluate --model unet --model mine.onnx --pairs dev/ -o scores/
    """
    from hush.cli.screen import progress
    from hush.fleet.processes import cores
    from hush.score import tables
    from hush.score.pairs import pairs
    from hush.score.report import evaluate

    found = pairs(folder)
    systems = _systems(models)
    if output is not None:
        tables.folder_for(output, force)
    with progress("outputs") as bar:
        task = bar.add_task("scoring", total=None)
        report = evaluate(
            systems,
            found,
            jobs=jobs or cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    click.echo(tables.markdown(report), nl=False)
    if output is not None:
        tables.save(report, output, {"pairs": str(folder), "systems": list(report.systems)})
    if report.failures:
        click.get_current_context().exit(1)


def _systems(models: tuple[str, ...]) -> dict[str, Any]:
    """The models as systems by name; none of them needs the engine, so it is not imported for none."""
    if not models:
        return {}
    from hush.infer.denoiser import Denoiser

    systems: dict[str, Any] = {}
    for given in dict.fromkeys(models):
        denoiser = Denoiser(given)
        # A file is called what it was exported as; two of one name keep their paths.
        systems[given if denoiser.name in systems else denoiser.name] = denoiser
    return systems
