"""The page: one file that holds all it shows, and asks no network for anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any

from unhiss import __version__
from unhiss.score.cache import versions
from unhiss.score.metrics import METRICS
from unhiss.score.page import charts
from unhiss.score.page.clips import LONGEST_S, Clip, headline, scores_of
from unhiss.score.report import NOISY, Report
from unhiss.score.statistics import GROUPS, INTERVAL, Mean, average, baseline, cost_us, difference, grouped
from unhiss.score.tables import plain, problems

DRAWN = ("pesq_wb", "ovrl", "si_sdr_db", "estoi", "wer", "p808")  # charts of at most four of these
UP = {1: "Further up", -1: "Further down", 0: "Nearer to 0"}  # what is better, by Metric.better
ENOUGH = 10  # recordings for an interval to mean what it says
MOST_LINES = 8  # groups of numbers up to so many make curves
# Nothing may be loaded from anywhere: a browser that obeys this proves that the page is whole.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"


def page(report: Report, clips: Sequence[Clip], settings: dict[str, Any]) -> str:
    """The report as HTML: tables, charts, and the clips to look at and listen to."""
    names = ", ".join(name for name in report.systems if name != NOISY) or NOISY
    count = len(report.of(NOISY))
    sections = [
        ("summary", "Summary", _summary(report)), ("differences", f"Against {baseline(report)}", _against(report)),
        ("spread", "Recording by recording", _spread(report)), *_by_group(report),
        ("cost", "Quality and cost", _cost(report)), ("listen", "Look and listen", _listen(report, clips)),
        ("problems", "What could not be scored", _problems(report)),
        ("how", "How this was measured", _how(report, settings)),
    ]  # fmt: skip
    shown = [(anchor, title, body) for anchor, title, body in sections if body]
    menu = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _ in shown)
    body = "".join(f'<section id="{anchor}"><h2>{escape(title)}</h2>{text}</section>' for anchor, title, text in shown)
    here = files("unhiss.score.page")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(names)}: denoisers compared</title>"
        f"<style>{(here / 'style.css').read_text(encoding='utf-8')}</style></head><body>"
        f'<header><h1>Denoisers compared</h1><p class="lead">{escape(names)} on {count} recordings'
        f"{_where(settings)}.</p><nav>{menu}</nav></header><main>{body}</main>"
        f"<footer><p>Made by unhiss {__version__}, {datetime.now(UTC):%Y-%m-%d}.</p></footer>"
        f"<script>{(here / 'player.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def _where(settings: dict[str, Any]) -> str:
    where = settings.get("pairs") or settings.get("noisy")
    return f" of {escape(str(where))}" if where else ""


def _legend(report: Report) -> str:
    items = "".join(f"<li>{charts.mark(n)}{escape(name)}</li>" for n, name in enumerate(report.systems))
    return f'<ul class="legend">{items}</ul>'


def _mean(report: Report, system: str, metric: str) -> Mean:
    return average(row.scores[metric] for row in report.of(system))


def _summary(report: Report) -> str:
    rows = []
    for system in report.systems:
        cells = []
        for metric in report.metrics:
            mean = _mean(report, system, metric)
            ends = (
                f"<small>{plain_end(mean.low, metric)} to {plain_end(mean.high, metric)}</small>" if mean.n > 1 else ""
            )
            best = ' class="best"' if system == _best(report, metric) else ""
            cells.append(f"<td{best}>{plain(mean, METRICS[metric].places)}{ends}</td>")
        own, cost = report.of(system), cost_us(report, system)
        lost = sum(bool(row.failure) for row in own)
        cells.append(f"<td>{len(own) - lost}{f'<small>{lost} failed</small>' if lost else ''}</td>")
        cells.append(f"<td>{f'{cost:,.0f}' if math.isfinite(cost) else '–'}</td>")
        rows.append([escape(system), *cells])
    heads = [*(METRICS[metric].title for metric in report.metrics), "scored", "µs per 16 ms"]
    note = (
        f"Means, and the interval in which they lie with 95 % certainty{_few(report)}. Green: the best mean of a "
        "column (of the systems alone; others may be within its interval: see the differences)."
    )
    return f'<p class="soft">{note}</p>' + _table("system", heads, rows)


def _title(metric: str) -> str:
    """A metric's name over a chart; most are better when higher, and those that are not say so."""
    return METRICS[metric].title + (" (lower is better)" if METRICS[metric].better < 0 else "")


