"""The report as one HTML page that contains everything it shows; its security policy lets it load nothing else."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

from unhiss import __version__
from unhiss.markup import Html, html_table
from unhiss.score.page import charts
from unhiss.score.page.clips import MAX_CLIP_S, Clip, ClipVersion, ranking_metric
from unhiss.score.registry import METRICS
from unhiss.score.report import NOISY, Report, package_versions
from unhiss.score.statistics import (
    GROUPS,
    INTERVAL,
    baseline,
    count_recordings,
    is_numeric,
    mean_of,
    median_cost_us,
    paired_difference,
    shown_groups,
)
from unhiss.score.tables import format_mean, list_problems

CHART_METRICS = ("pesq_wb", "ovrl", "si_sdr_db", "estoi", "wer", "p808")  # at most four of these get charts
DIRECTION = {1: "Further up", -1: "Further down", 0: "Nearer to 0"}  # what is better, by Metric.better
MIN_RECORDINGS = 10  # fewer make the intervals too narrow
MAX_COLUMNS = 9  # beside the system, in a table 1,280 pixels wide; more metrics make more tables
MAX_LINE_GROUPS = 8  # more numeric groups get a dot chart
FILES = files("unhiss.score.page")


def render_page(report: Report, clips: Sequence[Clip], settings: dict[str, Any]) -> str:
    """The report as HTML: tables, charts, and the clips with spectrograms and players."""
    names = escape(", ".join(name for name in report.systems if name != NOISY) or NOISY)
    sections = [
        ("summary", "Summary", _summary(report)), ("differences", f"Against {baseline(report)}", _differences(report)),
        ("spread", "Recording by recording", _spread(report)), *_groups(report),
        ("cost", "Quality and cost", _cost(report)), ("listen", "Look and listen", _listen(report, clips)),
        ("problems", "What could not be scored", _problems(report)),
        ("how", "How this was measured", _method(report, settings)),
    ]  # fmt: skip
    shown = [(anchor, escape(title), body) for anchor, title, body in sections if body]
    source = settings.get("pairs") or settings.get("noisy")
    template, style, script = ((FILES / name).read_text("utf-8") for name in ("page.html", "style.css", "player.js"))
    return Template(template).substitute(
        names=names, count=len(report.of(NOISY)), source=f" of {escape(str(source))}" if source else "",
        menu="".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in shown),
        sections="".join(f'<section id="{anchor}"><h2>{title}</h2>{body}</section>' for anchor, title, body in shown),
        version=__version__, date=f"{datetime.now(UTC):%Y-%m-%d}", style=style, script=script,
    )  # fmt: skip


def _summary(report: Report) -> str:
    best = {metric: _best_system(report, metric) for metric in report.metrics}
    rows = []
    for system in report.systems:
        cells = []
        for metric in report.metrics:
            mean, decimals = mean_of(report.rows, system, metric), METRICS[metric].decimals
            text = format_mean(mean, decimals)
            interval = f"<small>{mean.low:z.{decimals}f} to {mean.high:z.{decimals}f}</small>" if mean.n > 1 else ""
            cells.append(Html((f'<b class="best">{text}</b>' if system == best[metric] else text) + interval))
        failed = sum(bool(row.failure) for row in report.of(system))
        scored = f"{len(report.of(system)) - failed}{f'<small>{failed} failed</small>' if failed else ''}"
        cost = median_cost_us(report, system)
        rows.append([system, *cells, Html(scored), f"{cost:,.0f}" if math.isfinite(cost) else "–"])
    head = [*(METRICS[metric].title for metric in report.metrics), "scored", "µs per 16 ms"]
    note = (
        f"Means, and the interval in which they lie with 95 % certainty{_few_recordings(report)}. Green: the best mean "
        "of a column (of the systems alone; others may be within its interval: see the differences)."
    )
    parts = -(-len(head) // MAX_COLUMNS)
    ends = [round(len(head) * part / parts) for part in range(parts + 1)]
    tables = [
        _table(["system", *head[a:b]], [[row[0], *row[1 + a : 1 + b]] for row in rows]) for a, b in pairwise(ends)
    ]
    return f'<p class="soft">{note}</p>' + "".join(tables)


def _best_system(report: Report, metric: str) -> str | None:
    """The system with the best mean; None for fewer than two systems with a value."""
    means = {name: mean_of(report.rows, name, metric).mean for name in report.systems if name != NOISY}
    values, better = {name: mean for name, mean in means.items() if math.isfinite(mean)}, METRICS[metric].better
    if len(values) < 2:
        return None
    return min(values, key=lambda name: -better * values[name] if better else abs(values[name]))


def _few_recordings(report: Report) -> str:
    if len(report.of(NOISY)) >= MIN_RECORDINGS:
        return ""
    return f" (a hint only: fewer than about {MIN_RECORDINGS} recordings make it too narrow)"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls on narrow screens."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="table">{html_table(head, rows)}</div>'


def _figures(charts: Sequence[str], caption: str) -> str:
    figures = "".join(f"<figure>{chart}</figure>" for chart in charts)
    return f'<p class="soft">{caption}</p><div class="grid">{figures}</div>'


def _chart_metrics(report: Report) -> list[str]:
    return [metric for metric in CHART_METRICS if metric in report.metrics][:4] or list(report.metrics[:4])


def _chart_title(metric: str) -> str:
    """The metric's title; higher is better unless the title says otherwise."""
    return METRICS[metric].title + (" (lower is better)" if METRICS[metric].better < 0 else "")


