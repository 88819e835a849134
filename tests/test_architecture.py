"""The layer table of docs/architecture.md, held against the code by reading its imports."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "unhiss"


@dataclass(frozen=True)
class Package:
    """A module or folder right under src/unhiss: its layer, and the third parties it may import."""

    layer: int
    third_parties: frozenset[str] = frozenset()


PACKAGES = {
    "errors": Package(0),
    "legacy": Package(0),
    "arguments": Package(1),
    "atomic": Package(1),
    "markup": Package(1),
    "runtime": Package(1, frozenset({"onnxruntime"})),
    "remote": Package(1, frozenset({"fsspec"})),
    "settings": Package(1),
    "config": Package(2),
    "weights": Package(2, frozenset({"numpy"})),
    "dsp": Package(1, frozenset({"numpy", "soxr", "PIL"})),
    "media": Package(2, frozenset({"numpy", "soundfile", "PIL", "av"})),
    "fleet": Package(2, frozenset({"ray"})),
    "data": Package(3, frozenset({"numpy", "filelock"})),
    "infer": Package(3, frozenset({"numpy"})),
    "score": Package(3, frozenset({"numpy", "pesq", "pystoi", "speechmos", "pocketsphinx"})),
    "train": Package(
        4,
        frozenset({"numpy", "torch", "safetensors", "onnx", "matplotlib", "tensorboard", "pyroomacoustics", "triton"}),
    ),
    "serve": Package(
        4, frozenset({"numpy", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client", "ray"})
    ),
    "live": Package(4, frozenset({"numpy", "sounddevice", "pulsectl"})),
    "cli": Package(5, frozenset({"numpy", "click", "tqdm"})),
    "__main__": Package(6),
}
PACKAGE_EXTRAS = ("media", "eval", "asr", "live", "train", "serve", "ray", "remote")
FACE = "__init__"  # unhiss/__init__.py: names that load on first use; it may point anywhere
DISTRIBUTIONS = {
    "pillow": "PIL",
    "python-multipart": "python_multipart",
    "prometheus-client": "prometheus_client",
}  # where pip's name and the import's differ
LAZY_AT_IMPORT = {"click", "unhiss"}  # all that cli may import while it is being imported

MODULES = sorted(SOURCE.rglob("*.py"))
WRITTEN = sorted(path for folder in ("src", "tests", "scripts", "bench") for path in (ROOT / folder).rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def module_of(path: Path) -> str:
    parts = ("unhiss", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def show(path: Path, line: int | None = None) -> str:
    return str(path.relative_to(ROOT)) + (f":{line}" if line else "")


def imports(path: Path, tree: ast.AST | None = None) -> list[tuple[int, str]]:
    """(line, dotted name) of everything a file imports, wherever in the file; relative names resolved."""
    found = []
    for node in ast.walk(tree or ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_of(path).split(".")
                keep = len(package) - node.level + (path.name == "__init__.py")
                base = ".".join([*package[:keep], *([base] if base else [])])
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))
            found += [(node.lineno, name) for name in names if isinstance(name, str)]
    return found


def at_import_time(tree: ast.Module) -> ast.Module:
    """The tree without function bodies and `if TYPE_CHECKING`: what runs when the module is imported."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return Strip().visit(tree)


def inner_package(name: str) -> str | None:
    """The package that `unhiss.X.y` stands for; None for the bare package and for its version."""
    parts = name.split(".")
    return parts[1] if parts[0] == "unhiss" and len(parts) > 1 and parts[1] != "__version__" else None


def test_every_module_belongs_to_a_package_of_the_table() -> None:
    strangers = {package_of(path) for path in MODULES} - {*PACKAGES, FACE}
    assert not strangers, f"no layer for {strangers}: give it one here and in docs/architecture.md"


def test_the_documented_table_is_this_one() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    documented = {cells[0].strip(" `/"): int(cells[1]) for cells in rows if cells[1].strip().isdigit()}
    assert documented == {name: package.layer for name, package in PACKAGES.items() if name != "__main__"}


