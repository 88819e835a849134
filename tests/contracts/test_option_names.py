"""One name for one thing: the attenuation limit in the commands, in Python, over HTTP, in streams and in the page."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import unhiss
from unhiss.cli.denoise import command as denoise
from unhiss.cli.live import command as live
from unhiss.errors import ConfigError
from unhiss.serve import denoise_endpoint, openapi, protocol

ROOT = Path(__file__).parent.parent.parent
NAME = "atten_limit_db"


@pytest.mark.parametrize("command", [denoise, live])
def test_the_commands_have_the_name_with_hyphens_and_accept_the_shorter_one(command: click.Command) -> None:
    (option,) = (parameter for parameter in command.params if parameter.name == NAME)
    assert option.opts == ["--atten-limit-db", "--atten-lim"]
    text = CliRunner().invoke(command, ["--help"]).output
    assert "--atten-limit-db DB" in text and not re.search(r"--atten-lim\b(?!it)", text)


def test_the_older_name_still_works(tmp_path: Path) -> None:
    unhiss.write(tmp_path / "a.wav", np.zeros(2000, np.float32), 16000)
    for option in ("--atten-lim", "--atten-limit-db"):
        done = CliRunner().invoke(denoise, [str(tmp_path / "a.wav"), option, "-3"])
        assert f"{NAME} = -3.0; expected dB from 0" in str(done.exception)


def test_python_http_streams_and_the_api_reference_have_the_name() -> None:
    for function in (unhiss.denoise, unhiss.Denoiser, unhiss.Stream):
        assert NAME in inspect.signature(function).parameters
    assert NAME in denoise_endpoint.FIELDS
    assert NAME in protocol.Controls.__dataclass_fields__
    document = json.loads(openapi.TEMPLATE.read_text(encoding="utf-8"))
    assert NAME in {parameter["name"] for parameter in document["paths"]["/v1/denoise"]["post"]["parameters"]}


def test_the_page_has_the_name_as_typescript_writes_it() -> None:
    text = (ROOT / "web" / "src" / "engine" / "stream.ts").read_text(encoding="utf-8")
    (fields,) = re.findall(r"export type Options = \{(.*)\}", text)
    camel = re.sub(r"_(\w)", lambda match: match[1].upper(), NAME)
    assert {field.strip().partition("?")[0] for field in fields.split(";")} - {""} == {camel, "mix"}


def test_nothing_takes_a_guard_any_more(tmp_path: Path) -> None:
    """Models leave clean speech alone by themselves. What a server answers is in tests/serve."""
    silence = np.zeros(2000, np.float32)
    unhiss.write(tmp_path / "a.wav", silence, 16000)
    removed: dict[str, Any] = {"guard": False}
    for call in (lambda: unhiss.denoise(silence, 16000, **removed), lambda: unhiss.Stream(16000, **removed)):
        with pytest.raises(TypeError, match="unexpected keyword argument 'guard'"):
            call()
    with pytest.raises(ConfigError, match="no option 'guard'"):
        unhiss.denoise_file(tmp_path / "a.wav", tmp_path / "b.wav", **removed)
    for option in ("--guard", "--no-guard"):
        done = CliRunner().invoke(denoise, [str(tmp_path / "a.wav"), option])
        assert (done.exit_code, "No such option" in done.output) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_no_page_of_the_manual_has_the_older_name() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert not [page.name for page in pages if re.search(r"--atten-lim\b(?!it)", page.read_text(encoding="utf-8"))]
