"""`hush export`."""

from __future__ import annotations

from pathlib import Path

import click

EXAMPLES = """
\b
hush export runs/unet -o mine.onnx --summary "trained on our calls"
hush export runs/unet/last.safetensors -o mine.onnx --check noisy.wav
hush denoise noisy.wav -o clean.wav --model mine.onnx
"""


@click.command("export", epilog=EXAMPLES)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .onnx file; a .json card lies beside."
)
@click.option("--name", help="Name of the model; the file's if not given.")
@click.option("--licence", help="Licence of the weights.  [default: MIT, or non-commercial where its data is]")
@click.option("--summary", default="", help="One line for hush models.")
@click.option("--check", type=click.Path(path_type=Path), help="Compare on this recording too.")
@click.option("--trainable", is_flag=True, help="Write NAME.safetensors too: weights in half precision for --init.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
def command(checkpoint, output, name, licence, summary, check, trainable, force) -> None:
    """Turn a checkpoint (a .safetensors file, or the folder of a run) into one ONNX file.

    The graph is run by torch and by onnxruntime on random and real frames before anything is written.
    Of a run's folder, best.safetensors is taken.
    """
    from hush.errors import ConfigError, need

    need("train", "torch", "safetensors", "onnx")

    from hush.train.export import export, write_weights

    if output.suffix != ".onnx":
        raise ConfigError(f"-o {output}: a model file ends in .onnx")
    if output.exists() and not force:
        raise ConfigError(f"{output} exists; --force overwrites it")
    if (card_path := output.with_suffix(".json")).exists() and not force:
        raise ConfigError(f"{card_path} exists, where the card of {output.name} goes; --force overwrites it")
    weights_path = output.with_suffix(".safetensors")
    if trainable and weights_path.exists() and not force:
        raise ConfigError(f"{weights_path} exists; --force overwrites it")
    source = checkpoint / "best.safetensors" if checkpoint.is_dir() else checkpoint
    card, worst = export(source, output, name=name or output.stem, licence=licence, summary=summary, recording=check)
    if trainable:
        write_weights(source, weights_path)
    click.echo(f"{output}: {card.parameters:,} parameters, {output.stat().st_size / 1e6:.2f} MB")
    click.echo(f"onnxruntime equals torch within {worst:.1e} of full scale")
