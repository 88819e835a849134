"""The former name: where it may stand, and what its files are told."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from unhiss.data.store import Store
from unhiss.errors import DataError, ModelError
from unhiss.infer.session import OnnxSession
from unhiss.infer.stream import Stream
from unhiss.legacy import OLD_NAME, is_old
from unhiss.weights import find

ROOT = Path(__file__).parent.parent
MAY_NAME_IT = {"CHANGELOG.md", "src/unhiss/legacy.py", "tests/test_legacy.py"}


def test_the_former_name_stands_in_the_changelog_and_here_alone() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
    assert len(paths) > 100
    word = re.compile(rb"(?<![a-z])hush(?![a-z])", re.IGNORECASE)  # not within `pushed`, but within hush_format
    named = {path for path in paths if word.search((ROOT / path).read_bytes()) or word.search(path.encode())}
    assert named <= MAY_NAME_IT


def test_a_key_is_old_by_its_first_part() -> None:
    assert is_old(["format", f"{OLD_NAME}.format"]) and is_old({OLD_NAME: ""})
    assert not is_old(["unhiss.format", f"{OLD_NAME}ed.format", f"un.{OLD_NAME}"])


def test_a_model_of_the_former_name_is_refused(tmp_path: Path) -> None:
    model = onnx.load(find("nano"))
    for item in model.metadata_props:
        item.key = item.key.replace("unhiss.", f"{OLD_NAME}.")
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(
        ModelError, match=rf"a model of {OLD_NAME}, the former name of unhiss; train it again and unhiss"
    ):
        OnnxSession(tmp_path / "old.onnx")


def test_a_checkpoint_of_the_former_name_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    from unhiss.train import checkpoint

    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "old.safetensors", {OLD_NAME: "{}"})
    with pytest.raises(ModelError, match=rf"a checkpoint of {OLD_NAME}, the former name of unhiss; train it again"):
        checkpoint.load(tmp_path / "old.safetensors")


def test_a_state_of_the_former_name_is_refused() -> None:
    stream = Stream(48000, model="nano")
    old = stream.save().replace(b"unhiss.stream", f"{OLD_NAME}.stream  ".encode())
    with pytest.raises(
        ModelError, match=rf"a stream's state of {OLD_NAME}, the former name of unhiss; begin a new Stream"
    ):
        stream.restore(old)


def test_a_prepared_set_of_the_former_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"format": 1, "sample_rate": 48000, "cleaning": {}, "parts": {}}))
    (tmp_path / "manifest.jsonl").touch()
    with pytest.raises(DataError, match="has format 1, this unhiss reads 2; make it again with unhiss prepare"):
        Store(tmp_path)
