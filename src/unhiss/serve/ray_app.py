"""The server on many machines, with Ray Serve: `serve run unhiss.serve.ray_app:app replicas=4 model=small`.

Each replica is a complete server with its own limits, batcher and worker processes. Ray's proxy sends a request or a
WebSocket to one of them and keeps it there; all share one state key, so that a stream can continue on another.
"""

import dataclasses
import importlib
import os
import secrets
from collections.abc import Mapping
from typing import Any

from unhiss.errors import ConfigError, nearest, need
from unhiss.serve.limits import Limits
from unhiss.serve.service import ServerConfig, Service
from unhiss.weights import DEFAULT

OTHER_REQUESTS = 64  # that a replica may run beside its streams and files: pages, health, metrics

_LIMITS = {field.name: field.default for field in dataclasses.fields(Limits)}
_DEFAULTS = {"model": DEFAULT, "replicas": 1, "insecure": False, **_LIMITS}


def app(options: dict[str, Any]) -> Any:
    """The Ray Serve application; Ray calls it with the options of `serve run`, or `args` of its YAML file.

    options: model, replicas, insecure, and the fields of unhiss.serve.limits.Limits. The secrets are read from
    UNHISS_TOKEN and UNHISS_STATE_KEY where it is deployed. Raises ConfigError, ModelError, MissingExtra.
    """
    need("ray-serve", "ray.serve", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    serve: Any = importlib.import_module("ray.serve")
    config, replicas = parse_options(options, os.environ)
    limits = config.limits

    def create_app() -> Any:
        from unhiss.serve.app import build_app  # in the replica

        return build_app(Service(config))

    deployment = serve.deployment(
        serve.ingress(create_app)(), name="unhiss", num_replicas=replicas,
        max_ongoing_requests=limits.max_streams + limits.max_files + OTHER_REQUESTS,  # unhiss itself rejects the rest
        graceful_shutdown_timeout_s=limits.drain_s, graceful_shutdown_wait_loop_s=min(1.0, limits.drain_s),
    )  # fmt: skip
    return deployment.bind()


def parse_options(options: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[ServerConfig, int]:
    """The configuration of every replica, and their number. Values may be text. Raises ConfigError."""
    for name in options:
        if name not in _DEFAULTS:
            raise ConfigError(f"unknown option {name!r} of the server; {nearest(name, list(_DEFAULTS))}")
    values = {name: _convert(name, value, _DEFAULTS[name]) for name, value in options.items()}
    replicas = values.get("replicas", 1)
    if replicas < 1:
        raise ConfigError(f"replicas = {replicas}; expected 1 or more")
    token = environment.get("UNHISS_TOKEN", "")
    if not (token or values.get("insecure")):
        raise ConfigError("no token, and others may reach Ray's proxies; set UNHISS_TOKEN, or pass insecure=true")
    limits = Limits(**{name: value for name, value in values.items() if name in _LIMITS})
    key = environment.get("UNHISS_STATE_KEY") or secrets.token_hex(32)
    return ServerConfig(model=values.get("model", DEFAULT), token=token, state_key=key, limits=limits), replicas


def _convert(name: str, value: Any, default: Any) -> Any:
    """A value, maybe as text, as the type of the default."""
    kind = type(default)
    try:
        return {"true": True, "false": False}[str(value).lower()] if kind is bool else kind(value)
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{name} = {value!r}; expected {kind.__name__}") from None
