"""A recording denoised by the page in a browser: the result, and the requests to the network."""

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
# Both engines round to the sample format of the file; at 44.1 kHz both resample by dsp.polyphase.
EQUAL_DB, RESAMPLED_DB = 60.0, 40.0
DECODED_DB = 40.0  # the browser's decoder is in between


@pytest.fixture
def opened(browser: Chromium, site: Site) -> Chromium:
    """The page without a recording; loaded only if the test before has left it."""
    if browser.evaluate("location.href") != site.url or browser.evaluate(
        "document.querySelector('#panel-file').hidden"
    ):
        browser.open(site.url)
    browser.click("#another")
    browser.evaluate(
        "document.querySelector('#error').hidden = true, document.querySelector('#error').textContent = ''"
    )
    browser.set_slider("#strength", 100)
    browser.errors.clear()
    return browser


def denoised(browser: Chromium, path: Path) -> Path:
    """The result of the page for a file, by its download link."""
    browser.set_file("#file", path)
    browser.wait_for("!document.querySelector('#result').hidden || !document.querySelector('#error').hidden")
    assert browser.evaluate("document.querySelector('#error').textContent") == ""
    name = f"{path.stem}-clean.wav"
    (browser.folder / name).unlink(missing_ok=True)
    return browser.download("#download", name)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "min_db"),
    [(48000, 1, "PCM_24", EQUAL_DB), (44100, 1, "PCM_16", RESAMPLED_DB), (16000, 2, "FLOAT", EQUAL_DB)],
)
def test_the_result_of_a_wav_file_equals_python(
    rate: int, channels: int, subtype: str, min_db: float, opened: Chromium, tmp_path: Path
) -> None:
    noisy = audio(rate, channels)
    write(tmp_path / "talk.wav", noisy, rate, subtype)
    result, result_rate = read(denoised(opened, tmp_path / "talk.wav"))
    unhiss.denoise_file(tmp_path / "talk.wav", tmp_path / "expected.wav")
    expected, _ = read(tmp_path / "expected.wav")
    assert result_rate == rate and result.shape == expected.shape
    assert np.min(si_sdr(result, expected)) > min_db
    assert np.max(si_sdr(result, np.atleast_2d(noisy).reshape(expected.shape))) < 30  # noise was removed


def audio(rate: int, channels: int) -> np.ndarray:
    """Two seconds of the sample."""
    noisy, noisy_rate = read(NOISY)
    part = resample(noisy[2 * noisy_rate : 4 * noisy_rate], noisy_rate, rate)
    return part if channels == 1 else np.stack([part, 0.5 * part])


@pytest.fixture
def short(tmp_path: Path) -> Path:
    write(tmp_path / "talk.wav", audio(48000, 1), 48000, "FLOAT")
    return tmp_path / "talk.wav"


def test_other_files_are_decoded_by_the_browser(opened: Chromium, tmp_path: Path) -> None:
    noisy = audio(48000, 1)
    unhiss.write(tmp_path / "talk.flac", noisy, 48000)
    result, rate = read(denoised(opened, tmp_path / "talk.flac"))
    assert rate == 48000 and si_sdr(result, unhiss.denoise(noisy, 48000)) > DECODED_DB


def test_the_strength_is_a_mix_of_before_and_after(opened: Chromium, short: Path) -> None:
    opened.set_file("#file", short)
    opened.wait_for("!document.querySelector('#result').hidden")
    opened.set_slider("#strength", 60)
    assert opened.evaluate("document.querySelector('#strength-text').textContent") == "60 %: noise 8 dB down"
    (opened.folder / "talk-clean.wav").unlink(missing_ok=True)
    result, _ = read(opened.download("#download", "talk-clean.wav"))
    assert si_sdr(result, unhiss.denoise(audio(48000, 1), 48000, mix=0.6)) > EQUAL_DB