def _differences(report: Report) -> str:
    reference = baseline(report)
    if reference == NOISY:
        return ""
    pictures = []
    for metric in _chart_metrics(report):
        rows = {
            name: (number, paired_difference(report.of(name), report.of(reference), metric))
            for number, name in enumerate(report.systems) if name != reference
        }  # fmt: skip
        title = f"{_chart_title(metric)}, less that of {reference}"
        pictures.append(charts.difference_chart(rows, title, METRICS[metric].decimals))
    return _figures(
        pictures,
        f"Mean difference to {escape(reference)}, recording by recording, with its 95 % interval. A difference is "
        f"significant if its interval does not reach the dashed line{_few_recordings(report)}.",
    )


def _spread(report: Report) -> str:
    pictures = []
    for metric in _chart_metrics(report):
        values = {name: [row.scores[metric] for row in report.of(name)] for name in report.systems}
        means = {name: mean_of(report.rows, name, metric) for name in report.systems}
        pictures.append(charts.box_chart(values, means, _chart_title(metric), METRICS[metric].decimals))
    return _figures(pictures, "A dot is a recording, the box holds the middle half of them, the marker is the mean.")


def _groups(report: Report) -> list[tuple[str, str, str]]:
    """A section for each manifest column: curves for numbers, rows of markers for names."""
    items = "".join(f"<li>{charts.legend_marker(n)}{escape(name)}</li>" for n, name in enumerate(report.systems))
    sections = []
    for column, heading in GROUPS.items():
        groups = shown_groups(report, column)
        if not groups:
            continue
        curves = all(map(is_numeric, groups)) and len(groups) <= MAX_LINE_GROUPS
        counts = {value: count_recordings(rows) for value, rows in groups.items()}
        pictures = []
        for metric in _chart_metrics(report):
            means = {
                value: {name: mean_of(rows, name, metric) for name in report.systems} for value, rows in groups.items()
            }
            options = (means, _chart_title(metric), heading, METRICS[metric].decimals)
            pictures.append(charts.line_chart(*options) if curves else charts.dot_chart(*options, counts))
        caption = "Means with their 95 % intervals." if curves else "Means; in brackets the number of recordings."
        sections.append((column, f"By {heading}", f'<ul class="legend">{items}</ul>{_figures(pictures, caption)}'))
    return sections


