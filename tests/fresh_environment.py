"""Virtual environments for tests that install unhiss."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path


def run(words: list[str | Path], folder: Path, **environment: str) -> str:
    """The standard output of a program that ends with 0, run in a folder."""
    done = subprocess.run([*map(str, words)], cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fresh_python(folder: Path) -> Path:
    """The Python of a new environment without unhiss; all other packages are those of this environment.

    A .pth file adds this environment's site-packages behind the fresh one's. The .pth files in there do not apply, such
    as that of an editable unhiss.
    """
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    fresh = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = run([fresh, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    here = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    Path(site, "dependencies.pth").write_text("\n".join(here), encoding="utf-8")
    return fresh
