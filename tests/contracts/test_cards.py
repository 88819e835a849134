"""Model cards are generated from the training record and the scores of a model."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unhiss.config import load
from unhiss.weights import ModelCard, models

ROOT = Path(__file__).parent.parent.parent
WEIGHTS = ROOT / "checkpoints" / "small.safetensors"
RECORD = ROOT / "docs" / "models" / "small.training.json"


def module(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module(name)


def means(pesq: float, sisdr: float) -> dict:
    return {
        "pairs": 2,
        "pesq_wb": {"mean": pesq, "half_95": 0.1, "n": 2},
        "si_sdr_db": {"mean": sisdr, "half_95": None, "n": 2},
    }


def scores(gains: dict[str, tuple[float, float]]) -> dict:
    """A scores.json: the noisy input has PESQ 1.5 and SI-SDR 4 dB everywhere, `small` has these gains for each kind."""
    noisy = {"system": "noisy input", "all": means(1.5, 4), "noise_kind": {kind: means(1.5, 4) for kind in gains}}
    own = {kind: means(1.5 + pesq, 4 + sisdr) for kind, (pesq, sisdr) in gains.items()}
    small = {"system": "small", "all": means(2, 9), "noise_kind": own}
    settings = {"pairs": "somewhere/dev", "systems": ["noisy input", "small"]}
    titles = {"pesq_wb": "PESQ-WB", "si_sdr_db": "SI-SDR dB"}
    return {"settings": settings, "metrics": titles, "summary": [noisy, small]}


GAINS: dict[str, tuple[float, float]] = {
    "rain": (0.5, 5),
    "siren": (-0.25, 1),
    "wind": (0.75, 6),
    "drill": (0.25, -2),
    "bells": (1, 7),
    "dog": (1.25, 8),
}


def _run(folder: Path) -> None:
    """Write the folder of the run that trained `small`."""
    folder.mkdir()
    shutil.copy(WEIGHTS, folder / "best.safetensors")
    rows = json.loads(RECORD.read_text())["epochs"]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def record_training(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        record = module("record_training", patch)
        run = str(folder / "run")
        words = ["record_training.py", run, "small", "--machine", "two cores", "--cards", str(folder)]
        patch.setattr(sys, "argv", words)
        record.main()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of `small`, its costs and scores, and its training recorded."""
    folder = tmp_path_factory.mktemp("cards")
    costs = {"reference graph": {"median": 40.0}, "48 kHz, B = 1": {"median": 100.0}}
    infer = {"machine": {"cpu": "a chip", "date": "2026-11-25"}, "results": {
        "small": {"us_per_frame": costs, "file_times_real_time": 123.4}}}  # fmt: skip
    (folder / "infer.json").write_text(json.dumps(infer))
    (folder / "small.scores.json").write_text(json.dumps(scores(GAINS)))
    _run(folder / "run")
    record_training(folder)
    return folder


