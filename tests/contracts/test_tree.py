"""The repository: no local paths, no huge files, and every documented command exists."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import click
import pytest

from unhiss.cli import COMMANDS

ROOT = Path(__file__).parent.parent.parent
PAGES = [path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.name != "CHANGELOG.md"]
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(work|root|home|Users)/\w")
BINARY = {".onnx", ".wav", ".png", ".safetensors", ".npy", ".npz", ".ogg", ".flac", ".mp3"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """The files tracked by git; unknown outside a checkout, such as in an unpacked archive."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout: the list of tracked files is not known")
    run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def commands(fence: str = "") -> list[tuple[Path, list[str]]]:
    """(page, words) of each command line in the shell blocks of all pages, joined where a line goes on."""
    lines = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```(?:bash|sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0].startswith(fence):
                    lines.append((page, words))
    return lines


def test_no_file_holds_a_path_of_one_machine(tracked: list[Path]) -> None:
    wrong = []
    for path in tracked:
        if path.suffix in BINARY:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE_PATH.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}")
    assert not wrong, "\n".join(wrong)


def test_no_tracked_file_is_over_10_mb(tracked: list[Path]) -> None:
    assert not [path for path in tracked if path.stat().st_size > 10_000_000]


def test_only_free_recordings_are_tracked(tracked: list[Path]) -> None:
    kinds = {".wav", ".mp3", ".ogg", ".flac", ".opus", ".m4a"}
    recordings = [path.relative_to(ROOT) for path in tracked if path.suffix.lower() in kinds]
    free = {"examples", "tests/recordings", "docs/samples"}  # their origin and licence: see the README or page in each
    assert not [path for path in recordings if not {parent.as_posix() for parent in path.parents} & free]
    assert sum((ROOT / path).stat().st_size for path in recordings) < 4_000_000


def test_every_unhiss_command_of_the_pages_exists_with_its_options() -> None:
    wrong = []
    for page, words in commands("unhiss"):
        if words[1].startswith("-"):
            continue
        if words[1] not in COMMANDS:
            wrong.append(f"{page.name}: unhiss {words[1]}")
            continue
        command: click.Command = import_module(f"unhiss.cli.{words[1]}").command
        if isinstance(command, click.Group):
            command = command.commands[words[2]]
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        used = {word.split("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)}
        wrong += [f"{page.name}: unhiss {words[1]} {option}" for option in sorted(used - known)]
    assert not wrong, "\n".join(wrong)


def test_every_make_target_of_the_pages_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    used = {word for _, words in commands("make") for word in words[1:] if "=" not in word}
    assert {"demo", "test"} <= used
    assert used <= targets


def test_every_script_of_the_pages_exists() -> None:
    used = {word for _, words in commands() for word in words if word.endswith(".py")}
    assert not [word for word in used if not (ROOT / word).is_file()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text) + re.findall(r'src="(?!http)([^"]+)"', text)
    assert not [link for link in links if not (page.parent / link).exists()]


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "\nmake lint\n" in script
    assert script.endswith("\nmake test\n")
