"""The page as `unhiss serve` serves it: it can switch to the server, whose result is the same."""

from __future__ import annotations

import threading
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
from unhiss.serve.http_server import HttpServer, listen, server_url
from unhiss.serve.service import ServerConfig, Service

ROOT = Path(__file__).parent.parent.parent
EQUAL_DB = 60.0
TOKEN = "open sesame"


@pytest.fixture(scope="module", params=["", TOKEN])
def server(page: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The address of a server with `small`, and its token."""
    # A clock that stands still: a slow machine is neither overloaded nor idle for too long.
    http = HttpServer(Service(ServerConfig(token=request.param), clock=lambda: 0.0))
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=http.run, args=([listener],))
        thread.start()
        yield server_url("127.0.0.1", listener) + "/", request.param
        http.should_exit = True
        thread.join()


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    audio, rate = read(ROOT / "examples" / "noisy.wav")
    part = resample(audio[2 * rate : 4 * rate], rate, 44100)
    write(tmp_path / "talk.wav", np.stack([part, 0.5 * part]), 44100, "FLOAT")
    return tmp_path / "talk.wav"


def test_a_file_denoised_on_the_server_equals_python(server: tuple[str, str], browser: Chromium, noisy: Path) -> None:
    url, token = server
    browser.open(url)
    browser.wait_for("!document.querySelector('#backend').hidden")
    browser.click("input[name=backend][value=server]")
    assert (
        browser.evaluate("document.querySelector('#privacy').innerText").strip()
        == "Audio is sent to the server of this page"
    )
    assert browser.evaluate("document.querySelector('#token-label').hidden") == (not token)
    if token:
        browser.evaluate(
            f"t = document.querySelector('#token'), t.value = '{token}', t.dispatchEvent(new Event('change')), 0"
        )
    browser.set_file("#file", noisy)
    browser.wait_for("!document.querySelector('#result').hidden || !document.querySelector('#error').hidden")
    assert browser.evaluate("document.querySelector('#error').textContent") == ""
    assert any(url.startswith("ws://") for url in browser.requests)
    (browser.folder / "talk-clean.wav").unlink(missing_ok=True)
    result, rate = read(browser.download("#download", "talk-clean.wav"))
    audio, _ = read(noisy)
    assert rate == 44100 and result.shape == audio.shape
    assert np.min(si_sdr(result, unhiss.denoise(audio, rate))) > EQUAL_DB


@pytest.mark.parametrize("server", [TOKEN], indirect=True)
def test_the_page_shows_the_servers_error_for_a_missing_token(
    server: tuple[str, str], browser: Chromium, noisy: Path
) -> None:
    browser.open(server[0])
    browser.wait_for("!document.querySelector('#backend').hidden")
    browser.click("input[name=backend][value=server]")
    browser.set_file("#file", noisy)
    browser.wait_for("!document.querySelector('#error').hidden")
    assert "token" in browser.evaluate("document.querySelector('#error').textContent")
