"""The page, read as text and looked at in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unhiss.score.metrics import METRICS
from unhiss.score.page.charts import WIDTH, Scale, against_cost, mark, scale
from unhiss.score.page.clips import clips, ranked
from unhiss.score.page.html import page
from unhiss.score.pairs import Pair, pairs
from unhiss.score.report import NOISY, Report, evaluate
from unhiss.score.scorer import Row
from unhiss.score.statistics import Mean
from unhiss.score.systems import System

NAMES = ("si_sdr_db", "snr_gain_db", "lag")
WIDE, HIGH = 1100, 2400
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
    "--disable-features=NetworkTimeServiceQuerying",
)  # fmt: skip


@pytest.fixture
def made(folder: Path) -> tuple[Report, str]:
    """A report of two systems, one of which fails on a recording, and its page."""

    def half(audio, rate):
        return audio / 2

    def picky(audio, rate):
        if audio.std() > 0.07:
            raise ValueError("too <loud> & rude")
        return audio * 0.9

    systems = [System(name=f.__name__, load=lambda f=f: f, identity=f.__name__) for f in (half, picky)]
    found = pairs(folder)
    loud = max(pair.load()[0].std() for pair in found)
    systems[1] = System(name="<picky>", load=lambda: lambda a, r: picky(a / loud * 0.0701, r) if r else a, identity="p")
    report = evaluate(systems, found, metrics=NAMES)
    return report, page(report, clips(report, systems, 1), {"pairs": "here & there"})


class Reader(HTMLParser):
    """Every tag with its attributes; and that each is closed in its turn."""

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


def test_the_page_is_well_formed_and_whole_in_itself(made):
    reader = Reader()
    reader.feed(made[1])
    assert not reader.open
    for tag, attributes in reader.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, attributes[name][:60])
    assert "here &amp; there" in made[1] and "<picky>" not in made[1] and "&lt;picky&gt;" in made[1]


def test_every_picture_chart_and_player_has_words(made):
    reader = Reader()
    reader.feed(made[1])
    for tag, attributes in reader.tags:
        if tag == "img":
            assert attributes["alt"]
        if tag == "audio" or (tag == "svg" and "chart" in attributes.get("class", "")):
            assert attributes["aria-label"]
    assert sum(tag == "audio" for tag, _ in reader.tags) >= 6


def test_players_hold_the_recording_and_failures_are_told(made, tmp_path):
    import base64

    from unhiss.media.source import read

    content = re.search(r'<audio[^>]*src="data:audio/ogg;base64,([^"]+)"', made[1])
    assert content
    (tmp_path / "clip.opus").write_bytes(base64.b64decode(content[1]))
    audio, rate = read(tmp_path / "clip.opus")
    assert len(audio) / rate == pytest.approx(4.6, abs=0.01)
    assert np.abs(audio).max() > 0.05
    assert "What could not be scored" in made[1] and "too &lt;loud&gt; &amp; rude" in made[1]


def test_the_table_holds_the_means_of_the_report(made):
    for name in made[0].systems:
        values = [row.scores["si_sdr_db"] for row in made[0].of(name) if not row.failure]
        assert f"<td>{np.mean(values):z.1f}<small>" in made[1] or f'<td class="best">{np.mean(values):z.1f}' in made[1]


def ordered(values: list[float], metric: str) -> Report:
    found = [Row(system=NOISY, pair=p, scores={metric: v}) for p, v in zip(numbered(len(values)), values, strict=True)]
    return Report((NOISY,), tuple(found), (metric,))


def numbered(count: int) -> list:
    from unhiss.score.pairs import Pair

    return [Pair(id=str(number), clean=(), noisy=()) for number in range(count)]


def test_best_median_and_worst_are_those_of_the_headline():
    best = {rank: pair.id for rank, pair in ranked(ordered([3.0, 1.0, float("nan"), 2.0], "pesq_wb")).items()}
    assert best == {"best": "0", "median": "3", "worst": "1"}
    assert METRICS["lsd_high_db"].better < 0  # lower is better: the other way round
    assert ranked(ordered([3.0, 1.0, 2.0], "lsd_high_db"))["best"].id == "1"
    assert {rank: pair.id for rank, pair in ranked(ordered([2.0], "pesq_wb")).items()} == {"best": "0"}
    assert not ranked(ordered([float("nan")], "pesq_wb"))


def test_scales_have_round_ticks_within_their_ends():
    assert Scale(0, 1, 0, 100).ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Scale(-7, 12, 0, 100).ticks == pytest.approx([-5, 0, 5, 10])
    for values in ([2.0], [0.0, 0.0], [float("nan")], [-1e-6, 1e-6], [1e6, 2e6]):
        made = scale(values, 0, 100)
        assert 1 <= len(made.ticks) <= 8 and all(made.low <= tick <= made.high for tick in made.ticks)


def test_names_beside_marks_lie_clear_of_each_other_and_inside_the_chart():
    costs = {"nano": (167, 1.41), "small": (180, 1.41), "unet": (900, 1.4), "the longest name of all": (9000, 1.2)}
    points = {name: (n, cost, Mean(mean, mean, mean, 1)) for n, (name, (cost, mean)) in enumerate(costs.items())}
    drawn = against_cost(points, "PESQ", Mean(1.0, 1.0, 1.0, 1))
    boxes = []
    for name in costs:
        x, y, anchor = re.search(rf'x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">{name}<', drawn).groups()
        wide = 6 * len(name)
        left = float(x) - (wide if anchor == "end" else 0)
        boxes.append((left, left + wide, float(y)))
        assert left >= 0
        assert left + wide <= WIDTH
    for number, (left, right, y) in enumerate(boxes):
        for other in boxes[:number]:
            assert right <= other[0] or other[1] <= left or abs(y - other[2]) >= 11


def test_every_mark_has_a_colour_of_the_style_and_no_two_of_forty_are_the_same():
    style = (files("unhiss.score.page") / "style.css").read_text(encoding="utf-8")
    marks = [mark(number) for number in range(40)]
    assert len(set(marks)) == 40
    assert all(f".{tone} {{ --c:" in style for one in marks for tone in re.findall(r"\bs\d+", one))


def test_intervals_over_few_recordings_are_called_a_hint(made):
    assert "a hint only" in made[1]  # of three recordings
    rows = [Row(system=NOISY, pair=Pair(id=str(n), clean=(), noisy=()), scores={"lag": 0.0}) for n in range(10)]
    assert "a hint only" not in page(Report((NOISY,), tuple(rows), ("lag",)), [], {})


def test_charts_say_where_lower_is_better():
    pair = Pair(id="1", clean=(), noisy=())
    rows = [Row(system=name, pair=pair, scores={"wer": 50.0, "stoi": 0.5}, cost_us=9.0) for name in (NOISY, "a")]
    for metric, says, up in (("wer", "WER % (lower is better)", "Further down"), ("stoi", "STOI<", "Further up")):
        text = page(Report((NOISY, "a"), tuple(rows), (metric,)), [], {})
        assert says in text and f"{up} is better" in text


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        line = "no chromium to look at the page with; apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(line)
        pytest.skip(line)
    return found


def look(page: Path, chromium: str, wide: int = WIDE) -> tuple[list[str], set[str]]:
    """Takes shot.png of a page beside it: what the console complained of, and what the network was asked for."""
    folder = page.parent
    done = subprocess.run(
        [chromium, *FLAGS, f"--user-data-dir={folder / 'home'}", f"--log-net-log={folder / 'net.json'}",
         f"--window-size={wide},{HIGH}", f"--screenshot={folder / 'shot.png'}", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Only what pages ask for: the browser itself calls home about clock, updates and dictionaries, at its leisure.
    events = re.findall(
        r'"priority":"([A-Z]+)"[^}]*?"url":"([^"]+)"', (folder / "net.json").read_text(errors="replace")
    )
    asked = {url for priority, url in events if priority != "IDLE"}
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], asked


def test_the_browser_would_tell_of_a_wish_for_the_network_and_of_a_fault(tmp_path, chromium):
    (tmp_path / "open.html").write_text('<img src="http://127.0.0.1:9/x.png"><script>no.such()</script>')
    complaints, asked = look(tmp_path / "open.html", chromium)
    assert any("no is not defined" in line for line in complaints) and "http://127.0.0.1:9/x.png" in asked


@pytest.mark.parametrize("wide", [WIDE, 500])
def test_a_browser_shows_the_page_without_any_network_and_without_complaint(made, tmp_path, chromium, wide):
    """The page also forbids itself to load anything, so that a wish to would be a complaint."""
    (tmp_path / "report.html").write_text(made[1], encoding="utf-8")
    complaints, asked = look(tmp_path / "report.html", chromium, wide)
    assert not complaints
    assert not {url for url in asked if not url.startswith(("file:", "data:", "chrome:"))}
    picture = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    assert picture.shape == (HIGH, wide, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 200  # text, charts and spectrograms, not one blank sheet
    inked = (picture != picture[0, 0]).any(axis=-1).any(axis=1)
    assert inked[: HIGH // 2].mean() > 0.3
