"""The code of docs/serving.md runs against a real server, and its tables are what the code has."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from serving import Running, noise

import unhiss
from unhiss.serve.openapi import document
from unhiss.serve.protocol import read_hello
from unhiss.serve.work import FORMATS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    unhiss.write(tmp_path / "noisy.wav", noise(rng, 1, 16000), 16000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_page_runs(server: Running, place: Path) -> None:
    code, moving = blocks("python")
    found: dict = {}
    exec(compile(code.replace(ADDRESS, server.url), "serving.md", "exec"), found)
    assert found["clean"].shape == (960,) and found["rest"].shape == (1, 1536)
    assert unhiss.read(place / "clean.wav")[0].shape == (16000,)
    told = moving.replace("if stream.draining", "if len(clean) in (10, 20) or stream.draining")
    exec(compile(told, "serving.md", "exec"), found)
    assert found["state"] and np.shape(found["clean"]) == (50, 960)


def test_the_curl_lines_of_the_page_run(server: Running, place: Path) -> None:
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed")
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line.replace(ADDRESS, server.url))
        subprocess.run([curl, "--silent", "--fail", *words[1:]], check=True, timeout=60)
        assert unhiss.read(place / words[-1])[0].shape == (16000,)


def test_the_first_message_of_the_page_is_a_hello() -> None:
    assert read_hello(blocks("json")[0]).rate == 48000


def test_the_page_names_every_path_format_and_status(server: Running) -> None:
    text = document(server.service)
    missing = [path for path in text["paths"] if path not in PAGE]
    missing += [name for name in FORMATS if f"`{name}`" not in PAGE]
    statuses = {code for path in text["paths"].values() for way in path.values() for code in way["responses"]}
    missing += [code for code in statuses - {"101", "200", "426"} if f"| {code} |" not in PAGE]
    assert not missing
