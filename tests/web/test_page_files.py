"""A recording through the page, in a real browser: what comes out, and what is asked of the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium
from PIL import Image
from plain_server import Site

import unhiss
from unhiss.dsp.resampling import resample
from unhiss.media.source import read
from unhiss.media.writer import write
from unhiss.score.metrics import si_sdr

ROOT = Path(__file__).parent.parent.parent
NOISY = ROOT / "examples" / "noisy.wav"
# The figures. Both engines round to the file's own samples; at 44.1 kHz both resample by dsp.polyphase.
SAME_DB, RESAMPLED_DB = 60.0, 40.0
DECODED_DB = 40.0  # the browser's decoder in between


@pytest.fixture
def opened(browser: Chromium, site: Site) -> Chromium:
    browser.open(site.url)
    return browser


def cleaned(browser: Chromium, path: Path) -> Path:
    """The page's own result for a file, saved by its download link."""
    browser.choose("#file", path)
    browser.until("!document.querySelector('#result').hidden || !document.querySelector('#trouble').hidden")
    assert browser.run("document.querySelector('#trouble').textContent") == ""
    name = f"{path.stem}-clean.wav"
    (browser.folder / name).unlink(missing_ok=True)
    return browser.saved("#download", name)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "least_db"),
    [(48000, 1, "PCM_24", SAME_DB), (44100, 1, "PCM_16", RESAMPLED_DB), (16000, 2, "FLOAT", SAME_DB)],
)
def test_a_wav_file_comes_out_as_python_gives_it(
    rate: int, channels: int, subtype: str, least_db: float, opened: Chromium, tmp_path: Path
) -> None:
    noisy = sound(rate, channels)
    write(tmp_path / "talk.wav", noisy, rate, subtype)
    found, found_rate = read(cleaned(opened, tmp_path / "talk.wav"))
    unhiss.denoise_file(tmp_path / "talk.wav", tmp_path / "expected.wav")
    expected, _ = read(tmp_path / "expected.wav")
    assert found_rate == rate and found.shape == expected.shape
    assert np.min(si_sdr(found, expected)) > least_db
    assert np.max(si_sdr(found, np.atleast_2d(noisy).reshape(expected.shape))) < 30  # it did take noise out


def sound(rate: int, channels: int) -> np.ndarray:
    """Two seconds of the sample: what a test can wait for."""
    noisy, own = read(NOISY)
    part = resample(noisy[2 * own : 4 * own], own, rate)
    return part if channels == 1 else np.stack([part, 0.5 * part])


@pytest.fixture
def short(tmp_path: Path) -> Path:
    write(tmp_path / "talk.wav", sound(48000, 1), 48000, "FLOAT")
    return tmp_path / "talk.wav"


def test_other_files_go_through_the_browsers_decoder(opened: Chromium, tmp_path: Path) -> None:
    noisy = sound(48000, 1)
    unhiss.write(tmp_path / "talk.flac", noisy, 48000)
    found, rate = read(cleaned(opened, tmp_path / "talk.flac"))
    assert rate == 48000 and si_sdr(found, unhiss.denoise(noisy, 48000)) > DECODED_DB


def test_the_strength_is_a_mix_of_before_and_after(opened: Chromium, short: Path) -> None:
    opened.choose("#file", short)
    opened.until("!document.querySelector('#result').hidden")
    opened.slide("#strength", 60)
    assert opened.run("document.querySelector('#strength-text').textContent") == "60 %: noise 8 dB down"
    (opened.folder / "talk-clean.wav").unlink(missing_ok=True)
    found, _ = read(opened.saved("#download", "talk-clean.wav"))
    opened.slide("#strength", 100)
    assert si_sdr(found, unhiss.denoise(sound(48000, 1), 48000, mix=0.6)) > SAME_DB


def test_nothing_leaves_the_page_while_a_file_is_processed(opened: Chromium, site: Site, short: Path) -> None:
    """Seen from the browser, for page and worker, and from the server; both would have seen one."""
    assert opened.run("document.querySelector('#promise').innerText").strip() == "Nothing leaves this page"
    here, there = len(opened.requests), len(site.asked)
    cleaned(opened, short)
    opened.click("#play")
    opened.rest(0.5)
    assert [url for url in opened.requests[here:] if not url.startswith("blob:")] == []
    assert site.asked[there:] == []
    assert any(url.endswith(".onnx") for url in opened.requests)
    opened.run("fetch('/there-it-goes').then(() => 0)")
    assert site.asked[there:] == ["/there-it-goes"] and opened.requests[-1].endswith("/there-it-goes")


def test_the_page_forbids_itself_to_speak_with_anyone_else(opened: Chromium) -> None:
    with pytest.raises(RuntimeError, match="Failed to fetch"):
        opened.run("fetch('http://127.0.0.1:9/')")
    assert any("Content Security Policy" in line for line in opened.complaints)
    opened.complaints.clear()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.wav", b"", "no sound that this browser can read"),
        ("text.mp3", b"no sound at all" * 100, "no sound that this browser can read"),
        ("none.wav", None, "holds no sound"),
    ],
)
def test_what_is_no_recording_is_refused_in_a_line(
    name: str, content: bytes | None, words: str, opened: Chromium, tmp_path: Path
) -> None:
    path = tmp_path / name
    unhiss.write(path, np.zeros(0, np.float32), 48000) if content is None else path.write_bytes(content)
    opened.choose("#file", path)
    opened.until("!document.querySelector('#trouble').hidden", 20)
    assert words in opened.run("document.querySelector('#trouble').textContent")
    assert opened.run("!document.querySelector('#drop').hidden && document.querySelector('#progress').hidden")


def test_the_player_goes_on_from_the_same_place_when_the_side_changes(opened: Chromium) -> None:
    cleaned(opened, NOISY)
    opened.run("document.activeElement.blur()")
    opened.press(" ", "Space", " ")
    opened.until("document.querySelector('#time').textContent.startsWith('0:01')", 30)
    opened.press("b", "KeyB", "b")
    assert opened.run("document.querySelector('input[name=side]:checked').value") == "before"
    opened.until("document.querySelector('#time').textContent.startsWith('0:02')", 30)
    assert opened.run("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    opened.press("b", "KeyB", "b")
    opened.press(" ", "Space", " ")
    assert opened.run("document.querySelector('#play').getAttribute('aria-label')") == "Play"


def test_tab_and_arrows_reach_everything(opened: Chromium) -> None:
    seen = []
    opened.run("document.activeElement.blur()")
    for _ in range(3):
        opened.press("Tab", "Tab")
        seen.append(opened.run("document.activeElement.id"))
    assert seen == ["tab-file", "file", "record"]
    opened.run("document.querySelector('#tab-file').focus()")
    opened.press("ArrowRight", "ArrowRight")
    assert opened.run("document.activeElement.id") == "tab-live"
    assert opened.run("!document.querySelector('#panel-live').hidden && document.querySelector('#panel-file').hidden")


@pytest.mark.parametrize(("wide", "dark"), [(1100, False), (1100, True), (390, False)])
def test_the_page_shows_a_result_in_any_light_and_width(
    wide: int, dark: bool, browser: Chromium, site: Site, short: Path, tmp_path: Path
) -> None:
    browser.open(site.url, wide, 900, dark)
    browser.complaints.clear()
    cleaned(browser, short)
    browser.rest(0.3)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    picture = np.asarray(Image.open(browser.shot(tmp_path / "shot.png")).convert("RGB")).astype(int)
    assert (picture[5, 5].mean() < 60) == dark
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000  # two spectrograms, not blank sheets
    assert not browser.complaints
