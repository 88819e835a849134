"""Write the generated tables of README.md anew, from the facts where they stand.

    <!-- models:start -->   the cards of the shipped models, src/unhiss/models/*.json
    <!-- scores:start -->   what `unhiss evaluate` measured: its scores.json, kept as docs/models/NAME.scores.json

Run: python scripts/update_readme.py [--check]; with --check nothing is written, and 1 tells that README.md is old.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from unhiss.score.metrics import METRICS
from unhiss.weights import DEFAULT, ModelCard, models

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SCORES = ROOT / "docs" / "models"
NOISY = "noisy input"
CHIEF = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "sig", "bak", "ovrl")  # what has room in every table
NO_MODELS = "*No model is shipped yet.*"
NO_SCORES = "*Nothing is measured yet.*"


def table(head: list[str], rows: list[list], left: int = 1) -> str:
    """A Markdown table; the first `left` columns to the left, the others to the right."""
    rule = [":--" if i < left else "--:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [head, rule, *rows])


def models_block(cards: list[ModelCard]) -> str:
    """One line a model, with its licence and what it was trained on."""
    if not cards:
        return NO_MODELS
    rows = [
        [
            f"[`{card.name}`](docs/models/{card.name}.md)",
            card.summary,
            card.licence,
            "yes" if card.commercial_use else "no",
            f"{card.parameters:,}",
            card.rates,
            card.delay,
        ]
        for card in cards
    ]
    head = ["model", "what it is", "licence of the weights", "commercial use"]
    return table([*head, "parameters", "rate inside", "live"], rows, left=len(head))


def scores_block(files: list[Path]) -> str:
    """Means over all pairs with their 95 % interval: the noisy input, then every model, each once."""
    if not files:
        return NO_SCORES
    metrics: dict[str, str] = {}
    systems: dict[str, dict[str, Any]] = {}
    for path in files:
        content = json.loads(path.read_text(encoding="utf-8"))
        metrics |= {key: title for key, title in content["metrics"].items() if key in CHIEF}
        for entry in content["summary"]:
            name, means = entry["system"], entry["all"]
            if _means(systems.setdefault(name, means)) != _means(means):
                sys.exit(f"{path} scores {name!r} unlike another file; evaluate all models on the same pairs")
    rows = [[name, str(means["pairs"]), *(cell(key, means[key]) for key in metrics)] for name, means in systems.items()]
    pairs = max(means["pairs"] for means in systems.values())
    note = (
        f"Means over {pairs} noisy/clean pairs ± their 95 % interval; higher is better. PESQ-WB, STOI and ESTOI "
        "say how near the result is to the clean speech, SI-SDR how little is left over; "
        "SIG, BAK and OVRL are DNSMOS P.835's estimate of what listeners would say (1 to 5)."
    )
    shipped = {NOISY, *(card.name for card in models())}
    others = [f"`{name}`" for name in systems if name not in shipped]
    if others:
        note += f" Not shipped, for comparison: {', '.join(others)} (see the cards)."
    return table(["system", "pairs", *metrics.values()], rows) + "\n\n" + note


def _means(means: dict[str, Any]) -> tuple[Any, ...]:
    """What two files must agree in; how an interval was made may differ by version."""
    return means["pairs"], *(round(means[key]["mean"] or 0, 4) for key in CHIEF if key in means)


def cell(metric: str, value: dict[str, Any]) -> str:
    places = METRICS[metric][1]
    if value["mean"] is None:
        return "–"
    text = f"{value['mean']:.{places}f}"
    return text if value["half_95"] is None else f"{text} ±{value['half_95']:.{places}f}"


def generated(text: str) -> str:
    """README.md's text with the two blocks replaced by what the facts give now."""
    cards = sorted(models(), key=lambda card: (card.name != DEFAULT, card.name))
    files = sorted(SCORES.glob("*.scores.json"), key=lambda path: (path.name != f"{DEFAULT}.scores.json", path.name))
    blocks = {"models": models_block(cards), "scores": scores_block(files)}
    for name, block in blocks.items():
        text = replaced(text, name, block)
    return text


def replaced(text: str, name: str, block: str) -> str:
    """The text with what lies between the markers of a block exchanged."""
    between = re.compile(rf"(<!-- {name}:start[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not between.search(text):
        sys.exit(f"the page lacks the markers <!-- {name}:start --> and <!-- {name}:end -->")
    return between.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    new = generated(text)
    if text == new:
        return
    if "--check" in sys.argv[1:]:
        sys.exit("README.md is not what its sources give; run: make docs")
    draft = README.with_suffix(".md.part")
    draft.write_text(new, encoding="utf-8")
    draft.replace(README)
    print("README.md written")


if __name__ == "__main__":
    main()