def test_a_package_imports_only_packages_of_lower_layers() -> None:
    wrong = []
    for path in MODULES:
        here = package_of(path)
        if here == FACE:
            continue
        for line, name in imports(path):
            there = inner_package(name)
            if name == "unhiss":  # its lazy names would reach any layer unseen
                wrong.append(f"{show(path, line)} imports the whole of unhiss")
            if there in (None, here):
                continue
            if there not in PACKAGES or PACKAGES[there].layer >= PACKAGES[here].layer:
                wrong.append(f"{show(path, line)} imports {name}")
    assert not wrong, "\n".join(["only layers below may be imported:", *wrong])


def test_modules_import_each_other_in_no_circle() -> None:
    known = {module_of(path) for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        if package_of(path) == FACE:
            continue
        # `from unhiss.dsp import stft` names a module, `from unhiss.dsp.stft import stft` something in one.
        names = {n if n in known else n.rpartition(".")[0] for _, n in imports(path)}
        graph[module_of(path)] = (names & known) - {module_of(path), "unhiss"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_package_imports_only_its_third_parties() -> None:
    wrong = []
    for path in MODULES:
        allowed = PACKAGES[package_of(path)].third_parties if package_of(path) != FACE else frozenset()
        for line, name in imports(path):
            top = name.split(".")[0]
            if top not in {"unhiss", *sys.stdlib_module_names, *allowed}:
                wrong.append(f"{show(path, line)} imports {top}")
    assert not wrong, "\n".join(["not in this package's list of third parties:", *wrong])


def test_torch_is_imported_in_train_alone() -> None:
    users = {package_of(path) for path in MODULES for _, name in imports(path) if name.split(".")[0] == "torch"}
    assert users <= {"train"}


def test_third_parties_are_declared_in_pyproject() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name in PACKAGE_EXTRAS for line in extras[name])]
    names = [re.split(r"[>\[]", requirement)[0] for requirement in wanted]
    declared = {DISTRIBUTIONS.get(name, name) for name in names}
    optional = {"tensorboard", "triton"}  # used where it is installed, never asked for
    assert frozenset().union(*(package.third_parties for package in PACKAGES.values())) - optional == declared


def test_commands_load_nothing_heavy_before_they_run() -> None:
    wrong = []
    for path in sorted((SOURCE / "cli").glob("*.py")):
        tree = at_import_time(ast.parse(path.read_text(encoding="utf-8")))
        for line, name in imports(path, tree):
            top = name.split(".")[0]
            light = top in sys.stdlib_module_names or top in LAZY_AT_IMPORT
            if not light or inner_package(name) not in (None, "errors", "cli"):
                wrong.append(f"{show(path, line)} imports {name}")
    assert not wrong, "\n".join(["move these into the function that needs them:", *wrong])


def test_scripts_and_benchmarks_import_only_names_that_exist() -> None:
    """Neither the tests nor mypy run over them, so a module that moved is missed there."""
    wrong = []
    for path in (path for folder in ("scripts", "bench") for path in sorted((ROOT / folder).glob("*.py"))):
        for line, name in imports(path):
            if name.split(".")[0] == "unhiss":
                try:
                    pkgutil.resolve_name(name)
                except (ImportError, AttributeError):
                    wrong.append(f"{show(path, line)} imports {name}")
    assert not wrong, "\n".join(["there is nothing of this name:", *wrong])


def test_files_have_at_most_300_lines() -> None:
    sizes = {show(path): len(path.read_text(encoding="utf-8").splitlines()) for path in WRITTEN}
    assert not {name: size for name, size in sizes.items() if size > 300}


def test_functions_have_at_most_40_lines() -> None:
    long = []
    for path in WRITTEN:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > 40:
                    long.append(f"{show(path, node.lineno)} {node.name}: {size} lines")
    assert not long, "\n".join(long)


def test_no_module_has_a_name_that_says_nothing() -> None:
    nothing = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
    assert not [show(path) for path in WRITTEN if path.name in nothing]
