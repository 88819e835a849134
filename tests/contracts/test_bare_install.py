"""What costs nothing: importing unhiss and asking for help load no heavy package; base needs no extra."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import unhiss
from unhiss.cli import COMMANDS

ROOT = Path(__file__).parent.parent.parent
HEAVY = {
    *("numpy", "soundfile", "soxr", "onnxruntime", "PIL", "torch", "scipy", "librosa", "matplotlib"),
    *("pesq", "pystoi", "speechmos", "onnx", "safetensors"),
    *("starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client"),
}
BASE = {"numpy", "soundfile", "soxr", "onnxruntime", "click", "rich", "pillow"}
PUBLIC = ["Denoiser", "UnhissError", "Stream", "denoise", "denoise_file", "models", "read", "write"]


def loaded_by(statement: str) -> set[str]:
    """The packages a fresh Python holds after one statement, and whatever that printed is dropped."""
    probe = f"""
import contextlib, io, sys
with contextlib.redirect_stdout(io.StringIO()):
    try:
        {statement}
    except SystemExit as end:
        assert not end.code, end.code
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    return set(run.stdout.split())


def test_import_unhiss_loads_nothing_heavy() -> None:
    loaded = loaded_by("import unhiss")
    assert "unhiss" in loaded
    assert not loaded & (HEAVY | {"click", "rich"})


def test_import_unhiss_prints_nothing_and_starts_no_thread() -> None:
    probe = "import threading, unhiss; assert threading.active_count() == 1"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT / "src")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_help_loads_nothing_heavy() -> None:
    call = "import unhiss.cli; unhiss.cli.unhiss.main(['--help'], prog_name='unhiss')"
    loaded = loaded_by(call)
    assert "click" in loaded
    assert not loaded & (HEAVY | {"rich"})


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_nothing_heavy(name: str) -> None:
    call = f"import unhiss.cli; unhiss.cli.unhiss.main([{name!r}, '--help'], prog_name='unhiss')"
    assert not loaded_by(call) & HEAVY


def test_everything_but_train_score_and_serve_imports_without_any_extra() -> None:
    folders = [folder.name for folder in (ROOT / "src" / "unhiss").iterdir() if (folder / "__init__.py").is_file()]
    blocked = sorted(HEAVY - {"numpy", "soundfile", "soxr", "onnxruntime", "PIL"})
    probe = f"""
import importlib, pkgutil, sys, unhiss
sys.modules.update(dict.fromkeys({blocked}))  # None there makes an import fail
for module in pkgutil.walk_packages(unhiss.__path__, "unhiss."):
    if module.name.split(".")[1] not in ("train", "score", "serve", "__main__"):
        importlib.import_module(module.name)
        print(module.name.split(".")[1])
"""
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT / "src")
    assert run.returncode == 0, run.stderr
    assert set(folders) - {"train", "score", "serve"} <= set(run.stdout.split())


def test_the_command_line_says_one_line_for_each_command() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from unhiss.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT / "src",
    )
    for name, line in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", run.stdout, re.MULTILINE), name


def test_the_public_names_are_these() -> None:
    assert sorted(unhiss.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(unhiss))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_what_it_says_and_documented(name: str) -> None:
    thing = getattr(unhiss, name)
    assert thing.__name__ == name
    assert thing.__doc__ and len(thing.__doc__.splitlines()) <= 16


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unknown_name'"):
        unhiss.unknown_name  # noqa: B018


def test_the_version_stands_in_pyproject_too() -> None:
    assert project()["version"] == unhiss.__version__


def test_the_base_install_asks_for_seven_packages_and_no_more() -> None:
    assert {name(line) for line in project()["dependencies"]} == BASE


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project()["optional-dependencies"]
    for line in [*project()["dependencies"], *extras["eval"], *extras["train"], *extras["serve"], *extras["dev"]]:
        wanted = Requirement(line)
        if wanted.name != "unhiss":
            assert wanted.specifier.contains(pins[wanted.name]), line


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name(requirement: str) -> str:
    return re.split(r"[><=\[; ]", requirement)[0]
