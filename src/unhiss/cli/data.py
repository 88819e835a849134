"""`unhiss data`: what can be done with prepared data sets."""

from __future__ import annotations

from pathlib import Path

import click

from unhiss.cli.sources import Folder, Here

EXAMPLES = """
\b
unhiss data verify dataset/
unhiss data merge january/ february/ -o both/
unhiss data export dataset/ -o tars/
unhiss data verify s3://bucket/dataset/
unhiss data import tars/ -o dataset/
"""

HERE = Here(path_type=Path)
OUTPUT = click.option("-o", "--output", required=True, type=Folder(), help="Folder to fill, here or on s3://….")


@click.group("data", epilog=EXAMPLES)
def command() -> None:
    """Check, merge, import and export prepared data sets."""


@command.command()
@click.argument("folder", type=Folder())
def verify(folder) -> None:
    """Read all of a data set and hold it against its hashes, counts, offsets and splits.

    A line for each fault, and exit code 1 if there is one.
    """
    from unhiss.data.store import Store
    from unhiss.data.verify import faults

    count = 0
    for line in faults(folder):
        count += 1
        click.echo(f"{folder}/{line}")
    if count:
        click.echo(f"unhiss: {count} fault{'s' * (count > 1)} in {folder}", err=True)
        click.get_current_context().exit(1)
    store = Store(folder)
    shards = store.settings.get("shards", {})
    click.echo(f"{folder}: {len(store.rows):,} clips in {len(shards):,} shards, all as they should be")


@command.command()
@click.argument("folders", nargs=-1, required=True, type=Folder(), metavar="FOLDER...")
@OUTPUT
def merge(folders, output) -> None:
    """Make one data set of several of one sample rate; they stay as they are.

    On one file system the shards are not copied: both names lead to the same file.
    """
    from unhiss.data.merge import merge as merged

    _say(merged(list(folders), output))


@command.command()
@click.argument("folder", type=Folder())
@OUTPUT
def export(folder, output) -> None:
    """Write a data set as WebDataset tars: KEY.wav and KEY.json of each clip, a tar for each shard."""
    from unhiss.data.store import Store
    from unhiss.data.tars import export as exported

    click.echo(f"{exported(Store(folder), output):,} clips in {output}")


@command.command("import")
@click.argument("tars", nargs=-1, required=True, type=HERE, metavar="TAR|FOLDER...")
@click.option("-o", "--output", required=True, type=HERE, help="Folder to fill.")
@click.option("--role", type=click.Choice(["speech", "noise"]), default="speech", show_default=True,
              help="What tars of others hold; unhiss's own say it themselves.")  # fmt: skip
@click.option("--sample-rate", type=click.IntRange(1000), default=22050, show_default=True, help="Hz, of others' tars.")
@click.option("--keep-silence", is_flag=True, help="Leave silent frames of others' clips in.")
def import_(tars: tuple[Path, ...], output: Path, role: str, sample_rate: int, keep_silence: bool) -> None:
    """Make a data set of WebDataset tars: those of unhiss data export give the set they came from."""
    from unhiss.data.imports import expand, import_tars
    from unhiss.data.shards import Preprocessing

    preprocessing = Preprocessing(sample_rate=sample_rate, keep_silence=keep_silence)
    _say(import_tars(list(expand(list(tars))), output, role, preprocessing))


def _say(store) -> None:
    for part, entry in sorted(store.settings["splits"].items()):
        click.echo(f"{part:14} {entry['clips']:7,} clips {entry['hours']:8.2f} h")
    click.echo(f"ready: {store.folder} (card: {store.folder}/card.md)")
