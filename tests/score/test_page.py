"""The report page, parsed as HTML and rendered by a real browser."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium
from PIL import Image

from unhiss.score.page.charts import WIDTH, Scale, cost_chart, legend_marker
from unhiss.score.page.clips import make_clips, rank_recordings
from unhiss.score.page.html import render_page
from unhiss.score.pairs import Pair, find_pairs
from unhiss.score.registry import DEFAULT, METRICS
from unhiss.score.report import NOISY, Report, evaluate
from unhiss.score.scorer import ScoreRow
from unhiss.score.statistics import Mean
from unhiss.score.systems import System

NAMES = ("si_sdr_db", "snr_gain_db", "lag")
HEIGHT = 2400


@pytest.fixture(scope="module")
def rendered(synthetic_pairs: Path) -> tuple[Report, str]:
    """A report of two systems, one of which fails on a recording, and its page."""

    pairs = find_pairs(synthetic_pairs)
    loudest = max(pair.load()[0].std() for pair in pairs)

    def half(audio, rate):
        return audio / 2

    def quiet_only(audio, rate):
        if audio.std() > 0.99 * loudest:
            raise ValueError("too <loud> & rude")
        return audio * 0.9

    systems = [
        System(name="half", load=lambda: half, identity="half"),
        System(name="<quiet only>", load=lambda: quiet_only, identity="quiet"),
    ]
    report = evaluate(systems, pairs, metrics=NAMES)
    return report, render_page(report, make_clips(report, systems, 1), {"pairs": "here & there"})


class Reader(HTMLParser):
    """Collects all tags with their attributes, and checks that they are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_refers_to_no_other_file(rendered):
    reader = Reader()
    reader.feed(rendered[1])
    assert not reader.open
    for tag, attributes in reader.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, attributes[name][:60])
    assert "here &amp; there" in rendered[1] and "<quiet" not in rendered[1] and "&lt;quiet only&gt;" in rendered[1]


def test_every_picture_chart_and_player_has_a_text_alternative(rendered):
    reader = Reader()
    reader.feed(rendered[1])
    for tag, attributes in reader.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "audio" or (tag == "svg" and "chart" in attributes.get("class", "")):
            assert attributes["aria-label"]
    assert sum(tag == "audio" for tag, _ in reader.tags) >= 6


def test_players_contain_the_recording_and_failures_are_listed(rendered, tmp_path):
    from unhiss.media.source import read

    content = re.search(r'<audio[^>]*src="data:audio/ogg;base64,([^"]+)"', rendered[1])
    assert content
    (tmp_path / "clip.opus").write_bytes(base64.b64decode(content[1]))
    audio, rate = read(tmp_path / "clip.opus")
    assert len(audio) / rate == pytest.approx(4.6, abs=0.01)
    assert np.abs(audio).max() > 0.05
    assert "What could not be scored" in rendered[1] and "too &lt;loud&gt; &amp; rude" in rendered[1]


def test_the_table_holds_the_means_of_the_report(rendered):
    for name in rendered[0].systems:
        values = [row.scores["si_sdr_db"] for row in rendered[0].of(name) if not row.failure]
        assert (
            f">{np.mean(values):z.1f}<small>" in rendered[1] or f'<b class="best">{np.mean(values):z.1f}' in rendered[1]
        )


def report_of(values: list[float], metric: str) -> Report:
    pairs = [Pair(id=str(number), clean=(), noisy=()) for number in range(len(values))]
    rows = [ScoreRow(system=NOISY, pair=p, scores={metric: v}) for p, v in zip(pairs, values, strict=True)]
    return Report((NOISY,), tuple(rows), (metric,))


def test_recordings_are_ranked_by_the_first_available_metric():
    ranked = rank_recordings(report_of([3.0, 1.0, float("nan"), 2.0], "pesq_wb"))
    assert {rank: pair.id for rank, pair in ranked.items()} == {"best": "0", "median": "3", "worst": "1"}
    assert METRICS["lsd_high_db"].better < 0  # lower is better: the other way round
    assert rank_recordings(report_of([3.0, 1.0, 2.0], "lsd_high_db"))["best"].id == "1"
    assert {rank: pair.id for rank, pair in rank_recordings(report_of([2.0], "pesq_wb")).items()} == {"best": "0"}
    assert not rank_recordings(report_of([float("nan")], "pesq_wb"))


def test_scales_have_round_ticks_within_their_ends():
    assert Scale(0, 1, 0, 100).ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Scale(-7, 12, 0, 100).ticks == pytest.approx([-5, 0, 5, 10])
    for values in ([2.0], [0.0, 0.0], [float("nan")], [-1e-6, 1e-6], [1e6, 2e6]):
        scale = Scale.around(values, 0, 100)
        assert 1 <= len(scale.ticks) <= 8 and all(scale.low <= tick <= scale.high for tick in scale.ticks)


