"""Live audio in the page: its microphone plays a file, and a recording of both sides is compared with Python."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium
from missing_tools import skip_or_fail
from plain_server import Site

import unhiss
from unhiss.media.source import read
from unhiss.score.metrics import si_sdr

SECONDS, LONG_S, TRIES = 5, 60, 3
EQUAL_DB = 40.0  # both sides are saved with 16 bits
# Two results of `small` whose frames start at different positions agree to 17 dB, and its state remembers audio from
# before the recording. That the page computes what Python does is shown with a light model, and in files with `small`.
SMALL_DB = 15.0
SETTLED_S = 3.0  # from the start until denoised audio plays
QUANTUM, STARTS = 128, 60  # samples that a worklet gets at a time; positions in a frame where a recording may start
SEARCH_S = 1.0  # of audio, enough to tell them apart
WAIT_BLOCKS = 100  # of 16 ms: the worker may be 1.6 s late, so that a busy machine gives the same result


def reading(browser: Chromium, name: str) -> float:
    return float(browser.evaluate(f"parseFloat(document.querySelector('#live-{name}').textContent)"))


def record(
    browser: Chromium, url: str, seconds: float, if_busy: Callable[[str], None] = skip_or_fail
) -> tuple[np.ndarray, np.ndarray, int]:
    """Input, output and rate of so many seconds of live audio without under-runs.

    A machine that is too busy, as the page reports, gets TRIES; then `if_busy` is called.
    """
    for _ in range(TRIES):
        start(browser, url)
        browser.wait(seconds)
        if reading(browser, "underruns") == 0 and state(browser) == "Listening":
            break
    else:
        if_busy(f"this machine is too busy for live audio: load {reading(browser, 'load'):.0f} %")
    assert 40 < reading(browser, "latency") < 2500 and reading(browser, "load") > 0
    browser.click("#live")
    browser.wait_for("!document.querySelector('#result').hidden")
    sides = []
    for strength in (0, 100):
        browser.set_slider("#strength", strength)
        (browser.folder / "live-clean.wav").unlink(missing_ok=True)
        sides.append(read(browser.download("#download", "live-clean.wav")))
    return sides[0][0], sides[1][0], sides[0][1]


def start(browser: Chromium, url: str) -> None:
    browser.open(url)
    browser.click("#tab-live")
    browser.click("#keep-recording")
    browser.click("#live")
    browser.wait_for("document.querySelector('#live-load').textContent !== '–'")


def state(browser: Chromium) -> str:
    return str(browser.evaluate("document.querySelector('#live-state').textContent"))


def check(noisy: np.ndarray, out: np.ndarray, rate: int, model: str | Path, equal_db: float = EQUAL_DB) -> None:
    """From SETTLED_S on, the output equals Python's for the same input.

    The frames of the page started before the recording, so Python is tried with every start.
    """
    compared = slice(int(SETTLED_S * rate), len(noisy) - rate // 10)
    assert np.square(noisy[compared]).mean() > 1e-6  # the microphone played
    denoiser = unhiss.Denoiser(model)

    def agreement_db(start: int, span: slice) -> float:
        expected = denoiser(np.pad(noisy[: span.stop], (start, 0)), rate)[start:]
        return float(si_sdr(out[span], expected[span]))

    searched = slice(compared.start, min(compared.start + int(SEARCH_S * rate), compared.stop))
    starts = range(0, STARTS * QUANTUM, QUANTUM)
    # A wrong start may pass in the short span, where the two are alike.
    assert any(all(agreement_db(start, span) > equal_db for span in (searched, compared)) for start in starts)
    assert si_sdr(out[compared], noisy[compared]) < 25


@pytest.fixture(scope="module")
def light(page: Path, causal_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """The page with a model that takes next to no time, so that it keeps up on a busy machine."""
    model, folder = causal_model("leveller"), tmp_path_factory.mktemp("light") / "page"
    shutil.copytree(page, folder)
    (shipped,) = (folder / "assets").glob("small-*.onnx")
    shutil.copy(model, shipped)
    server = Site(folder)
    yield server, model
    server.close()


@pytest.mark.parametrize("rate", [44100, 48000])
def test_the_live_output_equals_python_for_the_same_input(rate: int, browser: Chromium, light: tuple) -> None:
    site, model = light
    noisy, out, result_rate = record(browser, f"{site.url}?rate={rate}&wait={WAIT_BLOCKS}", SECONDS)
    assert result_rate == rate and len(noisy) > (SECONDS - 1) * rate
    check(noisy, out, rate, model)


@pytest.mark.soak
def test_a_minute_without_an_under_run(browser: Chromium, site: Site) -> None:
    noisy, out, rate = record(browser, site.url, LONG_S, if_busy=pytest.fail)
    assert len(out) > (LONG_S - 1) * rate
    check(noisy, out, rate, "small", SMALL_DB)


@pytest.mark.soak
def test_in_a_minute_no_sample_is_lost(browser: Chromium, light: tuple) -> None:
    site, model = light
    noisy, out, rate = record(browser, site.url, LONG_S)
    assert len(out) > (LONG_S - 1) * rate
    check(noisy, out, rate, model)


def test_a_recording_of_the_microphone_is_denoised(browser: Chromium, site: Site) -> None:
    browser.open(site.url)
    browser.click("#record")
    browser.wait_for("document.querySelector('#record .label').textContent === 'Stop and denoise'")
    browser.wait(1.5)
    browser.click("#record")
    browser.wait_for("!document.querySelector('#result').hidden")
    assert browser.evaluate("document.querySelector('#result-name').textContent") == "recording.wav"
    assert "mono" in browser.evaluate("document.querySelector('#result-details').textContent")


def test_without_a_microphone_the_page_reports_it(browser: Chromium, site: Site) -> None:
    browser.open(site.url)
    browser.evaluate(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }, 0"
    )
    browser.click("#tab-live")
    browser.click("#live")
    browser.wait_for("!document.querySelector('#error').hidden")
    assert browser.evaluate("document.querySelector('#error').textContent") == "No microphone found; connect one"
    assert browser.evaluate("document.querySelector('#live .label').textContent") == "Start"
