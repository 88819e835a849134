"""onnxruntime, with nothing of what it does sent anywhere."""

from __future__ import annotations

import os
from typing import Any


def onnxruntime() -> Any:
    """The module. From 1.29 on it reports its use to its maker and keeps a database at home, unless told not to."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module

    return module
