"""The code of docs/serving.md runs against a server, and its tables agree with the code."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from missing_tools import skip_or_fail
from serving import RunningServer, noise

import unhiss
from unhiss.serve.openapi import openapi_document
from unhiss.serve.protocol import parse_start
from unhiss.serve.worker import FORMATS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8000"


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    unhiss.write(tmp_path / "noisy.wav", noise(rng, 1, 16000), 16000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_code_runs(server: RunningServer, folder: Path) -> None:
    usage, transfer = code_blocks("python")
    names: dict[str, Any] = {}
    exec(compile(usage.replace(ADDRESS, server.url), "serving.md", "exec"), names)
    assert names["clean"].shape == (960,) and names["rest"].shape == (1, 1536)
    assert unhiss.read(folder / "clean.wav")[0].shape == (16000,)
    transfer = transfer.replace("if stream.draining", "if len(clean) in (10, 20) or stream.draining")
    exec(compile(transfer, "serving.md", "exec"), names)
    assert names["state"] and np.shape(names["clean"]) == (50, 960)


def test_the_curl_commands_run(server: RunningServer, folder: Path) -> None:
    curl = shutil.which("curl")
    if not curl:
        skip_or_fail("curl is not installed; apt-get install curl")
    lines = [line for block in code_blocks("bash") for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) == 2
    for line in lines:
        words = shlex.split(line.replace(ADDRESS, server.url))
        subprocess.run([curl, "--silent", "--fail", *words[1:]], check=True, timeout=120)
        assert unhiss.read(folder / words[-1])[0].shape == (16000,)


def test_the_first_message_is_a_valid_start() -> None:
    assert parse_start(code_blocks("json")[0]).rate == 48000


def test_every_path_format_and_status_is_documented(server: RunningServer) -> None:
    paths = openapi_document(server.service)["paths"]
    missing = [path for path in paths if path not in PAGE]
    missing += [name for name in FORMATS if f"`{name}`" not in PAGE]
    statuses = {code for methods in paths.values() for method in methods.values() for code in method["responses"]}
    missing += [code for code in statuses - {"101", "200", "426"} if f"| {code} |" not in PAGE]
    assert not missing
