"""`unhiss export`."""

from pathlib import Path

import click

from unhiss.errors import ConfigError, need

EXAMPLES = """
\b
unhiss export runs/unet -o mine.onnx --summary "trained on our calls"
unhiss export runs/unet/last.safetensors -o mine.onnx --check noisy.wav
unhiss denoise noisy.wav -o clean.wav --model mine.onnx
unhiss export small --waveform --rate 16000 -o small-16k.onnx
"""


PATH = click.Path(path_type=Path)


@click.command("export", epilog=EXAMPLES)
@click.argument("checkpoint", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The .onnx file; a .json card lies beside.")
@click.option("--name", help="Name of the model.  [default: the file's]")
@click.option("--licence", help="Licence of the weights.  [default: MIT, or non-commercial where its data is]")
@click.option("--summary", default="", help="One line for unhiss models.")
@click.option("--check", type=PATH, help="Compare on this recording too.")
@click.option("--trainable", is_flag=True, help="Write NAME.safetensors too: weights in half precision for --init.")
@click.option("--waveform", is_flag=True, help="Samples in, samples out, for phones and other runtimes; causal models.")
@click.option("--rate", default=48000, show_default=True, metavar="HZ", help="Sample rate of a waveform model.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
def command(
    checkpoint: Path, output: Path, name: str | None, licence: str | None, summary: str, check: Path | None,
    trainable: bool, waveform: bool, rate: int, force: bool,
) -> None:  # fmt: skip
    """Turn a checkpoint (a .safetensors file, or the folder of a run) into one ONNX file.

    torch and onnxruntime run the graph on random and real frames before anything is written. In the folder of a run,
    best.safetensors is exported. --waveform also takes an installed model or an .onnx file: docs/embedding.md.
    """
    need("train", "torch", "safetensors", "onnx")

    from unhiss.train.export import export, write_weights

    if output.suffix != ".onnx":
        raise ConfigError(f"-o {output}: a model file ends in .onnx")
    if output.exists() and not force:
        raise ConfigError(f"{output} exists; --force overwrites it")
    source = checkpoint / "best.safetensors" if checkpoint.is_dir() else checkpoint
    if waveform:
        return _waveform(source, output, name or output.stem, rate)
    if (card_path := output.with_suffix(".json")).exists() and not force:
        raise ConfigError(f"{card_path} exists, the path of the card of {output.name}; --force overwrites it")
    weights_path = output.with_suffix(".safetensors")
    if trainable and weights_path.exists() and not force:
        raise ConfigError(f"{weights_path} exists; --force overwrites it")
    card, worst = export(source, output, name=name or output.stem, licence=licence, summary=summary, recording=check)
    if trainable:
        write_weights(source, weights_path)
    click.echo(f"{output}: {card.parameters:,} parameters, {output.stat().st_size / 1e6:.2f} MB")
    click.echo(f"onnxruntime equals torch within {worst:.1e} of full scale")


def _waveform(source: Path, output: Path, name: str, rate: int) -> None:
    """Export a waveform model; of a checkpoint, the model is first exported to a temporary file."""
    from tempfile import TemporaryDirectory

    from unhiss.train.export import export
    from unhiss.train.waveform import export_waveform

    with TemporaryDirectory() as folder:
        model = source
        if source.suffix == ".safetensors":
            model = Path(folder) / "model.onnx"
            export(source, model, name=name, licence=None, summary="")
        worst = export_waveform(model, output, rate, name)
    click.echo(f"{output}: {rate:,} Hz, {output.stat().st_size / 1e6:.2f} MB")
    click.echo(f"equals unhiss.Stream({rate}) within {worst:.1e} of full scale")
