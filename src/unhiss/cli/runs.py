"""`unhiss runs`."""

from __future__ import annotations

from pathlib import Path

import click

EXAMPLES = """
\b
unhiss runs runs/
unhiss runs runs/unet elsewhere/unet-long -o compare.html
"""


@click.command("runs", epilog=EXAMPLES)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page.  [default: FOLDER/index.html]")
def command(folders, output) -> None:
    """Compare training runs: a table here, and a page with curves, settings and samples side by side.

    A FOLDER is one that unhiss train wrote, or one that holds several of those.
    """
    from unhiss.errors import ConfigError, need

    need("train", "torch", "safetensors", "matplotlib")

    from unhiss.train.comparison import find, write

    runs = find(folders)
    if output is None:
        if len(folders) > 1 or runs[0].folder == folders[0]:
            raise ConfigError("runs named one by one have no page of their own; say where it goes: -o compare.html")
        output = folders[0] / "index.html"
    write(runs, output)
    for run in runs:
        click.echo(run.line)
    click.echo(f"page: {output}")
