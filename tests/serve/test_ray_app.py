"""The server on Ray Serve: every replica gets the options, and returns the offline result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import ROUND_OFF, noise, stream_audio

import unhiss
from unhiss.errors import ConfigError
from unhiss.serve.client import Client, ServerError
from unhiss.serve.http_server import listen
from unhiss.serve.ray_app import parse_options

SOURCE = Path(unhiss.__file__).parent.parent
TIMEOUT_S = 240.0
TOKEN = {"UNHISS_TOKEN": "geheim"}


def test_options_of_the_command_line_are_converted_to_their_types() -> None:
    config, replicas = parse_options({"replicas": "3", "model": "nano", "max_streams": "7", "idle_s": "2.5"}, TOKEN)
    assert (replicas, config.model, config.token) == (3, "nano", "geheim")
    assert (config.limits.max_streams, config.limits.idle_s, config.limits.max_files) == (7, 2.5, 16)


def test_replicas_share_a_random_state_key() -> None:
    keys = [parse_options({}, TOKEN)[0].state_key for _ in range(2)]
    assert keys[0] != keys[1] and min(map(len, keys)) >= 32
    assert parse_options({}, TOKEN | {"UNHISS_STATE_KEY": "ours"})[0].state_key == "ours"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"replica": "3"}, "did you mean 'replicas'"),
        ({"replicas": "many"}, "replicas = 'many'; expected int"),
        ({"replicas": 0}, "replicas = 0; expected 1 or more"),
        ({"insecure": "perhaps"}, "insecure = 'perhaps'; expected bool"),
        ({"max_streams": "-1"}, "max-streams = -1; expected more than 0"),
        ({"token": "geheim"}, "unknown option 'token'"),
    ],
)
def test_an_invalid_option_is_rejected_in_one_line(options: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        parse_options(options, TOKEN)


def test_without_a_token_insecure_is_required() -> None:
    with pytest.raises(ConfigError, match="set UNHISS_TOKEN, or pass insecure=true"):
        parse_options({}, {})
    assert parse_options({"insecure": "true"}, {})[0].token == ""


CLUSTER = """
import json, sys
import ray
from ray import serve
from unhiss.serve.ray_app import app

ray.init("local", num_cpus=4, object_store_memory=80 << 20, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
serve.run(app(json.loads(sys.argv[2])))
print("ready", flush=True)
sys.stdin.read()  # until the test is done
serve.shutdown()
ray.shutdown()
"""


@pytest.fixture(scope="session")
def replicas(leveller: Path) -> Iterator[Client]:
    """A client of two replicas on a local Ray cluster."""
    pytest.importorskip("ray.serve", reason="pip install 'unhiss[ray-serve]'")
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
    environment = os.environ | TOKEN | {
        "PYTHONPATH": str(SOURCE), "RAY_memory_monitor_refresh_ms": "0", "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "180",  # on a busy machine
    }  # fmt: skip
    options = {"model": str(leveller), "replicas": 2, "drain_s": 1}
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(port), json.dumps(options)], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert cluster.stdout
        if "ready" not in cluster.stdout.read(6):
            pytest.fail(cluster.communicate()[1])
        yield Client(f"http://127.0.0.1:{port}", "geheim", timeout_s=TIMEOUT_S)
        cluster.communicate("", timeout=TIMEOUT_S)
    finally:
        if cluster.poll() is None:
            os.killpg(cluster.pid, 9)
            cluster.communicate()


@pytest.mark.soak
def test_replicas_on_ray_return_the_offline_result(
    replicas: Client, leveller: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    audio = noise(rng, 1, 44100)
    expected = unhiss.denoise(audio, 44100, model=leveller)
    np.testing.assert_allclose(stream_audio(replicas, audio, 44100, 882), expected, atol=ROUND_OFF)
    unhiss.write(tmp_path / "noisy.wav", audio, 44100, "FLOAT")
    replicas.denoise_file(tmp_path / "noisy.wav", tmp_path / "clean.wav", format="wav")
    np.testing.assert_allclose(np.atleast_2d(unhiss.read(tmp_path / "clean.wav")[0]), expected, atol=ROUND_OFF)
    with pytest.raises(ServerError) as error:
        Client(replicas._url.geturl(), "wrong").models()
    assert error.value.status == 401
    # Of many new streams, Ray gives some to the other replica.
    parts, state = [], ""
    for block in np.split(audio, 10, axis=1):
        with replicas.stream(44100, state=state) as stream:
            parts.append(stream.push(block))
            state = stream.save()
    with replicas.stream(44100, state=state) as stream:
        parts.append(stream.flush())
    result = np.concatenate(parts, axis=1)[:, stream.latency.samples :]
    np.testing.assert_allclose(result, expected, atol=ROUND_OFF)
