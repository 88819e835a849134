"""Write the generated parts of README.md and docs/models/index.md from their sources.

    <!-- models:start -->   the cards of the shipped models, src/unhiss/pretrained/*.json
    <!-- peers:start -->    the comparison with other denoisers, bench/results/peers.json, written by bench/peers.py
    <!-- all-scores:start -->  the scores of all models by `unhiss evaluate`, kept as docs/models/NAME.scores.json

Run: python scripts/update_readme.py [--check]
With --check nothing is written; the exit code is 1 when a page differs from its sources.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unhiss.score.registry import METRICS
from unhiss.weights import DEFAULT, ModelCard, models

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SCORES = ROOT / "docs" / "models"
PEERS = ROOT / "bench" / "results" / "peers.json"
PAGES = (README, SCORES / "index.md")
NOISY = "noisy input"
CHIEF = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "sig", "bak", "ovrl")  # the metrics of every table
COMPARED = ("pesq_wb", "stoi", "si_sdr_db", "ovrl")  # the metrics of the comparison with peers
NO_MODELS = "*No model is shipped yet.*"
NO_SCORES = "*Nothing is measured yet.*"


def table(head: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are aligned left, the others right."""
    rule = [":--" if i < left else "--:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in [head, rule, *rows])


def models_block(cards: list[ModelCard], folder: str = "docs/models/") -> str:
    """One row per model: what it is, its licence, size, rate and latency. folder: the path of the cards' pages."""
    if not cards:
        return NO_MODELS
    rows = [
        [
            f"[`{card.name}`]({folder}{card.name}.md)",
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
    """Means over all pairs with their 95 % interval: the noisy input, then each model once."""
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
        "measure how close the result is to the clean speech, SI-SDR how much noise and distortion remains; "
        "SIG, BAK and OVRL are DNSMOS P.835's estimate of what listeners would say (1 to 5)."
    )
    shipped = {NOISY, *(card.name for card in models())}
    if others := [f"`{name}`" for name in systems if name not in shipped]:
        note += f" Not shipped, for comparison: {', '.join(others)} (see the cards)."
    return table(["system", "pairs", *metrics.values()], rows) + "\n\n" + note


def _means(means: dict[str, Any]) -> tuple[Any, ...]:
    """The values in which two files must agree; the method of an interval may differ by version."""
    return means["pairs"], *(round(means[key]["mean"] or 0, 4) for key in CHIEF if key in means)


def cell(metric: str, value: dict[str, Any], interval: bool = True) -> str:
    """A mean and half of its interval, with as many decimals as are worth showing; a dash where there is no mean."""
    decimals = METRICS[metric].decimals
    if value["mean"] is None:
        return "–"
    text = f"{value['mean']:.{decimals}f}"
    return f"{text} ±{value['half_95']:.{decimals}f}" if interval and value["half_95"] is not None else text


def peers_block(results: dict[str, Any] | None) -> str:
    """unhiss beside the denoisers that install by name: quality, cost, size, licence, and what each keeps of a file."""
    if not results:
        return NO_SCORES
    head = ["denoiser", *(results["metrics"][key] for key in COMPARED), "M multiply-adds/s", "CPU s/s", "install MB"]
    entries = {entry["system"]: entry["all"] for entry in results["summary"]}
    rows = [[_label(name, results), *_quality(entries[name]), *_costs(name, results)] for name in ordered(results)]
    blocks = [
        table([*head, "PyTorch", "licence", "keeps"], rows),
        _conditions(results),
        _ahead(entries, results),
    ]
    return "\n\n".join(blocks)


def ordered(results: dict[str, Any]) -> list[str]:
    """The noisy input, the models of unhiss, then the others by PESQ."""
    means = {entry["system"]: entry["all"]["pesq_wb"]["mean"] or 0 for entry in results["summary"]}
    first = [name for name in means if name == NOISY or name in {card.name for card in models()}]
    return first + sorted(set(means) - set(first), key=lambda name: (-means[name], name))


def _label(name: str, results: dict[str, Any]) -> str:
    if name == NOISY:
        return name
    if name in {card.name for card in models()}:
        return f"**unhiss** `{name}`"
    return f"{name} {results['systems'][name]['version']} ({results['systems'][name]['what']})"


def _quality(means: dict[str, Any]) -> list[str]:
    return [cell(key, means[key], interval=False) for key in COMPARED]


def _costs(name: str, results: dict[str, Any]) -> list[str]:
    if name == NOISY:
        return ["–"] * 6
    system, costs = results["systems"][name], results.get("cpu_s_per_s", {})
    if f"{name}, live" in costs:
        file, live = (costs[f"{name}, {way}"]["median"] for way in ("file", "live"))
        cpu = f"{file:.3f}, live {live:.3f}"
    else:
        cpu = f"{costs[name]['median']:.3f}" if name in costs else "–"
    kept = [key for key, value in system["keeps"].items() if value]
    unknown = None in system["keeps"].values()
    return [
        f"{system['mmac_per_s']:,.0f}" if system["mmac_per_s"] else "–",
        cpu,
        f"{system['install_mb']:,}",
        "yes" if system["pytorch"] else "no",
        "its own terms" if system["licence"].startswith("LicenseRef") else system["licence"],
        "not tested" if unknown else ", ".join(kept) or "–",
    ]


def _conditions(results: dict[str, Any]) -> str:
    pairs = max(entry["all"]["pairs"] for entry in results["summary"])
    timed = results.get("timed")
    cpu = f"on one core, {timed['cpu']}, {timed['date']}" if timed else "not measured yet"
    fixed = [name for name, system in results["systems"].items() if not system["files"]]
    return (
        f"Means over {pairs} noisy/clean pairs; higher is better. Multiply-adds: millions per second of audio, where "
        f"the network is known. CPU: processor seconds per second of audio, {cpu}. Install: a fresh environment, pip "
        "included. Keeps: which of rate, stereo, length and tags a 44.1 kHz stereo file has afterwards; "
        f"{', '.join(fixed)} take mono frames at one rate and leave the rest to the caller. These install by name "
        f"too, and fetch their weights at the first run: {', '.join(results['downloads'])}. "
        "[How it was measured](docs/models/peers.md)."
    )


def _ahead(entries: dict[str, dict[str, Any]], results: dict[str, Any]) -> str:
    """Which denoisers are ahead of the default model in which metric and in which cost, in words."""
    systems = results["systems"]
    own = {card.name for card in models()} | {NOISY}
    parts = []
    for key in COMPARED:
        shown = {name: cell(key, means[key], interval=False) for name, means in entries.items()}
        better = [name for name in entries if name not in own and float(shown[name]) > float(shown[DEFAULT])]
        if better:
            best = sorted(better, key=lambda name: -float(shown[name]))
            parts.append(f"{METRICS[key].title}: {', '.join(f'{name} ({shown[name]})' for name in best)}")
    cpu = {name: cost["median"] for name, cost in results.get("cpu_s_per_s", {}).items()}
    costs = {
        "multiply-adds a second": ({name: system["mmac_per_s"] for name, system in systems.items()}, "{:,.0f} M"),
        "processor time": (cpu | {DEFAULT: cpu.get(f"{DEFAULT}, file")}, "{:.3f} s/s"),
        "the size of the install": ({name: system["install_mb"] for name, system in systems.items()}, "{} MB"),
    }
    for title, (values, form) in costs.items():
        limit = values.get(DEFAULT) or 0  # unknown: nothing is below it
        less = [name for name in systems if name not in own and 0 < (values.get(name) or 0) < limit]
        if less:
            less.sort(key=values.__getitem__)
            parts.append(f"{title}: {', '.join(f'{name} ({form.format(values[name])})' for name in less)}")
    lead = f"**Ahead of `{DEFAULT}`**"
    return f"{lead} in {'; in '.join(parts)}." if parts else f"{lead}: none of them."


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(marker, text) of each generated part that a page can have."""
    cards = sorted(models(), key=lambda card: (card.name != DEFAULT, card.name))
    files = sorted(SCORES.glob("*.scores.json"), key=lambda path: (path.name != f"{DEFAULT}.scores.json", path.name))
    yield "models", models_block(cards, "docs/models/" if page == README else "")
    yield "all-scores", scores_block(files)
    yield "peers", peers_block(peers_results())


def peers_results() -> dict[str, Any] | None:
    """What bench/peers.py measured; None before it ran."""
    return dict(json.loads(PEERS.read_text(encoding="utf-8"))["results"]) if PEERS.is_file() else None


def generated(text: str, page: Path = README) -> str:
    """A page's text with each of its generated parts as the sources give it now."""
    for name, block in blocks(page):
        if f"<!-- {name}:start" in text:
            text = replaced(text, name, block)
    return text


def replaced(text: str, name: str, block: str) -> str:
    """The text with the part between the two markers of a block replaced."""
    between = re.compile(rf"(<!-- {name}:start[^>]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not between.search(text):
        sys.exit(f"the page lacks the markers <!-- {name}:start --> and <!-- {name}:end -->")
    return between.sub(lambda match: f"{match[1]}{block}\n{match[2]}", text)


def main() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = generated(text, page)
        if text == new:
            continue
        name = page.relative_to(ROOT)
        if "--check" in sys.argv[1:]:
            sys.exit(f"{name} differs from its sources; run: make generated")
        draft = page.with_suffix(".md.part")
        draft.write_text(new, encoding="utf-8")
        draft.replace(page)
        print(f"{name} written")


if __name__ == "__main__":
    main()
