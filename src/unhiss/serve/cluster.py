"""The server on many machines, by Ray Serve: `serve run unhiss.serve.cluster:app replicas=4 model=small`.

Each replica is a whole server, with its own limits, desk of ticks and processes for files. Ray's proxy brings a request
or a WebSocket to one of them, where it stays; all have one state key, so that a stream can go on at another.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import secrets
from collections.abc import Mapping
from typing import Any

from unhiss.errors import ConfigError, nearest, need
from unhiss.serve.limits import Limits
from unhiss.serve.service import Service, Settings
from unhiss.weights import DEFAULT

ASIDE = 64  # requests of a replica that may run beside its streams and files: pages, health, metrics

_LIMITS = {field.name: field.default for field in dataclasses.fields(Limits)}
_OWN = {"model": DEFAULT, "replicas": 1, "insecure": False}


def app(given: dict[str, Any]) -> Any:
    """What Ray Serve calls with the words of `serve run`, or `args` of its YAML, to know what to run.

    given: model, replicas, insecure, and any of unhiss.serve.limits.Limits. Secrets come from UNHISS_TOKEN and
    UNHISS_STATE_KEY of whoever deploys. Raises ConfigError, ModelError, MissingExtra.
    """
    need("ray-serve", "ray.serve", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    serve: Any = importlib.import_module("ray.serve")
    settings, replicas = chosen(given, os.environ)
    limits = settings.limits

    def server() -> Any:
        from unhiss.serve.app import build  # in the replica

        return build(Service(settings))

    deployment = serve.deployment(
        serve.ingress(server)(), name="unhiss", num_replicas=replicas,
        max_ongoing_requests=limits.streams + limits.files + ASIDE,  # who is too many is told by unhiss, and why
        graceful_shutdown_timeout_s=limits.drain_s, graceful_shutdown_wait_loop_s=min(1.0, limits.drain_s),
    )  # fmt: skip
    return deployment.bind()


def chosen(given: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[Settings, int]:
    """Settings of every replica, and how many. Values may be text. Raises ConfigError."""
    known = _OWN | _LIMITS
    for name in given:
        if name not in known:
            raise ConfigError(f"{name!r} is no setting of the server; {nearest(name, list(known))}")
    values = {name: _typed(name, given[name], known[name]) for name in given}
    replicas = values.get("replicas", 1)
    if replicas < 1:
        raise ConfigError(f"replicas = {replicas}; expected 1 or more")
    token = environment.get("UNHISS_TOKEN", "")
    if not (token or values.get("insecure")):
        raise ConfigError("no token, and others may reach Ray's proxies; set UNHISS_TOKEN, or say insecure=true")
    limits = Limits(**{name: value for name, value in values.items() if name in _LIMITS})
    key = environment.get("UNHISS_STATE_KEY") or secrets.token_hex(32)
    settings = Settings(model=values.get("model", DEFAULT), token=token, state_key=key, limits=limits)
    return settings, replicas


def _typed(name: str, value: Any, default: Any) -> Any:
    """A value of the default's kind, as YAML has it or as text."""
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        return kind(value)
    except (ValueError, TypeError, KeyError):
        raise ConfigError(f"{name} = {value!r}; expected {kind.__name__}") from None
