"""The ledger of `unhiss denoise`: which recordings, settings and model a run is of, and what of it is done."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unhiss.cli.sources import Job
    from unhiss.fleet.ledger import Ledger
    from unhiss.infer.files import FileReport
    from unhiss.remote import RemotePath


def ledger(path: Path, todo: list[Job], model: dict[str, Any], file: dict[str, Any]) -> Ledger:
    """The ledger at `path`, created or resumed. Its metadata["there"]: jobs that had an output before the first start.

    Raises UnhissError if it is of other recordings, settings or another model.
    """
    from unhiss.fleet.ledger import Ledger

    there = [number for number, job in enumerate(todo) if job.target.exists()]
    return Ledger(path, _fingerprint(todo, model, file), {"there": there}, pack=_packed, unpack=_unpacked)


def _fingerprint(todo: list[Job], model: dict[str, Any], file: dict[str, Any]) -> str:
    from unhiss.weights import find

    digest = hashlib.sha256(find(model["model"]).read_bytes())
    digest.update(repr((model, file)).encode())
    for job in todo:
        digest.update(repr((str(job.source), str(job.target), str(job.residual), _state(job.source))).encode())
    return digest.hexdigest()


def _state(source: Path | RemotePath) -> tuple[int, int]:
    """Size and time of change, so that a recording that was replaced is no longer done."""
    if not isinstance(source, Path):
        return 0, 0
    try:
        facts = source.stat()
    except OSError:
        return 0, 0
    return facts.st_size, facts.st_mtime_ns


def _packed(report: FileReport) -> dict[str, Any]:
    return {name: _exact(value) for name, value in asdict(report).items()}


def _exact(value: Any) -> Any:
    return float(value) if isinstance(value, float) else value  # numpy's floats too


def _unpacked(kept: dict[str, Any]) -> FileReport:
    from unhiss.infer.files import FileReport

    return FileReport(**kept | {"warnings": tuple(kept["warnings"])})
