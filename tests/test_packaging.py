"""The package that is published: what the wheel and the sdist hold, and that the installed wheel denoises."""

from __future__ import annotations

import re
import sys
import tarfile
import tomllib
import zipfile
import zlib
from email.message import Message
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest
from fresh_environment import fresh_python, run

import unhiss

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/unhiss/unhiss"
RAW = "https://raw.githubusercontent.com/unhiss/unhiss/main"
MODELS = {"nano", "rced", "small", "unet"}
PAGE = "unhiss/serve/static/index.html"


def build(target: str, source: Path, folder: Path) -> Path:
    """The archive that hatchling makes of a source tree: `sdist` or `wheel`."""
    assert (source / "src" / PAGE).is_file(), "the browser page is not built; run: make web"
    run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder], source)
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder := tmp_path_factory.mktemp("source"), filter="data")
    (source,) = folder.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel installed; its dependencies are those of this environment."""
    fresh = fresh_python(tmp_path_factory.mktemp("venv"))
    install: list[str | Path] = ["install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    run([sys.executable, "-m", "pip", "--python", fresh, *install], ROOT)
    return fresh


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_models_page_and_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    models = {f"unhiss/pretrained/{name}{end}" for name in MODELS for end in (".onnx", ".json")}
    assert {PAGE, "unhiss/py.typed", *models} <= names
    assert [name for name in names if re.fullmatch(r"unhiss/serve/static/assets/.*\.wasm-.*\.gz", name)]
    assert not [name for name in names if name.endswith(".wasm")], "13 MB that the gzipped file holds in 3"
    assert {name.split("/")[0] for name in names} == {"unhiss", f"unhiss-{unhiss.__version__}.dist-info"}


def test_the_wheel_names_author_licence_and_links(wheel: Path) -> None:
    fields = metadata(wheel)
    assert (fields["Name"], fields["Version"]) == ("unhiss", unhiss.__version__)
    assert (fields["Author"], fields["License-Expression"]) == ("The unhiss authors", "MIT")
    links = dict(line.split(", ") for line in fields.get_all("Project-URL", []))
    assert set(links) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert all(link.startswith(REPOSITORY) for link in links.values())
    assert "Typing :: Typed" in fields.get_all("Classifier", [])


def test_the_links_of_the_long_description_lead_somewhere_on_pypi(wheel: Path) -> None:
    """PyPI shows the README without the files beside it: links are absolute."""
    text = str(metadata(wheel).get_payload())
    relative = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("https://", "#"))]
    assert not relative
    inside = re.findall(rf"\((?:{REPOSITORY}/blob/main|{RAW})/([^)#\s]+)", text)
    assert len(inside) > 10 and "docs/before-after.png" in inside
    assert not [path for path in inside if not (ROOT / path).exists()]


def test_the_installed_wheel_is_what_is_imported(python: Path, tmp_path: Path) -> None:
    probe = "import unhiss, unhiss.infer.stream as s; print(unhiss.__file__, s.__file__, sep='\\n')"
    files = run([python, "-c", probe], tmp_path, PYTHONPATH="").splitlines()
    assert len(files) == 2
    assert all(Path(file).is_relative_to(python.parent.parent) for file in files), files


def test_the_installed_wheel_denoises_with_its_own_model(python: Path, tmp_path: Path) -> None:
    noisy = ROOT / "examples" / "noisy.wav"
    run([python.with_name("unhiss"), "denoise", noisy, "-o", "clean.wav", "--threads", "1"], tmp_path, PYTHONPATH="")
    before, rate = unhiss.read(noisy)
    after, after_rate = unhiss.read(tmp_path / "clean.wav")
    assert (after.shape, after_rate) == (before.shape, rate)
    assert 0 < np.square(after).mean() < 0.9 * np.square(before).mean()


def test_the_installed_wheel_lists_its_models_and_has_the_page(python: Path, tmp_path: Path) -> None:
    probe = """
import importlib.resources as resources, unhiss
print(*[card.name for card in unhiss.models()])
print(len((resources.files("unhiss") / "serve" / "static" / "index.html").read_text(encoding="utf-8")))
"""
    names, size = run([python, "-c", probe], tmp_path, PYTHONPATH="").splitlines()
    assert set(names.split()) == MODELS
    assert int(size) > 1000


def test_the_wheel_of_the_sdist_holds_every_file_of_the_package(wheel: Path) -> None:
    """So the sdist builds the same wheel as the source tree, page and models among it, byte for byte."""
    source = ROOT / "src"
    files = [path for path in (source / "unhiss").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(wheel) as archive:
        packed = {entry.filename: entry.CRC for entry in archive.infolist() if entry.filename.startswith("unhiss/")}
    assert packed == {path.relative_to(source).as_posix(): zlib.crc32(path.read_bytes()) for path in files}


def test_the_sdist_holds_what_a_packager_needs_and_nothing_that_git_ignores(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "constraints.txt", "Makefile", "CITATION.cff"}
    assert wanted <= names
    assert {"tests/conftest.py", "docs/architecture.md", "web/package-lock.json", "examples/noisy.wav"} <= names
    ignored = {".venv", "dist", "demo", "site", "runs", "peers", "node_modules", "__pycache__"}
    assert not [name for name in names if ignored & set(name.split("/"))]


def test_the_versions_of_package_citation_and_changelog_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.findall(r"^## \[(\d[^]]*)\]", changelog, re.MULTILINE)[0]
    assert project["version"] == unhiss.__version__ == newest
    assert f"\nversion: {newest}\n" in citation


def test_ci_tests_every_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    supported = {line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)}
    assert project["requires-python"] == ">=3.11,<3.14"
    assert supported == set(re.findall(r'"(3\.\d+)"', re.findall(r"python: \[(.*)\]", workflow)[0]))
    assert {"make lint", "make test", "make dist", "make docs"} <= set(re.findall(r"run: (make \w+)", workflow))
