"""Benchmarks: each script of bench/ has its table, and the page is what the results give."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("update_benchmarks")


def test_the_page_is_what_the_results_give(script: ModuleType) -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == script.generated(), "run: make docs"


def test_the_page_changes_with_a_result(script: ModuleType, tmp_path: Path) -> None:
    name = "folder"
    before = script.section(name)
    content = json.loads((script.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    content["results"]["jobs_2"]["folder"]["median"] = content["results"]["jobs_1"]["folder"]["median"] / 4
    content["machine"]["cpu"] = "another chip"
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
    after = script.section(name, tmp_path)
    assert after != before and after.splitlines()[5].endswith("| 4.00 |") and "on another chip" in after


def test_every_benchmark_has_its_table_and_says_how_to_repeat_it(script: ModuleType) -> None:
    scripts = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"machine"}
    assert scripts == set(script.TABLES)
    for name in scripts:
        assert f"`python bench/{name}.py`" in script.section(name)


def test_a_live_frame_is_a_ratio_to_the_reference_graph(script: ModuleType, tmp_path: Path) -> None:
    costs = {
        name: {"median": us, "min": us, "max": us} for name, us in (("reference graph", 40), ("16 kHz, B = 1", 90))
    }
    machine = {"cpu": "chip", "cores": 2, "system": "Linux", "python": "3.11", "date": "2026-11-25", "packages": {}}
    results = {"small": {"us_per_frame": costs, "file_times_real_time": 99.5}}
    (tmp_path / "infer.json").write_text(json.dumps({"machine": machine, "results": results}))
    text = script.section("infer", tmp_path)
    assert "| `small` | 16 kHz, B = 1 | 90 | 90 | 90 | 2.25 |" in text


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("prepare", "recordings"),
        ("talkers", "recordings"),
        ("extremes", "recordings"),
        ("speech_probability", "recordings"),
        ("cli", "peers"),
        ("designs", "data set"),
        ("variations", "data set"),
    ],
)
def test_a_benchmark_without_its_data_says_so_in_one_line_and_succeeds(
    name: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "cli" and (ROOT / "peers").exists():
        pytest.skip("the peers' environment is here, so that the script would measure")
    path = ROOT / "bench" / f"{name}.py"
    monkeypatch.setenv("UNHISS_DATA", str(tmp_path))
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), *([] if missing == "data set" else ["--no-save"])])
    runpy.run_path(str(path), run_name="__main__")
    out, err = capsys.readouterr()
    assert (err, out.count("\n")) == ("", 1)
    assert out.startswith("skipped: ") and missing in out