def test_labels_beside_markers_do_not_overlap_and_are_inside_the_chart():
    costs = {"nano": (167, 1.41), "small": (180, 1.41), "unet": (900, 1.4), "the longest name of all": (9000, 1.2)}
    points = {name: (n, cost, Mean(mean, mean, mean, 1)) for n, (name, (cost, mean)) in enumerate(costs.items())}
    drawn = cost_chart(points, "PESQ", Mean(1.0, 1.0, 1.0, 1))
    boxes = []
    for name in costs:
        label = re.search(rf'x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">{name}<', drawn)
        assert label
        x, y, anchor = label.groups()
        wide = 6 * len(name)
        left = float(x) - (wide if anchor == "end" else 0)
        boxes.append((left, left + wide, float(y)))
        assert left >= 0
        assert left + wide <= WIDTH
    for number, (left, right, y) in enumerate(boxes):
        for other in boxes[:number]:
            assert right <= other[0] or other[1] <= left or abs(y - other[2]) >= 11


def test_every_marker_has_a_colour_of_the_style_sheet_and_forty_markers_differ():
    style = (files("unhiss.score.page") / "style.css").read_text(encoding="utf-8")
    markers = [legend_marker(number) for number in range(40)]
    assert len(set(markers)) == 40
    assert all(f".{colour} {{ --c:" in style for marker in markers for colour in re.findall(r"\bs\d+", marker))


def test_intervals_over_few_recordings_are_called_a_hint(rendered):
    assert "a hint only" in rendered[1]  # of three recordings
    rows = [ScoreRow(system=NOISY, pair=Pair(id=str(n), clean=(), noisy=()), scores={"lag": 0.0}) for n in range(10)]
    assert "a hint only" not in render_page(Report((NOISY,), tuple(rows), ("lag",)), [], {})


def test_charts_say_where_lower_is_better():
    pair = Pair(id="1", clean=(), noisy=())
    rows = [ScoreRow(system=name, pair=pair, scores={"wer": 50.0, "stoi": 0.5}, cost_us=9.0) for name in (NOISY, "a")]
    for metric, says, up in (("wer", "WER % (lower is better)", "Further down"), ("stoi", "STOI<", "Further up")):
        text = render_page(Report((NOISY, "a"), tuple(rows), (metric,)), [], {})
        assert says in text and f"{up} is better" in text


def open_page(browser: Chromium, path: Path, width: int = 1100) -> None:
    """Load a page in the browser, which then holds its requests and its errors only."""
    browser.requests.clear()
    browser.errors.clear()
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=HEIGHT, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait_for(f"location.href === {path.as_uri()!r} && document.readyState === 'complete'")


def test_the_browser_reports_network_requests_and_errors(tmp_path: Path, browser: Chromium) -> None:
    (tmp_path / "open.html").write_text('<img src="http://127.0.0.1:9/x.png"><script>no.such()</script>')
    open_page(browser, tmp_path / "open.html")
    assert any("no is not defined" in line for line in browser.errors)
    assert "http://127.0.0.1:9/x.png" in browser.requests


@pytest.mark.parametrize("width", [1100, 500])
def test_a_browser_shows_the_page_without_network_requests_or_errors(rendered, tmp_path, browser, width):
    """The page also forbids itself to load anything, so that an attempt would be an error."""
    (tmp_path / "report.html").write_text(rendered[1], encoding="utf-8")
    open_page(browser, tmp_path / "report.html", width)
    assert not browser.errors
    assert not {url for url in browser.requests if not url.startswith(("file:", "data:", "chrome:"))}
    screenshot = base64.b64decode(browser.call("Page.captureScreenshot")["data"])
    picture = np.asarray(Image.open(io.BytesIO(screenshot)).convert("RGB"))
    assert picture.shape == (HEIGHT, width, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 200  # text, charts and spectrograms, not a blank sheet
    inked = (picture != picture[0, 0]).any(axis=-1).any(axis=1)
    assert inked[: HEIGHT // 2].mean() > 0.3


@pytest.mark.parametrize("metrics", [DEFAULT, tuple(METRICS)], ids=["default", "all"])
def test_no_table_is_cut_at_1280_pixels(
    tmp_path: Path, browser: Chromium, rng: np.random.Generator, metrics: tuple[str, ...]
) -> None:
    """With values as wide as they get, many systems, and the path of a model as a name."""
    names = (NOISY, "small", "exports/2026-11-27/the-long-training/with-a-cosine/best-of-all.onnx", "noisereduce")
    pairs = [Pair(id=f"{n}", clean=(), noisy=(), metadata={"snr_db": f"{n % 3 * 5}"}) for n in range(12)]
    rows = [
        ScoreRow(system=name, pair=pair, scores={m: rng.uniform(-99, -10) for m in metrics}, cost_us=12345.0)
        for name in names for pair in pairs
    ]  # fmt: skip
    (tmp_path / "wide.html").write_text(render_page(Report(names, tuple(rows), metrics), [], {}), encoding="utf-8")
    open_page(browser, tmp_path / "wide.html", 1280)
    widths = "[...document.querySelectorAll('.scroll')].map(table => [table.scrollWidth, table.clientWidth])"
    measured = browser.evaluate(widths)
    assert len(measured) >= 2 and all(content <= shown for content, shown in measured), measured
    assert browser.evaluate("document.documentElement.scrollWidth") <= 1280
    shown = browser.evaluate("[...document.querySelectorAll('#summary th[scope=col]')].map(cell => cell.textContent)")
    titles = [title for title in shown if title != "system"]
    assert titles == [*(METRICS[name].title for name in metrics), "scored", "µs per 16 ms"]
