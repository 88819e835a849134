"""The card of a prepared data set: what is in it, under which licences, and what was left out."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unhiss.data.clips import ROLES
from unhiss.data.licences import author_credits, licence_rows
from unhiss.data.manifest import ManifestRow
from unhiss.data.storage import save_bytes, save_text
from unhiss.dsp.charts import Panel, chart_png, histogram
from unhiss.markup import markdown_table
from unhiss.remote import RemotePath

MAX_KINDS = 30
REASONS = {
    "missing": "listed by the corpus, but not in its folder",
    "repeated": "the same file is in two sources",
    "broken": "cannot be decoded to its end",
    "silent": "less than 0.1 s of sound",
    "long": "longer than preprocessing.max_seconds, with preprocessing.drop_long",
    "noisy": "estimated SNR below preprocessing.min_snr_db",
    "poor": "DNSMOS below preprocessing.min_mos",
    "licence": "does not allow commercial use",
}


def write_card(folder: Path | RemotePath, rows: list[ManifestRow], settings: dict[str, Any]) -> None:
    """Write card.md and card.png into a prepared set; equal sets give equal bytes."""
    save_bytes(folder / "card.png", chart_png(_panels(rows, settings["sample_rate"])))
    save_text(folder / "card.md", card_text(rows, settings))


def card_text(rows: list[ManifestRow], settings: dict[str, Any]) -> str:
    """The card in Markdown."""
    parts = sorted(settings["splits"].items())
    groups = {part: {row.kind for row in rows if f"{row.role}/{row.split}" == part} for part, _ in parts}
    licences = settings["licences"]
    shown = {"sample_rate": settings["sample_rate"], "seed": settings["seed"]}
    shown |= {
        f"preprocessing.{key}": value
        for key, value in sorted(settings["preprocessing"].items())
        if key != "sample_rate"
    }
    blocks = [
        "# Data set",
        f"{len(rows):,} clips, {sum(entry['hours'] for _, entry in parts):.2f} hours, mono, "
        f"{settings['sample_rate']:,} Hz, 16 bits. `manifest.jsonl` lists them, `rejected.csv` those left out.",
        "## Parts",
        markdown_table(("part", "clips", "hours", "speakers or kinds"), [
            (part, f"{entry['clips']:,}", f"{entry['hours']:.3f}", f"{len(groups[part]):,}") for part, entry in parts
        ]),
        "No speaker, video, fold or source recording is in two splits.",
        "![Histograms of both roles, and the kinds of noise](card.png)",
        "## Licences",
        markdown_table(("corpus and licence", "clips", "hours", "commercial use"), licence_rows(licences, 3)),
        *author_credits(licences),
        "## Left out",
        _left_out(settings) if settings["rejected"] else "Nothing.",
        *([_cut(settings)] if settings["cut"]["recordings"] else []),
        "## Settings",
        markdown_table(("setting", "value"), [
            (f"`{key}`", "–" if value is None else value) for key, value in shown.items()
        ]),
        "Sources:\n\n" + "\n".join(f"- `{spec}`" for spec in settings["sources"]),
    ]  # fmt: skip
    return "\n\n".join(blocks) + "\n"


def _left_out(settings: dict[str, Any]) -> str:
    """A table of the reasons, with what each has cost."""
    rows = []
    for reason, count in settings["rejected"].items():
        losses = settings["lost"].get(reason, {}).values()
        hours, kinds = sum(loss["hours"] for loss in losses), sum(loss["kinds"] for loss in losses)
        rows.append((reason, f"{count:,}", f"{hours:.3f}", f"{kinds:,}", REASONS.get(reason, "")))
    return markdown_table(("reason", "clips", "known hours", "speakers or kinds entirely", "meaning"), rows)


def _cut(settings: dict[str, Any]) -> str:
    """What became of recordings that are longer than a clip may be."""
    cut = settings["cut"]
    return (
        f"{cut['recordings']:,} recordings are cut at their silences into {cut['pieces']:,} clips, `#1`, `#2` … behind "
        "their names: they are longer than `preprocessing.max_seconds`. The pieces of one are in one split, and "
        "together they are all of its sound."
    )


def _panels(rows: list[ManifestRow], rate: int) -> list[list[Panel]]:
    """Rows of charts: speech on the left, noise on the right."""
    by_role = [[row for row in rows if row.role == role] for role in ROLES]
    longest = max(np.percentile([row.length for row in part], 98) for part in by_role if part) / rate
    measures: list[tuple[str, Callable[[ManifestRow], float], list[float]]] = [
        ("seconds", lambda row: row.length / rate, _steps(0, longest, (0.1, 0.25, 0.5, 1, 2, 5, 10, 30))),
        ("level, dBFS", lambda row: row.level_dbfs, np.arange(-70, 1, 5.0).tolist()),
        ("bandwidth, kHz", lambda row: row.bandwidth_hz / 1000, _steps(0, rate / 2000, (0.25, 0.5, 1, 2, 4))),
        ("estimated SNR, dB", lambda row: row.snr_db, np.arange(0, 81, 5.0).tolist()),
    ]

    def chart(role: int, title: str, measure: Callable[[ManifestRow], float], edges: list[float]) -> Panel:
        return histogram(f"{ROLES[role]}: {title}", [measure(row) for row in by_role[role]], edges, role)

    panels = [[chart(i, *measure) for i in range(2) if by_role[i]] for measure in measures[:3]]
    last = [chart(0, *measures[3])] if by_role[0] else []
    if by_role[1]:
        last.append(_kinds(by_role[1], rate))
    return [*panels, last]


def _steps(low: float, high: float, sizes: Sequence[float]) -> list[float]:
    """Edges of bins that cover `low` to `high`. The bin size is the smallest of `sizes` that needs at most 24 bins."""
    size = next((size for size in sizes if (high - low) / size <= 24), sizes[-1])
    count = max(1, int(np.ceil((high - low) / size - 1e-9)))
    return [round(low + size * i, 6) for i in range(count + 1)]


def _kinds(rows: list[ManifestRow], rate: int) -> Panel:
    """Minutes of each kind of noise, the most frequent first."""
    minutes: Counter[str] = Counter()
    for row in rows:
        minutes[row.kind] += row.length
    ranked = sorted(minutes.items(), key=lambda item: (-item[1], item[0]))
    shown, others = ranked[:MAX_KINDS], ranked[MAX_KINDS:]
    if others:
        shown.append((f"{len(others)} others", sum(length for _, length in others)))
    return Panel(
        title="noise: minutes of each kind", names=[name for name, _ in shown],
        values=[round(length / rate / 60, 2) for _, length in shown], colour=1,
    )  # fmt: skip
