"""The server on Ray Serve: what is asked for is what every replica gets, and a replica gives the offline result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import ROUND_OFF, noise, streamed

import unhiss
from unhiss.errors import ConfigError
from unhiss.serve.client import Client, ServerError
from unhiss.serve.cluster import chosen
from unhiss.serve.run import listen

SOURCE = Path(unhiss.__file__).parent.parent
PATIENCE_S = 240.0
TOKEN = {"UNHISS_TOKEN": "geheim"}


def test_words_of_the_command_line_become_settings_of_their_kind() -> None:
    settings, replicas = chosen({"replicas": "3", "model": "nano", "streams": "7", "idle_s": "2.5"}, TOKEN)
    assert (replicas, settings.model, settings.token) == (3, "nano", "geheim")
    assert (settings.limits.streams, settings.limits.idle_s, settings.limits.files) == (7, 2.5, 16)


def test_replicas_share_a_state_key_that_nobody_else_has() -> None:
    keys = [chosen({}, TOKEN)[0].state_key for _ in range(2)]
    assert keys[0] != keys[1] and min(map(len, keys)) >= 32
    assert chosen({}, TOKEN | {"UNHISS_STATE_KEY": "ours"})[0].state_key == "ours"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"replica": "3"}, "did you mean 'replicas'"),
        ({"replicas": "many"}, "replicas = 'many'; expected int"),
        ({"replicas": 0}, "replicas = 0; expected 1 or more"),
        ({"insecure": "perhaps"}, "insecure = 'perhaps'; expected bool"),
        ({"streams": "-1"}, "streams = -1; expected more than 0"),
        ({"token": "geheim"}, "'token' is no setting"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        chosen(given, TOKEN)


def test_without_a_token_it_must_be_said_to_be_meant() -> None:
    with pytest.raises(ConfigError, match="set UNHISS_TOKEN, or say insecure=true"):
        chosen({}, {})
    assert chosen({"insecure": "true"}, {})[0].token == ""


CLUSTER = """
import json, sys
import ray
from ray import serve
from unhiss.serve.cluster import app

ray.init("local", num_cpus=4, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(app(json.loads(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()  # until the test has seen enough
serve.shutdown()
ray.shutdown()
"""


@pytest.fixture
def replicas(leveller: Path) -> Iterator[Client]:
    """A client of two replicas on a local Ray."""
    pytest.importorskip("ray.serve", reason="pip install 'unhiss[ray-serve]'")
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
    environment = os.environ | TOKEN | {
        "PYTHONPATH": str(SOURCE), "RAY_memory_monitor_refresh_ms": "0", "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180",  # beside whatever else runs here
    }  # fmt: skip
    given = {"model": str(leveller), "replicas": 2, "drain_s": 1}
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(port), json.dumps(given)], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert cluster.stdout
        if "ready" not in cluster.stdout.read(6):
            pytest.fail(cluster.communicate()[1])
        yield Client(f"http://127.0.0.1:{port}", "geheim", timeout_s=PATIENCE_S)
        cluster.communicate("", timeout=PATIENCE_S)
    finally:
        if cluster.poll() is None:
            os.killpg(cluster.pid, 9)
            cluster.communicate()


@pytest.mark.soak
def test_replicas_on_ray_give_the_offline_result(
    replicas: Client, leveller: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    sound = noise(rng, 1, 44100)
    wanted = unhiss.denoise(sound, 44100, model=leveller)
    np.testing.assert_allclose(streamed(replicas, sound, 44100, 882), wanted, atol=ROUND_OFF)
    unhiss.write(tmp_path / "noisy.wav", sound, 44100, "FLOAT")
    replicas.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", format="wav")
    np.testing.assert_allclose(np.atleast_2d(unhiss.read(tmp_path / "clean.wav")[0]), wanted, atol=ROUND_OFF)
    with pytest.raises(ServerError) as refused:
        Client(replicas._url.geturl(), "wrong").models()
    assert refused.value.status == 401
    # Many handovers: with two replicas that Ray chooses between, some are from one to the other.
    parts, state = [], ""
    for block in np.split(sound, 10, axis=1):
        with replicas.stream(44100, **({"state": state} if state else {})) as stream:
            parts.append(stream.push(block))
            state = stream.save()
    with replicas.stream(44100, state=state) as stream:
        parts.append(stream.flush())
    found = np.concatenate(parts, axis=1)[:, stream.latency.samples :]
    np.testing.assert_allclose(found, wanted, atol=ROUND_OFF)
