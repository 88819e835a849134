"""onnxruntime with its telemetry disabled."""

from __future__ import annotations

import os
from typing import Any


def onnxruntime() -> Any:
    """The module. Since 1.29 it sends usage data to its vendor and stores it in the home folder unless disabled."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module

    return module
