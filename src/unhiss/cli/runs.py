"""`unhiss runs`."""

from pathlib import Path

import click

from unhiss.errors import ConfigError, need

EXAMPLES = """
\b
unhiss runs runs/
unhiss runs runs/unet elsewhere/unet-long -o compare.html
"""


@click.command("runs", epilog=EXAMPLES)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page.  [default: FOLDER/index.html]")
def command(folders: tuple[Path, ...], output: Path | None) -> None:
    """Compare training runs: a table here, and a page with curves, settings and samples side by side.

    A FOLDER is the output of unhiss train, or contains several of them.
    """
    need("train", "torch", "safetensors", "matplotlib")

    from unhiss.train.run_comparison import find_runs, write_page

    runs = find_runs(folders)
    if output is None:
        if len(folders) > 1 or runs[0].folder == folders[0]:
            raise ConfigError("runs named one by one have no folder for the page; give it a path: -o compare.html")
        output = folders[0] / "index.html"
    write_page(runs, output)
    for run in runs:
        click.echo(run.summary)
    click.echo(f"page: {output}")
