"""examples/serving: nobody has built the container here, but what its files name is there and known to unhiss."""

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
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def test_what_the_container_copies_is_in_the_tree_and_not_ignored() -> None:
    lines = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    names = [name for line in lines for name in line.split()[:-1]]
    kept = [line[1:] for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"]
    assert len(names) >= 7
    for name in names:
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept), name


def test_the_container_starts_a_server_that_unhiss_knows(services: dict[str, Any]) -> None:
    start = re.search(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    assert start
    words = json.loads(start[1])
    assert words[:2] == ["unhiss", "serve"]
    for name in ("one", "two"):
        given = command.make_context("serve", [*words[2:], *services[name]["command"]]).params
        assert (given["host"], given["port"]) == ("0.0.0.0", 8000)
        grace = services[name]["stop_grace_period"]
        assert float(grace.removesuffix("s")) > given["drain_s"], "killed before it has drained"


def test_both_servers_share_the_secrets_that_unhiss_reads(services: dict[str, Any]) -> None:
    read = {option.envvar for option in command.params if getattr(option, "envvar", None)}
    assert services["one"]["environment"] == services["two"]["environment"]
    assert services["one"]["environment"].keys() == read == {"UNHISS_TOKEN", "UNHISS_STATE_KEY"}


@pytest.mark.parametrize("name", ["haproxy.cfg", "nginx.conf"])
def test_the_proxies_name_the_servers_of_the_compose_file(name: str, services: dict[str, Any]) -> None:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    servers = [line.split()[1:3] for line in lines if re.match(r"\s+server \w", line)]
    hosts = {word.partition(":")[0] for words in servers for word in words if ":" in word}
    assert hosts == services.keys() - {"proxy"}


def test_the_documented_words_of_ray_serve_are_settings() -> None:
    from unhiss.serve.cluster import chosen

    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    (line,) = [
        line for line in page.splitlines() if "serve run unhiss.serve.cluster:app" in line and "UNHISS_TOKEN" in line
    ]
    words = [word.split("=") for word in shlex.split(line)]
    settings, replicas = chosen(dict(words[4:]), dict([words[0]]))
    assert (replicas, settings.limits.streams, settings.token) == (4, 64, "secret")
