"""`unhiss denoise --plot`: the picture of one recording before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unhiss.cli.inputs import PIPE

if TYPE_CHECKING:
    from unhiss.cli.batch import BatchOptions
    from unhiss.cli.tasks import DenoiseTask


def check_plot(plot: Path | None, tasks: list[DenoiseTask], force: bool, in_place: bool) -> None:
    """Raise UsageError or AudioError, before the work, if the picture cannot or must not be written."""
    from unhiss.errors import AudioError

    if not plot:
        return
    source, target = tasks[0].source, tasks[0].target
    if len(tasks) > 1 or not isinstance(source, Path) or not isinstance(target, Path) or PIPE in (source, target):
        raise click.UsageError("--plot takes one recording, from a file to a file")
    if in_place:
        raise click.UsageError("--plot shows the input beside the output, and --in-place leaves no input; use -o")
    if plot.suffix.lower() != ".png":
        raise click.UsageError(f"--plot {plot}: the picture is a PNG; name it {plot.with_suffix('.png')}")
    if plot.is_dir() or not plot.absolute().parent.is_dir():
        raise AudioError(f"{plot}: --plot needs a file name in a folder that exists, such as before-after.png")
    if plot.resolve() in (source.resolve(), target.resolve()):
        raise AudioError(f"{plot} is a recording here; choose another file for --plot, such as before-after.png")
    if plot.exists() and not force:
        raise AudioError(f"{plot} exists; --force overwrites it")


def draw_plot(plot: Path, task: DenoiseTask, options: BatchOptions) -> None:
    """Draw the levels of a recording and of its output."""
    from unhiss.media.plots import compare, levels
    from unhiss.media.source import open_source

    assert isinstance(task.source, Path) and isinstance(task.target, Path)  # check_plot refuses others
    track = options.file.track
    before = levels(task.source, options.file.start_s, options.file.end_s, track=track)
    if track:
        track = min(track, 1 + len(open_source(task.target).other_tracks))
    compare(plot, {"before": before, "after": levels(task.target, track=track)})