def _few(report: Report) -> str:
    """What to think of intervals over so few recordings that they come out too narrow."""
    count = len(report.of(NOISY))
    return "" if count >= ENOUGH else f" (a hint only: fewer than about {ENOUGH} recordings make it too narrow)"


def plain_end(value: float, metric: str) -> str:
    """An end of an interval, for people."""
    return f"{value:z.{METRICS[metric].places}f}"


def _best(report: Report, metric: str) -> str | None:
    """The system with the best mean; None where there is only one, or nothing is better than anything."""
    means = {name: _mean(report, name, metric).mean for name in report.systems if name != NOISY}
    known = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    better = METRICS[metric].better
    if len(known) < 2:
        return None
    return min(known, key=lambda name: -better * known[name] if better else abs(known[name]))


def _table(first: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of a name and ready cells; it scrolls by itself where the screen is narrow."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in (first, *heads))
    body = "".join(f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>' for name, *cells in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _drawn(report: Report) -> list[str]:
    return [metric for metric in DRAWN if metric in report.metrics][:4] or list(report.metrics[:4])


def _grid(pictures: Sequence[str], caption: str) -> str:
    figures = "".join(f"<figure>{picture}</figure>" for picture in pictures)
    return f'<p class="soft">{caption}</p><div class="grid">{figures}</div>'


def _against(report: Report) -> str:
    first = baseline(report)
    if first == NOISY:
        return ""
    pictures = []
    for metric in _drawn(report):
        rows = {
            name: (number, difference(report.of(name), report.of(first), metric))
            for number, name in enumerate(report.systems) if name != first
        }  # fmt: skip
        pictures.append(charts.forest(rows, f"{_title(metric)}, less that of {first}", METRICS[metric].places))
    return _grid(
        pictures,
        f"Mean difference to {escape(first)}, recording by recording, with its 95 % interval. Where the interval "
        "does not reach the dashed line, the difference is no accident of these recordings" + _few(report) + ".",
    )


def _spread(report: Report) -> str:
    pictures = []
    for metric in _drawn(report):
        values = {name: [row.scores[metric] for row in report.of(name)] for name in report.systems}
        means = {name: _mean(report, name, metric) for name in report.systems}
        pictures.append(charts.spread(values, means, _title(metric), METRICS[metric].places))
    return _grid(pictures, "A dot is a recording, the box holds the middle half of them, the mark is the mean.")


def _by_group(report: Report) -> list[tuple[str, str, str]]:
    """A section for each column of the manifest: curves over numbers, rows of marks for names."""
    made = []
    for column, heading in GROUPS.items():
        found = grouped(report, column)
        if len(found) < 2:
            continue
        numeric = all(value.lstrip("-").replace(".", "", 1).isdigit() for value in found) and len(found) <= MOST_LINES
        counts = {value: sum(row.system == NOISY for row in rows) for value, rows in found.items()}
        pictures = []
        for metric in _drawn(report):
            means = {
                value: {name: average(r.scores[metric] for r in rows if r.system == name) for name in report.systems}
                for value, rows in found.items()
            }
            title, places = _title(metric), METRICS[metric].places
            drawn = (
                charts.lines(means, title, heading, places) if numeric else charts.dots(means, title, heading, counts)
            )
            pictures.append(drawn)
        what = "Means with their 95 % intervals." if numeric else "Means; in brackets how many recordings."
        made.append((column, f"By {heading}", _legend(report) + _grid(pictures, what)))
    return made


def _cost(report: Report) -> str:
    metric = headline(report)
    points = {
        name: (number, cost, _mean(report, name, metric))
        for number, name in enumerate(report.systems)
        if math.isfinite(cost := cost_us(report, name)) and cost > 0 and _mean(report, name, metric).n
    }
    if not points:
        return ""
    chart = charts.against_cost(points, _title(metric), _mean(report, NOISY, metric))
    rows = [
        [escape(name), f"<td>{cost:,.0f}</td>", f"<td>{16_000 / cost:,.0f}</td>"]
        for name, (_, cost, _) in points.items()
    ]
    note = (
        "Processor time of one core, resampling and (of programs) starting included; median over recordings. "
        f"Real time is used up at 16,000 µs. {UP[METRICS[metric].better]} is better, further left is cheaper."
    )
    return _grid([chart], note) + _table("system", ["µs per 16 ms", "x real time"], rows)


def _listen(report: Report, clips: Sequence[Clip]) -> str:
    if not clips:
        return ""
    metric = headline(report)
    intro = (
        f"The recordings on which {escape(baseline(report))} has its best, median and worst {METRICS[metric].title}; "
        "spectrograms of one recording share one scale of 80 dB. While one version plays, start another: it goes on "
        "from the same place."
    )
    return f"<p>{intro}</p>" + "".join(_clip(report, clip, metric) for clip in clips)


def _clip(report: Report, clip: Clip, metric: str) -> str:
    facts = [f"{GROUPS[column]} {value}" for column in GROUPS if (value := clip.pair.facts.get(column))]
    cut = (
        f", the first {LONGEST_S:g} s of {clip.seconds:.1f}" if clip.seconds > LONGEST_S else f", {clip.seconds:.1f} s"
    )
    about = escape("; ".join(facts) + cut if facts else cut.lstrip(", "))
    sounds = "".join(_sound(report, clip, number, metric) for number in range(len(clip.sounds)))
    words = f'<p class="soft">“{escape(clip.pair.facts["text"])}”</p>' if clip.pair.facts.get("text") else ""
    head = f'<h3>{clip.rank.capitalize()}: {escape(clip.pair.id)} <span class="soft">({about})</span></h3>'
    return f'{head}{words}<div class="grid versions">{sounds}</div>'


def _sound(report: Report, clip: Clip, number: int, metric: str) -> str:
    sound, row = clip.sounds[number], scores_of(report, clip.pair, clip.sounds[number].name)
    score = ""
    if row is not None and math.isfinite(row.scores[metric]):
        score = f"{METRICS[metric].title} {row.scores[metric]:.{METRICS[metric].places}f}"
    label = escape(f"{sound.name}, {clip.rank} recording {clip.pair.id}")
    seconds = min(clip.seconds, LONGEST_S)
    shown = (
        f'<img src="{sound.picture}" alt="Spectrogram: {label}"><div class="axis"><span>0 s</span>'
        f"<span>up to {clip.rate / 2000:g} kHz</span><span>{seconds:.1f} s</span></div>" if sound.picture else ""
    )  # fmt: skip
    player = (
        f'<audio controls preload="metadata" src="{sound.player}" aria-label="{label}"></audio>' if sound.player else ""
    )
    missing = f'<p class="soft">{escape(sound.missing)}</p>' if sound.missing else ""
    caption = f"<figcaption><b>{escape(sound.name)}</b><span>{score}</span></figcaption>"
    return f'<figure class="sound">{caption}{shown}{player}{missing}</figure>'


def _problems(report: Report) -> str:
    parts = []
    for title, lines in problems(report):
        items = "".join(f"<li>{escape(line.removeprefix('- '))}</li>" for line in lines)
        parts.append(
            f'<details open><summary>{escape(title)} {len(lines)}</summary><ul class="plain">{items}</ul></details>'
        )
    return "".join(parts)


def _how(report: Report, settings: dict[str, Any]) -> str:
    metrics = "".join(f"<dt>{escape(METRICS[m].title)}</dt><dd>{escape(METRICS[m].about)}</dd>" for m in report.metrics)
    used = ", ".join(f"{name} {number}" for name, number in versions().items() if number)
    heard = f"<dt>recogniser</dt><dd>{escape(str(settings['recogniser']))}</dd>" if settings.get("recogniser") else ""
    heard += f"<dt>intervals</dt><dd>{escape(INTERVAL)}</dd><dt>versions</dt><dd>{escape(used)}</dd>"
    return f"<dl>{metrics}{heard}</dl>"