def test_no_request_is_made_while_a_file_is_processed(opened: Chromium, site: Site, short: Path) -> None:
    """As the browser reports for page and worker, and as the web server does; both would notice one."""
    assert opened.evaluate("document.querySelector('#privacy').innerText").strip() == "Audio stays in this browser"
    in_browser, at_server = len(opened.requests), len(site.requests)
    denoised(opened, short)
    opened.click("#play")
    opened.wait(0.5)
    assert [url for url in opened.requests[in_browser:] if not url.startswith("blob:")] == []
    assert site.requests[at_server:] == []
    assert any(url.endswith(".onnx") for url in opened.requests)
    opened.evaluate("fetch('/a-request').then(() => 0)")
    assert site.requests[at_server:] == ["/a-request"] and opened.requests[-1].endswith("/a-request")


def test_the_content_security_policy_forbids_other_origins(opened: Chromium) -> None:
    with pytest.raises(RuntimeError, match="Failed to fetch"):
        opened.evaluate("fetch('http://127.0.0.1:9/')")
    assert any("Content Security Policy" in line for line in opened.errors)
    opened.errors.clear()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", "no audio that this browser can read"),
        ("text.mp3", b"not audio at all" * 100, "no audio that this browser can read"),
        ("none.wav", None, "contains no audio"),
    ],
)
def test_a_file_without_audio_is_rejected_in_a_line(
    name: str, content: bytes | None, message: str, opened: Chromium, tmp_path: Path
) -> None:
    path = tmp_path / name
    unhiss.write(path, np.zeros(0, np.float32), 48000) if content is None else path.write_bytes(content)
    opened.set_file("#file", path)
    opened.wait_for("!document.querySelector('#error').hidden")
    assert message in opened.evaluate("document.querySelector('#error').textContent")
    assert opened.evaluate("!document.querySelector('#drop').hidden && document.querySelector('#progress').hidden")


def test_the_player_continues_at_the_same_position_when_the_side_changes(opened: Chromium) -> None:
    denoised(opened, NOISY)
    opened.evaluate("document.activeElement.blur()")
    opened.press(" ", "Space", " ")
    opened.wait_for("document.querySelector('#time').textContent.startsWith('0:01')")
    opened.press("b", "KeyB", "b")
    assert opened.evaluate("document.querySelector('input[name=side]:checked').value") == "before"
    opened.wait_for("document.querySelector('#time').textContent.startsWith('0:02')")
    assert opened.evaluate("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    opened.press("b", "KeyB", "b")
    opened.press(" ", "Space", " ")
    assert opened.evaluate("document.querySelector('#play').getAttribute('aria-label')") == "Play"


def test_tab_and_arrow_keys_reach_every_control(browser: Chromium, site: Site) -> None:
    browser.open(site.url)
    opened, seen = browser, []
    opened.evaluate("document.activeElement.blur()")
    for _ in range(3):
        opened.press("Tab", "Tab")
        seen.append(opened.evaluate("document.activeElement.id"))
    assert seen == ["tab-file", "file", "record"]
    opened.evaluate("document.querySelector('#tab-file').focus()")
    opened.press("ArrowRight", "ArrowRight")
    assert opened.evaluate("document.activeElement.id") == "tab-live"
    assert opened.evaluate(
        "!document.querySelector('#panel-live').hidden && document.querySelector('#panel-file').hidden"
    )


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (390, False)])
def test_the_page_shows_a_result_in_light_and_dark_and_any_width(
    width: int, dark: bool, browser: Chromium, site: Site, short: Path, tmp_path: Path
) -> None:
    browser.open(site.url, width, 900, dark)
    browser.errors.clear()
    denoised(browser, short)
    browser.wait(0.3)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pixels = np.asarray(Image.open(browser.screenshot(tmp_path / "shot.png")).convert("RGB")).astype(int)
    assert (pixels[5, 5].mean() < 60) == dark
    assert len(np.unique(pixels @ (65536, 256, 1))) > 1000  # two spectrograms, not blank canvases
    assert not browser.errors
