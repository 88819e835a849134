"""Write the generated blocks of each card in docs/models/ anew; what lies between the blocks is prose.

    <!-- facts -->      the card `hush export` wrote, src/hush/models/NAME.json
    <!-- training -->   NAME.training.json, kept by scripts/record_training.py
    <!-- scores -->     NAME.scores.json, written by hush evaluate
    <!-- designs -->    bench/results/designs.json, written by bench/designs.py

Run: python scripts/update_cards.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from update_readme import cell, table

from hush.weights import models

OVERLAPPED = " (frames overlapped by half)"
CARDS = Path(__file__).parent.parent / "docs" / "models"
BENCH = Path(__file__).parent.parent / "bench" / "results"


def facts(name: str) -> str:
    """What the model is, from the card beside its weights."""
    card = next(card for card in models() if card.name == name)
    rows = [
        ["parameters", f"{card.parameters:,}"],
        ["multiply-adds per second of audio", f"{card.mmac_per_s:,.0f} million" + ("" if card.causal else OVERLAPPED)],
        ["rate inside", card.rates],
        ["live", card.delay],
        ["licence of the weights", card.licence],
        ["commercial use", "yes" if card.commercial_use else "no"],
        ["SHA-256", f"`{card.sha256}`"],
    ]
    return table(["", name], rows, left=2)


def training(name: str) -> str:
    """Data, settings and course of the training run."""
    record = json.loads((CARDS / f"{name}.training.json").read_text(encoding="utf-8"))
    experiment, rows = record["experiment"], record["epochs"]
    causal = experiment["model"]["kind"] == "causal"
    each_s, what = (experiment["causal"]["segment_s"], "examples") if causal else (8064 / 22050, "frames")
    frames, best = rows[-1]["frames"], min(rows, key=lambda row: row["valid_loss"])
    data = table(
        ["data", "clips", "hours", "commercial use"],
        [
            [key, f"{entry['clips']:,}", f"{entry['hours']:.2f}", "yes" if entry["commercial_use"] else "no"]
            for key, entry in sorted(record["data"]["licences"].items())
        ],
    )
    parts = ", ".join(f"{key} {entry['hours']:.2f} h" for key, entry in sorted(record["data"]["parts"].items()))
    speed = frames / max(1e-9, record["seconds"])
    course = [
        f"{frames:,} {what} ({frames * each_s / 3600:.1f} h of mixtures) in {rows[-1]['step']:,} steps "
        f"and {record['seconds'] / 3600:.2f} h",
        f"on {record['machine'] or 'a machine not noted'}: {speed:.0f} {what}/s on average"
        + (f", {speed * each_s:.0f} s of sound a second" if causal else ""),
        f"seeds: data {record['data']['seed']}, training {experiment['train']['seed']}",
        f"validation loss at best {best['valid_loss']:.5f} (after {best['frames']:,} {what}), "
        f"SNR of validation {what} {best['valid_noisy_snr_db']:.1f} → {best['valid_snr_db']:.1f} dB",
        f"last three checks: {', '.join(f'''{row['valid_loss']:.5f}''' for row in rows[-3:])}",
    ]
    curves = f"![Loss and SNR over the training of {name}]({name}.curves.png)"
    sources = "\n".join(record["data"]["sources"])
    return "\n\n".join(
        [
            data,
            f"Splits: {parts}.",
            "- " + "\n- ".join(course),
            curves,
            f"Sources, as given to `hush prepare`:\n\n```\n{sources}\n```",
        ]
    )


def scores(name: str) -> str:
    """Means over all pairs, per SNR and per kind of noise."""
    content = json.loads((CARDS / f"{name}.scores.json").read_text(encoding="utf-8"))
    metrics = content["metrics"]
    blocks = [_scores(content["summary"], "all", metrics)]
    for column, title in (("snr_db", "SNR dB"), ("noise_kind", "noise")):
        if column in content["summary"][0]:
            blocks.append(_grouped(content["summary"], column, title, metrics))
    return "\n\n".join(blocks)


def _scores(summary: list[dict[str, Any]], key: str, metrics: dict[str, str]) -> str:
    rows = [
        [entry["system"], str(entry[key]["pairs"]), *(cell(m, entry[key][m]) for m in metrics)] for entry in summary
    ]
    return table(["system", "pairs", *metrics.values()], rows)


def _grouped(summary: list[dict[str, Any]], column: str, title: str, metrics: dict[str, str]) -> str:
    rows = []
    for value in summary[0][column]:
        for entry in summary:
            means = entry[column][value]
            cells = [cell(m, {**means[m], "half_95": None}) for m in metrics]
            rows.append([value, entry["system"], str(means["pairs"]), *cells])
    return table([title, "system", "pairs", *metrics.values()], rows, left=2)


def designs(_: str) -> str:
    """What each design reached in the same time."""
    content = json.loads((BENCH / "designs.json").read_text(encoding="utf-8"))
    results, machine = content["results"], content["machine"]
    rows = [
        [name, one["what"], f"{one['parameters'] / 1000:.0f}", f"{one['audio_s_per_s']:.0f}", f"{one['steps']:,}",
         f"{one['valid_loss']:.4f}", f"{one['valid_snr_db']:.1f}"] for name, one in results["designs"].items()
    ]  # fmt: skip
    head = ["design", "what", "k parameters", "s of sound/s", "steps", "validation loss", "SNR dB"]
    when = f"{results['minutes']:g} minutes each on one core of an {machine['cpu']}, {machine['date']}"
    return f"{table(head, rows, left=2)}\n\n{when}; the noisy input has {_noisy(results):.1f} dB."


def _noisy(results: dict[str, Any]) -> float:
    return float(next(iter(results["designs"].values()))["valid_noisy_snr_db"])


BLOCKS = {"facts": facts, "training": training, "scores": scores, "designs": designs}


def generated(name: str, text: str) -> str:
    """A card's text with its blocks as their sources give them now."""
    for block, make in BLOCKS.items():
        between = re.compile(rf"(<!-- {block}:start -->\n).*?(<!-- {block}:end -->)", re.DOTALL)
        text = between.sub(lambda match, make=make: f"{match[1]}{make(name)}\n{match[2]}", text)
    return text


def main() -> None:
    for path in sorted(CARDS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = generated(path.stem, text)
        if text == new:
            continue
        if "--check" in sys.argv[1:]:
            sys.exit(f"{path.name} is not what its sources give; run: make docs")
        path.write_text(new, encoding="utf-8")
        print(f"{path.name} written")


if __name__ == "__main__":
    main()
