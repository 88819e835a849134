"""Models by name: cards, checksums, and errors that help."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from unhiss import weights
from unhiss.errors import ModelError
from unhiss.weights import ModelCard, find, find_checkpoint, models

ROOT = Path(__file__).parent.parent
CARD = ModelCard(
    name="tiny", summary="a test", sample_rate=22050, causal=False, latency_ms=365.7, parameters=2, mmac_per_s=1.0,
    licence="MIT", commercial_use=True, data="none",
    sha256="ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",  # of b"abc", FIPS 180-2
)  # fmt: skip


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    (tmp_path / "tiny.onnx").write_bytes(b"abc")
    (tmp_path / "tiny.json").write_text(json.dumps(asdict(CARD)), encoding="utf-8")
    return tmp_path


def test_a_card_is_read_as_it_was_written(shipped: Path) -> None:
    assert models() == [CARD]


def test_an_intact_model_is_found_by_name(shipped: Path) -> None:
    assert find("tiny") == shipped / "tiny.onnx"


def test_a_damaged_model_is_refused(shipped: Path) -> None:
    (shipped / "tiny.onnx").write_bytes(b"abd")
    with pytest.raises(ModelError, match=r"'tiny' is damaged .* install unhiss again"):
        find("tiny")


@pytest.mark.parametrize("text", ["", "{}", "[]", "{nonsense", '"text"'])
def test_a_damaged_card_is_refused(text: str, shipped: Path) -> None:
    (shipped / "tiny.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"tiny.json: missing or damaged"):
        models()


def test_a_missing_card_is_refused(shipped: Path) -> None:
    (shipped / "tiny.json").unlink()
    with pytest.raises(ModelError, match=r"tiny.json: missing or damaged"):
        find("tiny")


def test_an_unknown_name_is_refused_with_the_nearest(shipped: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'tyny', and no \.onnx file of this path; did you mean 'tiny'\?"):
        find("tyny")
    with pytest.raises(ModelError, match=r"no model 'whatever', .*; known: tiny$"):
        find("whatever")


def test_any_file_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"anything")
    assert find(str(tmp_path / "mine.onnx")) == tmp_path / "mine.onnx"
    with pytest.raises(ModelError, match=r"none\.onnx: no such model file"):
        find(tmp_path / "none.onnx")


def test_a_checkpoint_is_found_by_name_file_or_run(shipped: Path, tmp_path: Path) -> None:
    (shipped / "tiny.safetensors").write_bytes(b"")
    assert find_checkpoint("tiny") == shipped / "tiny.safetensors"
    assert find_checkpoint("a.safetensors") == Path("a.safetensors")
    assert find_checkpoint(tmp_path) == tmp_path / "best.safetensors"
    with pytest.raises(ModelError, match=r"no weights of 'tinny' to start from, .*; did you mean 'tiny'\?"):
        find_checkpoint("tinny")


def test_the_installed_models_are_intact() -> None:
    for card in models():
        assert find(card.name).stem == card.name


@pytest.mark.parametrize("path", sorted((ROOT / "checkpoints").glob("*.safetensors")), ids=lambda path: path.stem)
def test_a_committed_checkpoint_names_no_folder_of_the_machine_that_made_it(path: Path) -> None:
    with path.open("rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little")).decode()
    assert not re.findall(r'["\\:](?:/|[A-Z]:\\)\w[^"\\]*', header.replace("://", ""))
