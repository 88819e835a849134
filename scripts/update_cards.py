"""Write the generated blocks of each page in docs/models/; the text between the blocks is written by hand.

    <!-- facts -->        src/unhiss/pretrained/NAME.json, written by unhiss export; costs of bench/results/infer.json
    <!-- commands -->     the commands that repeat the model, from all of its records
    <!-- training -->     NAME.training.json, kept by scripts/record_training.py
    <!-- scores -->       NAME.scores.json, written by unhiss evaluate
    <!-- weaknesses -->   the kinds of noise in which it gains least, from the same file
    <!-- designs -->      bench/results/designs.json, written by bench/designs.py
    <!-- words -->        NAME.words.json, written by unhiss evaluate --recogniser
    <!-- all-peers -->    bench/results/peers.json, written by bench/peers.py: all metrics, means by SNR, sources

scripts/record_training.py begins the card of a new model with all of these blocks.

Run: python scripts/update_cards.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import card_commands
from update_readme import CHIEF, NO_SCORES, NOISY, cell, ordered, peers_results, replaced, table

from unhiss.data.licences import author_credits, licence_rows, merged_licences
from unhiss.score.registry import METRICS
from unhiss.weights import models

OVERLAPPED = " (frames overlapped by half)"
NOT_MEASURED = "*Not measured yet.*"
WORST = 5  # kinds of noise that are named
CARDS = Path(__file__).parent.parent / "docs" / "models"
BENCH = Path(__file__).parent.parent / "bench" / "results"


def facts(name: str) -> str:
    """Size, rate, latency and licence of the model, from the card beside its weights."""
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
    return table(["", name], rows[:2] + cost(name) + rows[2:], left=2)


def cost(name: str) -> list[list[str]]:
    """The time of a live frame and of a file, where bench/infer.py measured this model."""
    path = BENCH / "infer.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"results": {}}
    if name not in content["results"]:
        return []
    results, machine = content["results"][name], content["machine"]
    base = results["us_per_frame"]["reference graph"]["median"]
    cases = [
        f"{spread['median']:.0f} µs ({spread['median'] / base:.1f} × the reference graph) at {case}"
        for case, spread in results["us_per_frame"].items()
        if case != "reference graph"
    ]
    return [
        ["a frame of 16 ms, one thread", "; ".join(cases)],
        ["a file, one core", f"{results['file_times_real_time']:.0f} × real time"],
        ["measured on", f"{machine['cpu']}, {machine['date']}"],
    ]


def commands(name: str) -> str:
    """Every command from the corpora to the scores."""
    record, card = _read(name, "training"), next(card for card in models() if card.name == name)
    steps = [card_commands.prepare(record["data"]), card_commands.train(name, record)]
    steps.append(card_commands.export(name, card.licence, card.summary))
    if measured(name):
        steps.append(card_commands.evaluate(_read(name, "scores")["settings"]))
    text = "```bash\n" + "\n".join(steps) + "\n```"
    barred = [key for key, entry in merged_licences(record["data"]["licences"]).items() if not entry["commercial_use"]]
    why = (
        f"It bars commercial use because these do: {'; '.join(barred)}."
        if barred
        else "All of its data allow commercial use."
    )
    return f"{text}\n\nThe licence of the weights is {card.licence}. {why}"


def _read(name: str, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CARDS / f"{name}.{kind}.json").read_text(encoding="utf-8"))
    return content


def training(name: str) -> str:
    """Data, settings and course of the training run."""
    record = _read(name, "training")
    experiment, rows = record["experiment"], record["epochs"]
    causal = experiment["model"]["kind"] == "causal"
    each_s, what = (experiment["causal"]["segment_s"], "examples") if causal else (8064 / 22050, "frames")
    frames, best = rows[-1]["frames"], min(rows, key=lambda row: row["valid_loss"])
    data = table(
        ["data", "clips", "hours", "commercial use"],
        licence_rows(record["data"]["licences"], 2),
    )
    parts = ", ".join(f"{key} {entry['hours']:.2f} h" for key, entry in sorted(record["data"]["splits"].items()))
    speed = frames / max(1e-9, record["seconds"])
    course = [
        f"{frames:,} {what} ({frames * each_s / 3600:.1f} h of mixtures) in {rows[-1]['step']:,} steps "
        f"and {record['seconds'] / 3600:.2f} h",
        f"on {record['machine'] or 'a machine not noted'}: {speed:.0f} {what}/s on average"
        + (f", {speed * each_s:.0f} s of sound a second" if causal else ""),
        *([f"its weights began as those of `{record['init']}`"] if record.get("init") else []),
        f"seeds: data {record['data']['seed']}, training {experiment['train']['seed']}",
        f"validation loss at best {best['valid_loss']:.5f} (after {best['frames']:,} {what}), "
        f"SNR of validation {what} {best['valid_noisy_snr_db']:.1f} → {best['valid_snr_db']:.1f} dB",
        f"last three checks: {', '.join(f'''{row['valid_loss']:.5f}''' for row in rows[-3:])}",
    ]
    curves = f"![Loss and SNR over the training of {name}]({name}.curves.png)"
    authors = author_credits(record["data"]["licences"])
    return "\n\n".join([data, *authors, f"Splits: {parts}.", "- " + "\n- ".join(course), curves])


def measured(name: str) -> bool:
    """Whether a model has scores of unhiss evaluate beside its card; a new one has none yet."""
    return (CARDS / f"{name}.scores.json").is_file()


def scores(name: str) -> str:
    """Means over all pairs with their interval, then the chief metrics by SNR and by kind of noise."""
    if not measured(name):
        return NOT_MEASURED
    content = _read(name, "scores")
    metrics, summary = content["metrics"], content["summary"]
    chief = {key: title for key, title in metrics.items() if key in CHIEF}
    blocks, on = [_scores(summary, "all", metrics)], [f"{summary[0]['all']['pairs']} noisy/clean pairs"]
    for column, title, phrase in (("snr_db", "SNR dB", "SNRs of {} dB"), ("noise_kind", "noise", "{} kinds of noise")):
        if column in summary[0]:
            values = list(summary[0][column])
            on.append(phrase.format(", ".join(values) if column == "snr_db" else len(values)))
            blocks.append(_grouped(summary, column, title, chief))
    return "\n\n".join([f"Means ± half of their 95 % interval, over {', '.join(on)}.", *blocks])


def weaknesses(name: str) -> str:
    """The kinds of noise in which the model gains least over the noisy input, and those in which it does harm."""
    if not measured(name):
        return NOT_MEASURED
    content = _read(name, "scores")
    systems = {entry["system"]: entry.get("noise_kind", {}) for entry in content["summary"]}
    metrics = {key: title for key, title in content["metrics"].items() if key in CHIEF}
    noisy, own = systems[NOISY], systems[name]
    gains = {kind: {key: _gain(own[kind], noisy[kind], key) for key in metrics} for kind in own}
    # Metrics have different scales, so kinds are ordered by the sum of their ranks in each metric.
    rank = {
        kind: sum(sorted(g[key] for g in gains.values()).index(gains[kind][key]) for key in metrics) for kind in gains
    }
    worst = sorted(gains, key=lambda kind: (rank[kind], kind))[:WORST]
    rows = [
        [kind, str(own[kind]["pairs"]), *(f"{gains[kind][key]:+z.{METRICS[key].decimals}f}" for key in metrics)]
        for kind in worst
    ]
    harm = {metrics[key]: sorted(kind for kind in gains if gains[kind][key] < 0) for key in metrics}
    lines = [f"- {title}: {', '.join(kinds)}" for title, kinds in harm.items() if kinds]
    below = (
        "Below the noisy input, on the mean over a kind:\n\n" + "\n".join(lines)
        if lines
        else "Nowhere below the noisy input."
    )
    return f"The {len(rows)} kinds of noise in which it gains least over the noisy input:\n\n" + "\n\n".join(
        [table(["noise", "pairs", *metrics.values()], rows), below]
    )


def _gain(own: dict[str, Any], noisy: dict[str, Any], key: str) -> float:
    both = own[key]["mean"], noisy[key]["mean"]
    return 0.0 if None in both else float(both[0] - both[1])


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


def words(name: str) -> str:
    """Word error rates of a recogniser after each system, by SNR and in all."""
    content = _read(name, "words")
    summary, settings = content["summary"], content["settings"]
    snrs = list(summary[0]["snr_db"])
    rows = []
    for entry in summary:
        groups = [*(entry["snr_db"][snr] for snr in snrs), entry["all"]]
        cells = [cell("wer", {**group["wer"], "half_95": None}) for group in groups[:-1]]
        rows.append([entry["system"], str(entry["all"]["wer"]["n"]), *cells, cell("wer", entry["all"]["wer"])])
    head = ["system", "recordings", *(f"{snr} dB" for snr in snrs), "all"]
    return f"{table(head, rows)}\n\nOf 100 words, by {settings['recogniser']}; lower is better."


def designs(_: str) -> str:
    """Loss and speed of each design after the same training time."""
    if not (path := BENCH / "designs.json").is_file():
        return "Not measured yet."
    content = json.loads(path.read_text(encoding="utf-8"))
    results, machine = content["results"], content["machine"]
    rows = [
        [name, one["what"], f"{one['parameters'] / 1000:.0f}", f"{one['audio_s_per_s']:.0f}", f"{one['steps']:,.0f}",
         f"{one['valid_loss']:.4f}", ", ".join(f"{loss:.4f}" for loss in one["valid_losses"]),
         f"{one['valid_snr_db']:.1f}"] for name, one in results["designs"].items()
    ]  # fmt: skip
    head = ["design", "what", "k parameters", "s of sound/s", "steps", "validation loss", "of each seed", "SNR dB"]
    when = f"{results['minutes']:g} minutes each on one core of an {machine['cpu']}, {machine['date']}"
    return f"{table(head, rows, left=2)}\n\n{when}; the noisy input has {_noisy(results):.1f} dB."


def _noisy(results: dict[str, Any]) -> float:
    return float(next(iter(results["designs"].values()))["valid_noisy_snr_db"])


def all_peers(_: str) -> str:
    """unhiss beside other denoisers: all metrics with intervals, PESQ and OVRL by SNR, and where the costs are from."""
    results = peers_results()
    if not results:
        return NO_SCORES
    entries = {entry["system"]: entry for entry in results["summary"]}
    summary = [entries[name] for name in ordered(results)]
    blocks = [_scores(summary, "all", results["metrics"])]
    if snrs := list(summary[0].get("snr_db", {})):
        rows = [[entry["system"], *(_pesq_and_ovrl(entry["snr_db"][snr]) for snr in snrs)] for entry in summary]
        blocks.append("PESQ-WB / OVRL by SNR:\n\n" + table(["system", *(f"{snr} dB" for snr in snrs)], rows))
    rows = [
        [name, facts["version"], facts["what"], f"{facts['rate']:,} Hz" if facts["rate"] else "any",
         f"{facts['mmac_per_s']:,.0f}" if facts["mmac_per_s"] else "–", facts["source"] or "–",
         ", ".join(facts["needs"]) or "–", facts["licence"]]
        for name, facts in results["systems"].items()
    ]  # fmt: skip
    head = ["denoiser", "version", "what it is", "rate inside", "M multiply-adds/s", "source", "needs", "licence"]
    return "\n\n".join([*blocks, table(head, rows, left=len(head))])


def _pesq_and_ovrl(means: dict[str, Any]) -> str:
    return " / ".join(cell(key, means[key], interval=False) for key in ("pesq_wb", "ovrl"))


BLOCKS = {
    "facts": facts, "commands": commands, "training": training, "scores": scores, "weaknesses": weaknesses,
    "designs": designs, "words": words, "all-peers": all_peers,
}  # fmt: skip


def generated(name: str, text: str) -> str:
    """A page's text with each of its blocks as the sources give it now."""
    for block, make in BLOCKS.items():
        if f"<!-- {block}:start" in text:
            text = replaced(text, block, make(name))
    return text


def main() -> None:
    for path in sorted(CARDS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = generated(path.stem, text)
        if text == new:
            continue
        if "--check" in sys.argv[1:]:
            sys.exit(f"{path.name} differs from its sources; run: make generated")
        path.write_text(new, encoding="utf-8")
        print(f"{path.name} written")


if __name__ == "__main__":
    main()
