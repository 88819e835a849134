"""`unhiss data`: check, merge, import and export prepared data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unhiss.cli.parameters import FolderOrUrl, LocalPath

if TYPE_CHECKING:
    from unhiss.data.store import Store
    from unhiss.remote import RemotePath

EXAMPLES = """
\b
unhiss data verify dataset/
unhiss data merge january/ february/ -o both/
unhiss data export dataset/ -o tars/
unhiss data verify s3://bucket/dataset/
unhiss data import tars/ -o dataset/
"""

LOCAL = LocalPath(path_type=Path)
OUTPUT = click.option("-o", "--output", required=True, type=FolderOrUrl(), help="Folder to write, local or on s3://….")


@click.group("data", epilog=EXAMPLES)
def command() -> None:
    """Check, merge, import and export prepared data sets."""


@command.command()
@click.argument("folder", type=FolderOrUrl())
def verify(folder: Path | RemotePath) -> None:
    """Check a data set against its hashes.

    Reads all of it, and checks counts, offsets and splits too. A line for each fault, and exit code 1 if there is one.
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
@click.argument("folders", nargs=-1, required=True, type=FolderOrUrl(), metavar="FOLDER...")
@OUTPUT
def merge(folders: tuple[Path | RemotePath, ...], output: Path | RemotePath) -> None:
    """Make one data set of several.

    They have one sample rate, and stay as they are. On one file system the shards are not copied, but linked: both
    names are the same file.
    """
    from unhiss.data.merge import merge_sets

    _print_set(merge_sets(folders, output))


@command.command()
@click.argument("folder", type=FolderOrUrl())
@OUTPUT
def export(folder: Path | RemotePath, output: Path | RemotePath) -> None:
    """Write a data set as WebDataset tars.

    A tar for each shard, with KEY.wav and KEY.json of each clip.
    """
    from unhiss.data.store import Store
    from unhiss.data.tars import export_tars

    click.echo(f"{export_tars(Store(folder), output):,} clips in {output}")


@command.command("import")
@click.argument("tars", nargs=-1, required=True, type=LOCAL, metavar="TAR|FOLDER...")
@click.option("-o", "--output", required=True, type=LOCAL, help="Local folder to write.")
@click.option("--role", type=click.Choice(["speech", "noise"]), default="speech", show_default=True,
              help="Content of foreign tars; unhiss's own state it.")  # fmt: skip
@click.option(
    "--sample-rate", type=click.IntRange(1000), default=22050, show_default=True, help="Hz, for foreign tars."
)
@click.option("--keep-silence", is_flag=True, help="Keep silent frames of foreign clips.")
def import_(tars: tuple[Path, ...], output: Path, role: str, sample_rate: int, keep_silence: bool) -> None:
    """Make a data set from WebDataset tars.

    Tars of unhiss data export give the set they were exported from.
    """
    from unhiss.data.shards import Preprocessing
    from unhiss.data.tars import find_tars, import_tars

    preprocessing = Preprocessing(sample_rate=sample_rate, keep_silence=keep_silence)
    _print_set(import_tars(list(find_tars(list(tars))), output, role, preprocessing))


def _print_set(store: Store) -> None:
    from unhiss.cli.set_summary import print_summary

    print_summary(store)
    click.echo(f"ready: {store.folder} (card: {store.folder}/card.md)")