@pytest.fixture
def cards(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/update_cards.py with only `small` installed, in a copy of the recorded folder."""
    update = module("update_cards", monkeypatch)
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    card = ModelCard(
        name="small", summary="live, any rate", sample_rate=0, causal=True, latency_ms=32.0, parameters=366396,
        mmac_per_s=31, licence="MIT", commercial_use=True, data="", sha256="0" * 64,
    )  # fmt: skip
    monkeypatch.setattr(update, "models", lambda: [card])
    monkeypatch.setattr(update.card_commands, "models", lambda: [card])
    monkeypatch.setattr(update, "CARDS", tmp_path)
    monkeypatch.setattr(update, "BENCH", tmp_path)
    return update


def test_the_card_of_a_causal_model_is_generated_from_records(cards: ModuleType, tmp_path: Path) -> None:
    assert (tmp_path / "small.curves.png").stat().st_size > 5000
    card = cards.generated("small", (tmp_path / "small.md").read_text())
    record = json.loads(RECORD.read_text())
    rows, seed = record["epochs"], record["experiment"]["train"]["seed"]
    for part in (
        "| live | latency 32 ms |", "| rate inside | any |", "| common-voice: CC0 1.0 | 1,431 | 1.93 | yes |",
        "100 µs (2.5 × the reference graph) at 48 kHz, B = 1", "123 × real time",
        f"seeds: data 0, training {seed}", f"in {rows[-1]['step']:,} steps", "on two cores:", "(small.curves.png)",
        "| small | 2 | 2.00 ±0.10 | 9.0 |", "All of its data allow commercial use.", "## Known failures",
    ):  # fmt: skip
        assert part in card, part
    assert cards.generated("small", card) == card


def test_the_commands_of_a_card_give_the_settings_of_its_run(cards: ModuleType) -> None:
    record = json.loads((cards.CARDS / "small.training.json").read_text())
    block = cards.commands("small").replace("\\\n", " ")
    prepare, train, export, evaluate = [shlex.split(line) for line in block.splitlines() if line.startswith("unhiss")]
    overrides = tuple(word for word in train if "=" in word)
    assert load(ROOT / train[2], overrides).flat() == load_record(record)
    speech = [prepare[i + 1] for i, word in enumerate(prepare) if word == "--speech"]
    corpus = "common-voice:cv-corpus-6.1-2020-12-11"
    folders = [f"folder:{name}/speech" for name in ("data", "more", "sung")]
    assert speech == [corpus, f"{corpus}:dev", *folders]
    assert prepare.count("--noise") == len(record["data"]["sources"]) - 5 and {
        "--keep-silence",
        "--commercial-only",
    } < set(prepare)
    assert (
        prepare[prepare.index("--sample-rate") + 1] == "48000" and prepare[prepare.index("--max-seconds") + 1] == "20"
    )
    assert export[-3:] == ["MIT", "--summary", "live, any rate"]
    assert evaluate == ["unhiss", "evaluate", "--model", "small", "--pairs", "dev/", "-o", "scores/"]


def load_record(record: dict) -> dict:
    from unhiss.config import Experiment

    return Experiment.from_dict(record["experiment"]).flat()


def test_a_model_without_scores_has_a_card_that_says_so(cards: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "small.scores.json").unlink()
    card = cards.generated("small", (tmp_path / "small.md").read_text())
    assert card.count(cards.NOT_MEASURED) == 2 and "| parameters | 366,396 |" in card and "unhiss evaluate" not in card


def test_weaknesses_are_the_kinds_with_the_least_gain_and_those_with_harm(cards: ModuleType) -> None:
    lines = cards.weaknesses("small").splitlines()
    table = [line.split(" | ")[0].strip("| ") for line in lines if line.startswith("| ")][2:]
    # Places by PESQ: siren, drill, rain, wind, bells, dog; by SI-SDR: drill, siren, rain …; a draw goes by name.
    assert table == ["drill", "siren", "rain", "wind", "bells"]
    assert "| siren | 2 | -0.25 | +1.0 |" in lines
    assert lines[-2:] == ["- PESQ-WB: siren", "- SI-SDR dB: drill"]


def test_word_error_rates_are_listed_by_snr(cards: ModuleType, tmp_path: Path) -> None:
    def system(name: str, wrong: float) -> dict:
        group = {"wer": {"mean": wrong, "half_95": 4.0, "n": 6}}
        return {"system": name, "all": group, "snr_db": {"0": group, "10": {"wer": {"mean": 20.0, "n": 3}}}}

    settings = {"recogniser": "pocketsphinx"}
    content = {"settings": settings, "summary": [system("noisy input", 50.0), system("small", 45.5)]}
    (tmp_path / "r.words.json").write_text(json.dumps(content))
    lines = cards.words("r").splitlines()
    assert lines[0] == "| system | recordings | 0 dB | 10 dB | all |"
    assert lines[2:4] == ["| noisy input | 6 | 50.0 | 20.0 | 50.0 ±4.0 |", "| small | 6 | 45.5 | 20.0 | 45.5 ±4.0 |"]
    assert lines[-1] == "Of 100 words, by pocketsphinx; lower is better."


def test_an_existing_card_keeps_its_prose(cards: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "small.md").write_text("# mine\n")
    record_training(tmp_path)
    assert (tmp_path / "small.md").read_text() == "# mine\n"


def test_a_record_contains_no_local_path(cards: ModuleType) -> None:
    record = json.loads((cards.CARDS / "small.training.json").read_text())
    assert not [spec for spec in record["data"]["sources"] if ":/" in spec or spec.count("/") > 1 or ".." in spec]


@pytest.mark.parametrize("card", models(), ids=lambda card: card.name)
def test_a_card_names_each_corpus_once_with_all_its_hours(card: ModelCard) -> None:
    """`dataset.json` may have one corpus in two spellings."""
    record = json.loads((ROOT / "docs" / "models" / f"{card.name}.training.json").read_text(encoding="utf-8"))
    hours: dict[str, float] = {}
    for name, entry in record["data"]["licences"].items():
        name = re.sub(r"(: CC[ -]BY[^(]*) \(.+\)$", r"\1", name.lower(), flags=re.IGNORECASE)  # without its author
        hours[name] = hours.get(name, 0) + entry["hours"]
    shown = dict(re.findall(r"([^;]+?) \(([\d.]+) h(?:, \d+ authors?)?\)(?:; |$)", card.data))
    assert {name.lower(): float(text) for name, text in shown.items()} == {
        name: pytest.approx(total, abs=0.051) for name, total in hours.items()
    }
    page = (ROOT / "docs" / "models" / f"{card.name}.md").read_text(encoding="utf-8")
    rows = [row.split(" | ")[0].lower() for row in page.splitlines() if row.endswith(("| yes |", "| no |"))]
    assert len(rows) == len(set(rows))
