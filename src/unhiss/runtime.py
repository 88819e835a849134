"""onnxruntime with its telemetry disabled."""

import os
from pathlib import Path
from typing import Any


def onnxruntime() -> Any:
    """The module. Since 1.29 it sends usage data to its vendor and stores it in the home folder unless disabled."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as module

    return module


def cpu_session(path: Path, threads: int = 0) -> Any:
    """A session that runs the graph on the processor, with that many threads; 0 takes all cores."""
    module = onnxruntime()
    options = module.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3  # errors alone
    return module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
