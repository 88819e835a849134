"""How fast the page denoises a recording in a browser: WebAssembly, one thread, the whole way from file to result.

Run on an idle machine, after `make web`: python bench/web.py [--seconds 60] [--times 5] [--no-save]
The recording is examples/noisy.wav repeated, 48 kHz. Python's `unhiss.denoise` with one thread alternates with it.
The goal: 20 times real time with `small`. Then ten seconds of live sound, for the load that the page shows.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import machine
import numpy as np

import unhiss

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "src" / "unhiss" / "serve" / "static"
SAMPLE = ROOT / "examples" / "noisy.wav"
GOAL = 20
LIVE_S = 10
sys.path.insert(0, str(ROOT / "tests" / "web"))


def page_speed(browser, path: Path) -> float:
    """Times real time, as the worker of the page took it."""
    browser.evaluate("document.querySelector('#another').click()")
    browser.set_file("#file", path)
    browser.wait_for("!document.querySelector('#result').hidden")
    return float(browser.evaluate("/([\\d.]+) × real time/.exec(document.querySelector('#result-details').textContent)[1]"))


def live(browser) -> dict[str, float]:
    """Load in percent, latency in ms and under-runs of live sound, at the end of LIVE_S."""
    browser.click("#tab-live")
    browser.click("#live")
    browser.wait_for("document.querySelector('#live-state').textContent === 'Listening'")
    browser.wait(LIVE_S)
    found = {
        fact: float(browser.evaluate(f"parseFloat(document.querySelector('#live-{fact}').textContent)"))
        for fact in ("load", "latency", "underruns")
    }
    browser.click("#live")
    return found


def measure(program: str, seconds: int, times: int) -> dict:
    from chromium import Chromium
    from plain_server import Site

    site, model = Site(PAGE), unhiss.Denoiser("small", threads=1)
    sound, rate = unhiss.read(SAMPLE)
    sound = np.resize(sound, seconds * rate)
    speeds: dict[str, list[float]] = {"Python": [], "browser": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "noisy.wav"
        unhiss.write(path, sound, rate)
        with Chromium(program, Path(folder), f"--use-file-for-fake-audio-capture={SAMPLE}") as browser:
            browser.open(site.url)
            page_speed(browser, path)  # warm, as Python's first run is not counted either
            model(sound, rate)
            for _ in range(times):
                speeds["browser"].append(page_speed(browser, path))
                begun = time.perf_counter()
                model(sound, rate)
                speeds["Python"].append(seconds / (time.perf_counter() - begun))
            heard = live(browser)
            version = browser.call("Browser.getVersion", session=None)["product"]
    site.close()
    times_real = {name: machine.spread(values) for name, values in speeds.items()}
    return {"browser": version, "audio_s": seconds, "times_real_time": times_real, "live": heard, "goal": GOAL}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None or not (PAGE / "index.html").is_file():
        print("left out: chromium, or the built page; apt-get install chromium, make web")
        return
    described = machine.describe("unhiss", "onnxruntime", "numpy")
    results = measure(program, options.seconds, options.times)
    rows = [
        [name, *(f"{spread[key]:.1f}" for key in ("median", "min", "max"))]
        for name, spread in results["times_real_time"].items()
    ]
    print(machine.table([f"times real time (goal {GOAL})", "median", "least", "most"], rows))
    print(results["live"])
    if not options.no_save:
        machine.save("web", described, results)


if __name__ == "__main__":
    main()
