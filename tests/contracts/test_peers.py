"""The comparison with other denoisers: its tables, and how bench/peers.py runs a denoiser in another environment."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
KEPT = ("rate", "stereo", "length", "tags")


def module(name: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / folder))
    return importlib.import_module(name)


@pytest.fixture
def readme(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module("update_readme", "scripts", monkeypatch)


@pytest.fixture
def systems(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return module("peer_systems.systems", "bench", monkeypatch)


def means(pesq: float, ovrl: float) -> dict[str, Any]:
    values = {"pesq_wb": pesq, "stoi": 0.9, "estoi": 0.8, "si_sdr_db": 10.0, "sig": 3.0, "bak": 4.0, "ovrl": ovrl}
    return {"pairs": 64} | {key: {"mean": value, "half_95": 0.1, "n": 64} for key, value in values.items()}


def description(**changes: Any) -> dict[str, Any]:
    return {
        "what": "a network", "version": "1.2", "licence": "MIT", "mmac_per_s": None, "source": "", "pytorch": False,
        "files": True, "rate": 48_000, "needs": [], "install_mb": 52, "keeps": dict.fromkeys(KEPT, False),
    } | changes  # fmt: skip


def results(**changes: Any) -> dict[str, Any]:
    """What bench/peers.py writes: `small`, one peer with a better PESQ and one with a better OVRL."""
    names = {"noisy input": (1.4, 2.0), "worse": (1.5, 2.9), "small": (2.0, 2.8), "better": (2.2, 2.75)}
    return {
        "metrics": {"pesq_wb": "PESQ-WB", "stoi": "STOI", "si_sdr_db": "SI-SDR dB", "ovrl": "OVRL"},
        "summary": [{"system": name, "all": means(*values), "snr_db": {"0": means(*values)}}
                    for name, values in names.items()],
        "systems": {
            "small": description(mmac_per_s=238.0, keeps=dict.fromkeys(KEPT, True)),
            "worse": description(files=False, pytorch=True, licence="LicenseRef-Own"),
            "better": description(keeps={"rate": True, "stereo": True, "length": False, "tags": False}),
        },
        "downloads": ["hub"],
    } | changes  # fmt: skip


def test_the_pages_match_their_sources(readme: ModuleType) -> None:
    for page in readme.PAGES:
        text = page.read_text(encoding="utf-8")
        assert readme.generated(text, page) == text, f"{page.name}: run make generated"


def test_peers_follow_unhiss_by_pesq_with_what_they_cost_and_keep(readme: ModuleType) -> None:
    lines = readme.peers_block(results()).splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:6]] == [
        "noisy input", "**unhiss** `small`", "better 1.2 (a network)", "worse 1.2 (a network)",
    ]  # fmt: skip
    cells = "2.00 | 0.900 | 10.0 | 2.80 | 238 | – | 52 | no | MIT | rate, stereo, length, tags |"
    assert lines[3].endswith(cells)
    assert lines[4].endswith("| – | – | 52 | no | MIT | rate, stereo |")
    assert lines[5].endswith("| yes | its own terms | – |")


def test_the_comparison_says_where_a_peer_is_ahead(readme: ModuleType) -> None:
    block = readme.peers_block(results())
    assert block.endswith("**Ahead of `small`** in PESQ-WB: better (2.20); in OVRL: worse (2.90).")
    summary = [entry for entry in results()["summary"] if entry["system"] in ("noisy input", "small")]
    assert readme.peers_block(results(summary=summary)).endswith("**Ahead of `small`**: none of them.")


def test_the_comparison_says_which_peer_costs_less(readme: ModuleType) -> None:
    systems = results()["systems"] | {"better": description(install_mb=51), "worse": description(mmac_per_s=123.4)}
    times = {"small, file": 0.013, "small, live": 0.04, "better": 0.012, "worse": 0.013}
    costs = {name: {"median": seconds} for name, seconds in times.items()}
    block = readme.peers_block(results(systems=systems, cpu_s_per_s=costs))
    assert block.endswith(
        "in multiply-adds a second: worse (123 M); in processor time: better (0.012 s/s);"
        " in the size of the install: better (51 MB)."
    )


def test_processor_time_has_its_machine_and_both_ways_of_unhiss(readme: ModuleType) -> None:
    spread = {"median": 0.0131, "min": 0.01, "max": 0.02}
    costs = {"small, file": spread, "small, live": spread | {"median": 0.05}, "better": spread | {"median": 0.15}}
    timed = {"cpu": "chip", "date": "2026-11-27"}
    block = readme.peers_block(results(cpu_s_per_s=costs, timed=timed))
    assert "| 0.013, live 0.050 |" in block
    assert "| 0.150 |" in block
    assert "on one core, chip, 2026-11-27" in block
    assert "not measured yet" in readme.peers_block(results())


def test_before_a_measurement_the_tables_say_so(readme: ModuleType) -> None:
    assert readme.peers_block(None) == readme.NO_SCORES


def test_the_page_of_peers_has_all_metrics_and_the_means_by_snr(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = module("update_cards", "scripts", monkeypatch)
    monkeypatch.setattr(cards, "peers_results", results)
    block = cards.all_peers("peers")
    assert "| better | 64 | 2.20 ±0.10 |" in block
    assert "| better | 2.20 / 2.75 |" in block
    assert "| small | 1.2 | a network | 48,000 Hz | 238 |" in block


def test_every_peer_has_a_runner_and_a_function_for_unhiss_evaluate(systems: ModuleType) -> None:
    runner = (ROOT / "bench" / "peer_systems" / "runner.py").read_text(encoding="utf-8")
    for name in systems.PEERS:
        assert f"\ndef {name.replace('-', '_')}():" in runner
        assert callable(getattr(systems, name.replace("-", "_")))
    assert not set(systems.PEERS) & set(systems.DOWNLOADS)


def test_a_denoiser_in_a_process_of_its_own_gives_its_samples_without_its_delay(
    systems: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a peer's environment: it delays whole frames of 16-bit samples by 3 and halves them."""
    script = tmp_path / "runner.py"
    script.write_text(
        "import array, json, sys\n"
        "for line in sys.stdin:\n"
        "    source, target = line.split()\n"
        "    samples = array.array('h', open(source, 'rb').read())\n"
        "    assert len(samples) % 4 == 0\n"
        "    out = array.array('h', [0, 0, 0, *(value // 2 for value in samples)][: len(samples)])\n"
        "    open(target, 'wb').write(out.tobytes())\n"
        "    print(json.dumps({'cpu_s': 0.25}), flush=True)\n"
    )
    monkeypatch.setattr(systems, "RUNNER", script)
    peer = systems.Peer(what="a test", rate=16_000, dtype="int16", frame=4, delay=3)
    process = systems.Process("unhiss:test", peer)
    samples = np.arange(-8, 9, dtype=np.float32) / 16
    try:
        clean, seconds = process(samples)
    finally:
        process.close()
    assert seconds == 0.25
    np.testing.assert_array_equal(clean, samples / 2)


def test_the_results_name_a_machine_for_every_time() -> None:
    path = ROOT / "bench" / "results" / "peers.json"
    if path.is_file():
        measured = json.loads(path.read_text(encoding="utf-8"))["results"]
        assert ("cpu_s_per_s" in measured) == ("timed" in measured)
