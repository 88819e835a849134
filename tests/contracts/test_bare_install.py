"""The base install: importing unhiss and asking for help load no heavy package, and no extra is needed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import unhiss
from unhiss.cli import COMMANDS

ROOT = Path(__file__).parent.parent.parent
HEAVY = {
    *("numpy", "soundfile", "soxr", "onnxruntime", "PIL", "torch", "scipy", "librosa", "matplotlib"),
    *("pesq", "pystoi", "speechmos", "onnx", "safetensors"),
    *("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client"),
}
BASE = {"numpy", "soundfile", "soxr", "onnxruntime", "click", "tqdm", "pillow", "filelock"}
PUBLIC = ["Denoiser", "Stream", "UnhissError", "denoise", "denoise_file", "models", "read", "write"]


# Imports unhiss, then asks for the help of each command; after each step, the packages loaded so far.
PROBE = """
import contextlib, io, json, sys, threading
packages, texts = {}, {}
def step(name, action):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            action()
        except SystemExit as end:
            assert not end.code, end.code
    packages[name] = sorted({module.split(".")[0] for module in sys.modules})
    texts[name] = output.getvalue()
step("import", lambda: __import__("unhiss"))
threads = threading.active_count()
import_command_line = lambda: __import__("unhiss.cli").cli
step("--help", lambda: import_command_line().unhiss.main(["--help"], prog_name="unhiss"))
for name in list(import_command_line().COMMANDS):
    step(name, lambda: import_command_line().unhiss.main([name, "--help"], prog_name="unhiss"))
print(json.dumps([packages, texts, threads]))
"""


class Probe(NamedTuple):
    """By step: all packages loaded so far, and the text printed; and the number of threads after the import."""

    packages: dict[str, list[str]]
    texts: dict[str, str]
    threads: int


@pytest.fixture(scope="module")
def probe() -> Probe:
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, cwd=ROOT / "src")
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return Probe(*json.loads(run.stdout))


def test_import_unhiss_loads_nothing_heavy(probe: Probe) -> None:
    assert "unhiss" in probe.packages["import"]
    assert not set(probe.packages["import"]) & (HEAVY | {"click", "tqdm"})


@pytest.mark.parametrize("name", PUBLIC)
def test_no_module_or_folder_hides_a_public_name(name: str) -> None:
    """Python sets an imported module as an attribute of its package: `import unhiss.models` once hid the function."""
    assert importlib.util.find_spec(f"unhiss.{name}") is None


def test_import_unhiss_prints_nothing_and_starts_no_thread(probe: Probe) -> None:
    assert (probe.texts["import"], probe.threads) == ("", 1)


def test_help_loads_nothing_heavy(probe: Probe) -> None:
    assert "click" in probe.packages["--help"]
    assert not set(probe.packages["--help"]) & (HEAVY | {"tqdm"})


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_nothing_heavy(name: str, probe: Probe) -> None:
    assert f"unhiss {name}" in probe.texts[name]
    assert not set(probe.packages[name]) & HEAVY


def test_all_but_train_score_and_serve_import_without_any_extra() -> None:
    folders = [folder.name for folder in (ROOT / "src" / "unhiss").iterdir() if (folder / "__init__.py").is_file()]
    blocked = sorted(HEAVY - {"numpy", "soundfile", "soxr", "onnxruntime", "PIL"})
    script = f"""
import importlib, pkgutil, sys, unhiss
sys.modules.update(dict.fromkeys({blocked}))  # None makes an import fail
for module in pkgutil.walk_packages(unhiss.__path__, "unhiss."):
    if module.name.split(".")[1] not in ("train", "score", "serve", "__main__"):
        importlib.import_module(module.name)
        print(module.name.split(".")[1])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT / "src")
    assert run.returncode == 0, run.stderr
    assert set(folders) - {"train", "score", "serve"} <= set(run.stdout.split())


def test_the_help_has_one_line_for_each_command(probe: Probe) -> None:
    for name, line in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", probe.texts["--help"], re.MULTILINE), name


def test_the_public_names_are_these() -> None:
    assert sorted(unhiss.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(unhiss))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented(name: str) -> None:
    thing = getattr(unhiss, name)
    assert thing.__name__ == name
    assert thing.__doc__ and len(thing.__doc__.splitlines()) <= 16


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unknown_name'"):
        unhiss.unknown_name  # noqa: B018


def test_the_version_equals_that_of_pyproject() -> None:
    assert project()["version"] == unhiss.__version__


def test_the_base_install_requires_exactly_these_packages() -> None:
    assert {name(line) for line in project()["dependencies"]} == BASE


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project()["optional-dependencies"]
    for line in [
        *project()["dependencies"],
        *extras["eval"],
        *extras["live"],
        *extras["train"],
        *extras["serve"],
        *extras["dev"],
    ]:
        requirement = Requirement(line)
        if requirement.name != "unhiss":
            assert requirement.specifier.contains(pins[requirement.name]), line


def project() -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return metadata


def name(requirement: str) -> str:
    return re.split(r"[><=\[; ]", requirement)[0]
