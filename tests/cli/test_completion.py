"""The lines of docs/denoising.md that turn completion on, run in the shells themselves."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from missing_tools import skip_or_fail

from unhiss.cli import COMMANDS
from unhiss.weights import models

ROOT = Path(__file__).parent.parent.parent
PROGRAM = f"""#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
from unhiss.cli import main
main()
"""


def documented(shell: str) -> str:
    """The line that the manual and, for bash, the help name."""
    text = (ROOT / "docs" / "denoising.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"(?m)^(.*_UNHISS_COMPLETE={shell}_source unhiss.*?)(?: +#.*)?$", text)
    return str(line)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with the program `unhiss`, as an installation has it."""
    program = tmp_path / "bin" / "unhiss"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def complete_in_bash(line: str, path: str, folder: Path) -> list[str]:
    """What bash offers at the end of a line."""
    bash = shutil.which("bash")
    if bash is None:
        skip_or_fail("bash is missing; apt-get install bash")
    words = line.split(" ")
    script = f"""
compopt() {{ :; }}  # for an interactive shell alone
{documented("bash")}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
$(complete -p unhiss | sed 's/.*-F \\([^ ]*\\).*/\\1/') unhiss '{words[-1]}' ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [bash, "--norc", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path}, cwd=folder
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_bash_completes_commands_options_values_and_models(path: str, tmp_path: Path) -> None:
    assert complete_in_bash("unhiss ", path, tmp_path) == list(COMMANDS)
    assert complete_in_bash("unhiss den", path, tmp_path) == ["denoise"]
    assert "--atten-limit-db" in complete_in_bash("unhiss denoise --atten", path, tmp_path)
    assert complete_in_bash("unhiss denoise --clip-mode re", path, tmp_path) == ["rescale"]
    assert complete_in_bash("unhiss live --model ", path, tmp_path) == [card.name for card in models()]
    assert complete_in_bash("unhiss data ex", path, tmp_path) == ["export"]
    assert complete_in_bash("unhiss nonsense x", path, tmp_path) == []


def test_the_help_names_the_line_for_bash() -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "unhiss", "--help"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    ).stdout  # fmt: skip
    assert documented("bash") in help_text


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_lines_for_other_shells_print_a_script_that_completes(shell: str, path: str, tmp_path: Path) -> None:
    (inner,) = re.findall(r"(?:env )?(_UNHISS_COMPLETE=\w+ unhiss)", documented(shell))
    done = subprocess.run(
        ["bash", "-c", inner], capture_output=True, text=True, env=os.environ | {"PATH": path}, cwd=tmp_path
    )
    assert done.returncode == 0 and f"_UNHISS_COMPLETE={shell}_complete" in done.stdout
