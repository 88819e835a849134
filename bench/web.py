"""How fast the page denoises a recording in a browser: WebAssembly, one thread, from the file to the result.

Run on an idle machine, after `make web`: python bench/web.py [--seconds 60] [--times 5] [--no-save]
The recording is examples/noisy.wav repeated, 48 kHz. In turns with Python's `unhiss.denoise` with one thread.
The goal: 20 times real time with `small`. Then ten seconds of live audio, for the load that the page shows.
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
    """Speed in times real time, as the page reports it."""
    browser.evaluate("document.querySelector('#another').click()")
    browser.set_file("#file", path)
    browser.wait_for("!document.querySelector('#result').hidden")
    return float(
        browser.evaluate("/([\\d.]+) × real time/.exec(document.querySelector('#result-details').textContent)[1]")
    )


def measure_live(browser) -> dict[str, float]:
    """Load in percent, latency in ms and under-runs of live audio after LIVE_S."""
    browser.click("#tab-live")
    browser.click("#live")
    browser.wait_for("document.querySelector('#live-state').textContent === 'Listening'")
    browser.wait(LIVE_S)
    readings = {
        name: float(browser.evaluate(f"parseFloat(document.querySelector('#live-{name}').textContent)"))
        for name in ("load", "latency", "underruns")
    }
    browser.click("#live")
    return readings


def measure(program: str, seconds: int, times: int) -> dict:
    from chromium import Chromium
    from plain_server import Site

    site, model = Site(PAGE), unhiss.Denoiser("small", threads=1)
    audio, rate = unhiss.read(SAMPLE)
    audio = np.resize(audio, seconds * rate)
    speeds: dict[str, list[float]] = {"Python": [], "browser": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "noisy.wav"
        unhiss.write(path, audio, rate)
        with Chromium(program, Path(folder), f"--use-file-for-fake-audio-capture={SAMPLE}") as browser:
            browser.open(site.url)
            page_speed(browser, path)  # warm-up, as for Python
            model(audio, rate)
            for _ in range(times):
                speeds["browser"].append(page_speed(browser, path))
                started = time.perf_counter()
                model(audio, rate)
                speeds["Python"].append(seconds / (time.perf_counter() - started))
            live = measure_live(browser)
            version = browser.call("Browser.getVersion", session=None)["product"]
    site.close()
    times_real = {name: machine.spread(values) for name, values in speeds.items()}
    return {"browser": version, "audio_s": seconds, "times_real_time": times_real, "live": live, "goal": GOAL}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--no-save", action="store_true")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None or not (PAGE / "index.html").is_file():
        print("skipped: chromium, or the built page; apt-get install chromium, make web")
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
