"""`unhiss models`."""

import click


@click.command("models", epilog="\b\nunhiss models\nunhiss models --json")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(as_json: bool) -> None:
    """List the installed models: size, rate, latency, licence, and what they were trained on."""
    import json
    from dataclasses import asdict

    from unhiss.weights import DEFAULT, SHIPPED, models

    cards = models()
    if not cards:
        click.echo("no model is installed; unhiss denoise --model takes the path of an .onnx file", err=True)
    for card in cards:
        if as_json:
            click.echo(json.dumps(asdict(card)))
            continue
        size = (SHIPPED / f"{card.name}.onnx").stat().st_size / 1e6
        use = "commercial use allowed" if card.commercial_use else "non-commercial"
        band = f" (sound up to {card.sample_rate / 2000:g} kHz)" if card.sample_rate else ""
        click.echo(f"{card.name}{' (default)' if card.name == DEFAULT else ''}: {card.summary}")
        click.echo(f"  {card.parameters:,} parameters, {size:.1f} MB, {card.mmac_per_s:,.0f} million multiply-adds/s")
        click.echo(f"  rate inside: {card.rates}{band}, {card.delay}")
        click.echo(f"  licence {card.licence}, {use}; trained on {card.data}")
