"""The page of `unhiss serve` from a fresh clone: what the server and the builds say without it, and what adds it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError

import pytest
from fresh_environment import fresh_python, run
from missing_tools import skip_or_fail

ROOT = Path(__file__).parent.parent
PAGE = "src/unhiss/serve/static/index.html"
# pip takes the build backend of this environment, and asks no index: all that the commands need is installed.
OFFLINE = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def copy_clone(folder: Path) -> Path:
    """The files that git tracks, or would, at the ages they have here; so without the page."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not name.startswith(("bench/", "tests/", "checkpoints/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    assert not (folder / PAGE).exists()
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which no page is built."""
    return copy_clone(tmp_path_factory.mktemp("clone"))


# The build itself is slow, and one test runs it; for another, this program gives the result of `make test`.
NPM = f"""#!/bin/sh
mkdir -p node_modules
test "$1" = ci || cp -r '{(ROOT / PAGE).parent}' ../src/unhiss/serve/
"""


@pytest.fixture
def clone_with_npm(clone: Path) -> Iterator[Path]:
    """The clone after `npm ci`; without a page again at the end."""
    modules = ROOT / "web" / "node_modules"
    if shutil.which("npm") is None or not (modules / "stamp").is_file():
        skip_or_fail("npm or web/node_modules are missing; apt-get install nodejs npm, then make web")
    shutil.copytree(modules, clone / "web" / "node_modules", symlinks=True, copy_function=os.link)
    yield clone
    shutil.rmtree(clone / "web" / "node_modules")
    shutil.rmtree((clone / PAGE).parent, ignore_errors=True)


class Answer(NamedTuple):
    """What a server said: its first line, the commands it names for a missing page, and its answer for the page."""

    first_line: str
    commands: list[str]
    status: int
    body: str


def serve(program: list[str | Path], folder: Path, **environment: str) -> Answer:
    """Start a server in a folder, ask it for the page, and end it."""
    log = folder / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*map(str, program), "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=stderr, text=True,
            env=os.environ | environment, cwd=folder,
        )  # fmt: skip
    try:
        assert process.stdout
        first = process.stdout.readline()
        status, body = get_page(first.split()[1])
    finally:
        process.terminate()
        process.communicate()
    _, _, commands = log.read_text().partition("then start again:\n")
    return Answer(first, [line.strip() for line in commands.splitlines()], status, body)


def get_page(url: str) -> tuple[int, str]:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:  # it does not listen yet
            assert time.monotonic() < deadline
            time.sleep(0.05)


def run_commands(commands: list[str]) -> None:
    for line in commands:
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=os.environ | OFFLINE)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_the_commands_that_the_server_names_add_the_page_to_a_plain_install(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (ROOT / PAGE).is_file():
        skip_or_fail("the page is not built; make web builds it")
    npm = tmp_path / "npm" / "npm"
    npm.parent.mkdir()
    npm.write_text(NPM)
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:{os.environ['PATH']}")
    python = fresh_python(tmp_path)
    program: list[str | Path] = [python.with_name("unhiss")]
    run([python, "-m", "pip", "install", "--quiet", f"{clone}[serve]"], tmp_path, PYTHONPATH="", **OFFLINE)
    before = serve(program, tmp_path, PYTHONPATH="")
    assert "the page" not in before.first_line and len(before.commands) == 2
    assert before.status == 503 and "make web" in before.body and "pip install '.[serve]'" in before.body
    assert str(clone) not in before.body, "clients need not know the paths of the server"
    run_commands(before.commands)
    after = serve(program, tmp_path, PYTHONPATH="")
    assert "the page" in after.first_line and not after.commands
    assert (after.status, after.body) == (200, (ROOT / PAGE).read_text(encoding="utf-8"))
    shutil.rmtree((clone / PAGE).parent)
    shutil.rmtree(clone / "web" / "node_modules")


@pytest.mark.soak
def test_the_command_that_the_server_names_adds_the_page_to_an_editable_install(
    clone_with_npm: Path, tmp_path: Path
) -> None:
    program: list[str | Path] = [sys.executable, "-m", "unhiss"]
    source = str(clone_with_npm / "src")  # what `pip install -e` puts on Python's path
    before = serve(program, tmp_path, PYTHONPATH=source)
    assert (before.status, len(before.commands)) == (503, 1)
    assert "the page" not in before.first_line
    run_commands(before.commands)
    after = serve(program, tmp_path, PYTHONPATH=source)
    assert (after.status, after.commands) == (200, [])


def hatchling(target: str, source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    return subprocess.run(words, cwd=source, capture_output=True, text=True)


def test_a_wheel_of_a_clone_without_the_page_says_so(clone: Path, tmp_path: Path) -> None:
    done = hatchling("wheel", clone, tmp_path)
    assert done.returncode == 0 and list(tmp_path.iterdir())
    assert "this wheel lacks the browser page" in done.stderr + done.stdout


def test_no_sdist_and_no_wheel_of_an_sdist_lacks_the_page(clone: Path, tmp_path: Path) -> None:
    done = hatchling("sdist", clone, tmp_path)
    assert done.returncode != 0 and not list(tmp_path.glob("*.gz"))
    assert "`make web` builds it" in done.stderr
    (clone / PAGE).parent.mkdir()
    (clone / PAGE).write_text("<p>the page</p>")
    assert hatchling("sdist", clone, tmp_path).returncode == 0
    shutil.rmtree((clone / PAGE).parent)
    (archive,) = tmp_path.glob("*.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (source / PAGE).unlink()
    done = hatchling("wheel", source, tmp_path)
    assert done.returncode != 0 and not list(tmp_path.glob("*.whl"))
    assert "`make web` builds it" in done.stderr
