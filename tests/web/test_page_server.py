"""The page as `unhiss serve` offers it: the switch is there, and the server's sound is the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chromium import Chromium

import unhiss
from unhiss.dsp.resampling import resample
from unhiss.media.source import read
from unhiss.media.writer import write
from unhiss.score.metrics import si_sdr

ROOT = Path(__file__).parent.parent.parent
SAME_DB = 60.0
TOKEN = "open sesame"


@pytest.fixture(scope="module", params=["", TOKEN])
def server(page: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The address of a server with small, and its token."""
    words = [sys.executable, "-m", "unhiss", "serve", "--port", "0"]
    environment = os.environ | {"UNHISS_TOKEN": request.param, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    said = ""
    for line in process.stdout or ():
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            break
    else:
        pytest.fail(f"the server ended: {said}")
    yield found[0] + "/", request.param
    process.terminate()
    process.wait(30)
    if process.stdout:
        process.stdout.close()


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    sound, own = read(ROOT / "examples" / "noisy.wav")
    part = resample(sound[2 * own : 4 * own], own, 44100)
    write(tmp_path / "talk.wav", np.stack([part, 0.5 * part]), 44100, "FLOAT")
    return tmp_path / "talk.wav"


def test_a_file_goes_to_the_server_and_comes_back_as_python_gives_it(
    server: tuple[str, str], browser: Chromium, noisy: Path
) -> None:
    url, token = server
    browser.open(url)
    browser.until("!document.querySelector('#place').hidden")
    browser.click("input[name=place][value=server]")
    assert (
        browser.run("document.querySelector('#promise').innerText").strip() == "Sound goes to the server of this page"
    )
    assert browser.run("document.querySelector('#token-label').hidden") == (not token)
    if token:
        browser.run(
            f"t = document.querySelector('#token'), t.value = '{token}', t.dispatchEvent(new Event('change')), 0"
        )
    browser.choose("#file", noisy)
    browser.until("!document.querySelector('#result').hidden || !document.querySelector('#trouble').hidden")
    assert browser.run("document.querySelector('#trouble').textContent") == ""
    assert any(request.startswith("ws://") for request in browser.requests)
    (browser.folder / "talk-clean.wav").unlink(missing_ok=True)
    found, rate = read(browser.saved("#download", "talk-clean.wav"))
    sound, _ = read(noisy)
    assert rate == 44100 and found.shape == sound.shape
    assert np.min(si_sdr(found, unhiss.denoise(sound, rate))) > SAME_DB


@pytest.mark.parametrize("server", [TOKEN], indirect=True)
def test_a_wrong_token_is_told_in_the_servers_words(server: tuple[str, str], browser: Chromium, noisy: Path) -> None:
    browser.open(server[0])
    browser.until("!document.querySelector('#place').hidden")
    browser.click("input[name=place][value=server]")
    browser.choose("#file", noisy)
    browser.until("!document.querySelector('#trouble').hidden")
    assert "token" in browser.run("document.querySelector('#trouble').textContent")
