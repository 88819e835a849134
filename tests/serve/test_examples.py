"""examples/serving: the container is not built here, but the files and options it names exist."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from unhiss.cli.serve import command

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "examples" / "serving"
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


@pytest.fixture
def services() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return tree


def test_the_files_that_the_container_copies_exist_and_are_not_ignored() -> None:
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    names = [name for line in lines for name in line.split()[:-1]]
    kept = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    assert len(names) >= 7
    for name in names:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept), name


def test_the_container_starts_the_server_with_valid_options(services: dict[str, Any]) -> None:
    entrypoint = re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    assert entrypoint
    words = json.loads(entrypoint[1])
    assert words[:2] == ["unhiss", "serve"]
    for name in ("one", "two"):
        options = command.make_context("serve", [*words[2:], *services[name]["command"]]).params
        assert (options["host"], options["port"]) == ("0.0.0.0", 8000)
        grace = services[name]["stop_grace_period"]
        assert float(grace.removesuffix("s")) > options["drain_s"], "killed before it has drained"


def test_both_servers_get_the_secrets_that_unhiss_reads(services: dict[str, Any]) -> None:
    variables = {option.envvar for option in command.params if getattr(option, "envvar", None)}
    assert services["one"]["environment"] == services["two"]["environment"]
    assert services["one"]["environment"].keys() == variables == {"UNHISS_TOKEN", "UNHISS_STATE_KEY"}


@pytest.mark.parametrize("name", ["haproxy.cfg", "nginx.conf"])
def test_the_proxies_name_the_servers_of_the_compose_file(name: str, services: dict[str, Any]) -> None:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    servers = [line.split()[1:3] for line in lines if re.match(r"\s+server \w", line)]
    hosts = {word.partition(":")[0] for words in servers for word in words if ":" in word}
    assert hosts == services.keys() - {"proxy"}


def test_the_documented_options_of_ray_serve_are_valid() -> None:
    from unhiss.serve.ray_app import parse_options

    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (line,) = [
        line for line in page.splitlines() if "serve run unhiss.serve.ray_app:app" in line and "UNHISS_TOKEN" in line
    ]
    words = [word.split("=") for word in shlex.split(line)]
    config, replicas = parse_options(dict(words[4:]), dict([words[0]]))
    assert (replicas, config.limits.max_streams, config.token) == (4, 64, "secret")