def _cost(report: Report) -> str:
    metric = ranking_metric(report)
    points = {
        name: (number, cost, mean)
        for number, name in enumerate(report.systems)
        if (cost := median_cost_us(report, name)) > 0 and (mean := mean_of(report.rows, name, metric)).n
    }
    if not points:
        return ""
    chart = charts.cost_chart(points, _chart_title(metric), mean_of(report.rows, NOISY, metric))
    rows = [[name, f"{cost:,.0f}", f"{16_000 / cost:,.0f}"] for name, (_, cost, _) in points.items()]
    note = (
        "Processor time of one core, including resampling and the start of programs; median over recordings. "
        f"16,000 µs is real time. {DIRECTION[METRICS[metric].better]} is better, further left is cheaper."
    )
    return _figures([chart], note) + _table(["system", "µs per 16 ms", "x real time"], rows)


def _listen(report: Report, clips: Sequence[Clip]) -> str:
    if not clips:
        return ""
    metric = ranking_metric(report)
    intro = (
        f"The recordings on which {escape(baseline(report))} has its best, median and worst {METRICS[metric].title}; "
        "spectrograms of one recording share one scale of 80 dB. If another version is started during playback, it "
        "continues at the same position."
    )
    return f"<p>{intro}</p>" + "".join(_clip(report, clip, metric) for clip in clips)


def _clip(report: Report, clip: Clip, metric: str) -> str:
    metadata = clip.pair.metadata
    cut = f"the first {MAX_CLIP_S:g} s of {clip.duration_s:.1f}"
    duration = cut if clip.duration_s > MAX_CLIP_S else f"{clip.duration_s:.1f} s"
    groups = "; ".join(f"{GROUPS[column]} {metadata[column]}" for column in GROUPS if metadata.get(column))
    about = escape(f"{groups}, {duration}" if groups else duration)
    text = f'<p class="soft">“{escape(metadata["text"])}”</p>' if metadata.get("text") else ""
    head = f'<h3>{clip.rank.capitalize()}: {escape(clip.pair.id)} <span class="soft">({about})</span></h3>'
    versions = "".join(_version(report, clip, version, metric) for version in clip.versions)
    return f'{head}{text}<div class="grid versions">{versions}</div>'


def _version(report: Report, clip: Clip, version: ClipVersion, metric: str) -> str:
    value = next((row.scores[metric] for row in report.of(version.name) if row.pair == clip.pair), math.nan)
    score = f"{METRICS[metric].title} {value:.{METRICS[metric].decimals}f}" if math.isfinite(value) else ""
    label = escape(f"{version.name}, {clip.rank} recording {clip.pair.id}")
    parts = [f"<figcaption><b>{escape(version.name)}</b><span>{score}</span></figcaption>"]
    if version.image_uri:
        parts.append(
            f'<img src="{version.image_uri}" alt="Spectrogram: {label}"><div class="axis"><span>0 s</span><span>up to '
            f"{clip.rate / 2000:g} kHz</span><span>{min(clip.duration_s, MAX_CLIP_S):.1f} s</span></div>"
        )
    if version.audio_uri:
        parts.append(f'<audio controls preload="metadata" src="{version.audio_uri}" aria-label="{label}"></audio>')
    if version.missing:
        parts.append(f'<p class="soft">{escape(version.missing)}</p>')
    return f'<figure class="version">{"".join(parts)}</figure>'


def _problems(report: Report) -> str:
    return "".join(
        f'<details open><summary>{escape(title)} {len(lines)}</summary><ul class="plain">'
        f"{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></details>"
        for title, lines in list_problems(report)
    )


def _method(report: Report, settings: dict[str, Any]) -> str:
    terms = {METRICS[metric].title: METRICS[metric].about for metric in report.metrics}
    if settings.get("recogniser"):
        terms["recogniser"] = str(settings["recogniser"])
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items() if version)
    terms |= {"intervals": INTERVAL, "versions": versions}
    return f"<dl>{''.join(f'<dt>{escape(term)}</dt><dd>{escape(text)}</dd>' for term, text in terms.items())}</dl>"
