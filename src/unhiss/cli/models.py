"""`unhiss models`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from unhiss.weights import ModelCard

EXAMPLES = """
\b
unhiss models
unhiss models --verbose
unhiss models --json
"""


@click.command("models", epilog=EXAMPLES)
@click.option("--verbose", is_flag=True, help="What each is, what it costs, and what it was trained on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, with all of it.")
def command(verbose: bool, as_json: bool) -> None:
    """List the installed models."""
    import json
    from dataclasses import asdict

    from unhiss.weights import models

    cards = models()
    if not cards:
        click.echo("no model is installed; unhiss denoise --model takes the path of an .onnx file", err=True)
    elif as_json:
        for card in cards:
            click.echo(json.dumps(asdict(card)))
    elif verbose:
        for card in cards:
            _print_details(card)
    else:
        for line in _table(cards):
            click.echo(line)


def _table(cards: list[ModelCard]) -> list[str]:
    from unhiss.weights import DEFAULT

    rows = [("model", "parameters", "MB", "rate inside", "live", "licence of the weights")]
    for card in cards:
        live = f"{card.latency_ms:g} ms late" if card.causal else "no: files only"
        use = "" if card.commercial_use else ", non-commercial"
        name = f"{card.name}{' *' if card.name == DEFAULT else ''}"
        rows.append((name, f"{card.parameters:,}", f"{_megabytes(card):.1f}", card.rates, live, card.licence + use))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{'>' if at in (1, 2) else '<'}{widths[at]}}" for at, cell in enumerate(row)).rstrip()
        for row in rows
    ]
    return [*lines, "", "* is the default; --verbose says what each is, what it costs, and what it was trained on"]


def _megabytes(card: ModelCard) -> float:
    from unhiss.weights import SHIPPED

    return (SHIPPED / f"{card.name}.onnx").stat().st_size / 1e6


def _print_details(card: ModelCard) -> None:
    from unhiss.weights import DEFAULT

    use = "commercial use allowed" if card.commercial_use else "non-commercial"
    band = f" (sound up to {card.sample_rate / 2000:g} kHz)" if card.sample_rate else ""
    size = f"{card.parameters:,} parameters, {_megabytes(card):.1f} MB"
    click.echo(f"{card.name}{' (default)' if card.name == DEFAULT else ''}: {card.summary}")
    click.echo(f"  {size}, {card.mmac_per_s:,.0f} million multiply-adds/s")
    click.echo(f"  rate inside: {card.rates}{band}, {card.delay}")
    click.echo(f"  licence {card.licence}, {use}; trained on {card.data}")
