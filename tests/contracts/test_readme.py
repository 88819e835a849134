"""The tables of the README and of the cards are what their sources give."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

import unhiss

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_readme", ROOT / "scripts" / "update_readme.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_what_their_sources_give(script: ModuleType) -> None:
    assert script.generated(README) == README, "run: make docs"


def test_the_cards_are_what_their_sources_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "argv", ["update_cards.py", "--check"])
    importlib.import_module("update_cards").main()  # exits with a message if a card differs


def scores(tmp_path: Path, name: str, system: str, noisy_mean: float) -> Path:
    """A scores.json as `unhiss evaluate` writes it, cut down to one metric."""
    noisy = {"pairs": 4, "pesq_wb": {"mean": noisy_mean, "half_95": 0.126, "n": 4}}
    model = {"pairs": 3, "pesq_wb": {"mean": None, "half_95": None, "n": 0}}
    summary = [{"system": "noisy input", "all": noisy}, {"system": system, "all": model}]
    path = tmp_path / f"{name}.scores.json"
    path.write_text(json.dumps({"metrics": {"pesq_wb": "PESQ-WB"}, "summary": summary}), encoding="utf-8")
    return path


def test_scores_of_two_files_make_one_table_with_the_noisy_input_once(script: ModuleType, tmp_path: Path) -> None:
    files = [scores(tmp_path, "a", "rced", 1.412), scores(tmp_path, "b", "unet", 1.412)]
    assert script.scores_block(files).splitlines()[:5] == [
        "| system | pairs | PESQ-WB |",
        "| :-- | --: | --: |",
        "| noisy input | 4 | 1.41 ±0.13 |",
        "| rced | 3 | – |",
        "| unet | 3 | – |",
    ]


def test_scores_on_other_pairs_are_refused(script: ModuleType, tmp_path: Path) -> None:
    files = [scores(tmp_path, "a", "rced", 1.412), scores(tmp_path, "b", "unet", 1.5)]
    with pytest.raises(SystemExit, match="evaluate all models on the same pairs"):
        script.scores_block(files)


def test_every_shipped_model_has_its_card() -> None:
    for card in unhiss.models():
        text = (ROOT / "docs" / "models" / f"{card.name}.md").read_text(encoding="utf-8")
        assert card.licence in text, f"docs/models/{card.name}.md does not name the licence {card.licence}"


def test_the_score_table_reads_what_evaluate_writes(script: ModuleType, tmp_path: Path) -> None:
    from unhiss.score import tables
    from unhiss.score.registry import DEFAULT
    from unhiss.score.report import Report

    path = tmp_path / "unet.scores.json"
    path.write_text(tables.to_json(Report(("noisy input", "unet"), ()), {}), encoding="utf-8")
    empty = " | ".join(["–"] * len(DEFAULT))
    assert f"| unet | 0 | {empty} |" in script.scores_block([path])
