"""Live sound through the page: a microphone that plays a file, and what the page made of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium
from plain_server import Site, lacking

import unhiss
from unhiss.media.source import read
from unhiss.score.metrics import si_sdr

SECONDS, LONG_S, TRIES = 4, 60, 3
# The page keeps 16 bits of both sides, and they are a model's noise floor apart.
SAME_DB = 40.0
# `small` gives itself back to 17 dB when its frames begin elsewhere in the sound, and remembers what it heard before a
# recording began. That the page's arithmetic is Python's is shown with a light model, and in files with `small`.
SMALL_DB = 15.0
FADED_S = 2.0  # from the start until cleaned sound plays
QUANTUM, STARTS = 128, 60  # samples that a worklet gets at a time; places in its frames where a recording may begin
SEARCH_S = 4.0  # of sound that is enough to tell them apart
PATIENT = 50  # blocks of 16 ms to wait: what is right does not depend on the load of the machine that tests it


def number(browser: Chromium, fact: str) -> float:
    return float(browser.run(f"parseFloat(document.querySelector('#fact-{fact}').textContent)"))


def listened(
    browser: Chromium, url: str, seconds: float, otherwise: Callable[[str], None] = lacking
) -> tuple[np.ndarray, np.ndarray, int]:
    """What came in and what went out, side by side, after so many seconds of live sound without trouble.

    A machine that is too busy for live sound, as the page says itself, gets TRIES; then `otherwise` is called.
    """
    for _ in range(TRIES):
        start(browser, url)
        browser.rest(seconds)
        if number(browser, "underruns") == 0 and state(browser) == "Listening":
            break
    else:
        otherwise(f"this machine is too busy for live sound: load {number(browser, 'load'):.0f} %")
    assert 40 < number(browser, "latency") < 1200 and number(browser, "load") > 0
    browser.click("#live")
    browser.until("!document.querySelector('#result').hidden")
    sides = []
    for strength in (0, 100):
        browser.slide("#strength", strength)
        (browser.folder / "live-clean.wav").unlink(missing_ok=True)
        sides.append(read(browser.saved("#download", "live-clean.wav")))
    return sides[0][0], sides[1][0], sides[0][1]


def start(browser: Chromium, url: str) -> None:
    browser.open(url)
    browser.click("#tab-live")
    browser.click("#keep")
    browser.click("#live")
    browser.until("document.querySelector('#fact-load').textContent !== '–'")


def state(browser: Chromium) -> str:
    return str(browser.run("document.querySelector('#live-state').textContent"))


def check(noisy: np.ndarray, out: np.ndarray, rate: int, model: str | Path, same_db: float = SAME_DB) -> None:
    """The page hears before it plays, and so does Python here: from FADED_S on, both are the same.

    The page's frames began before the recording did, so Python's are tried from every place.
    """
    later = slice(int(FADED_S * rate), len(noisy) - rate // 10)
    assert np.square(noisy[later]).mean() > 1e-6  # the microphone did play
    denoiser = unhiss.Denoiser(model)

    def sameness(start: int, span: slice) -> float:
        expected = denoiser(np.pad(noisy[: span.stop], (start, 0)), rate)[start:]
        return float(si_sdr(out[span], expected[span]))

    searched = slice(later.start, min(later.start + int(SEARCH_S * rate), later.stop))
    starts = range(0, STARTS * QUANTUM, QUANTUM)
    start = next((start for start in starts if sameness(start, searched) > same_db), None)
    assert start is not None and sameness(start, later) > same_db
    assert si_sdr(out[later], noisy[later]) < 25


@pytest.fixture(scope="module")
def light(page: Path, causal_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """The page with a model that costs next to nothing, so that it keeps up on a machine that is busy testing."""
    model, folder = causal_model("leveller"), tmp_path_factory.mktemp("light") / "page"
    shutil.copytree(page, folder)
    (shipped,) = (folder / "assets").glob("small-*.onnx")
    shutil.copy(model, shipped)
    made = Site(folder)
    yield made, model
    made.close()


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_goes_out_is_what_python_makes_of_what_came_in(rate: int, browser: Chromium, light: tuple) -> None:
    site, model = light
    noisy, out, found = listened(browser, f"{site.url}?rate={rate}&wait={PATIENT}", SECONDS)
    assert found == rate and len(noisy) > (SECONDS - 1) * rate
    check(noisy, out, rate, model)


@pytest.mark.soak
def test_a_minute_without_an_under_run(browser: Chromium, site: Site) -> None:
    noisy, out, rate = listened(browser, site.url, LONG_S, otherwise=pytest.fail)  # an under-run is no excuse here
    assert len(out) > (LONG_S - 1) * rate
    check(noisy, out, rate, "small", SMALL_DB)


@pytest.mark.soak
def test_in_a_minute_no_sample_is_lost(browser: Chromium, light: tuple) -> None:
    site, model = light
    noisy, out, rate = listened(browser, site.url, LONG_S)
    assert len(out) > (LONG_S - 1) * rate
    check(noisy, out, rate, model)


def test_a_take_of_the_microphone_is_cleaned(browser: Chromium, site: Site) -> None:
    browser.open(site.url)
    browser.click("#record")
    browser.until("document.querySelector('#record .text').textContent === 'Stop and clean'")
    browser.rest(1.5)
    browser.click("#record")
    browser.until("!document.querySelector('#result').hidden")
    assert browser.run("document.querySelector('#result-name').textContent") == "recording.wav"
    assert "mono" in browser.run("document.querySelector('#result-facts').textContent")


def test_without_a_microphone_the_page_says_so(chromium: str, site: Site, tmp_path: Path) -> None:
    with Chromium(chromium, tmp_path, "--deny-permission-prompts") as deaf:
        deaf.open(site.url)
        deaf.run("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }, 0")
        deaf.click("#tab-live")
        deaf.click("#live")
        deaf.until("!document.querySelector('#trouble').hidden")
        assert deaf.run("document.querySelector('#trouble').textContent") == "There is no microphone; plug one in"
        assert deaf.run("document.querySelector('#live .text').textContent") == "Start"
