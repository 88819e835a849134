"""Output folders, local or remote: each holds the results of one set of settings, and one run at a time writes it."""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unhiss.atomic import TEMP_NAME
from unhiss.data.locks import RUN_LOCK, exclusive_lock, workers_ended
from unhiss.data.storage import save_text
from unhiss.errors import DataError
from unhiss.remote import RemotePath

PLAN = "plan.json"
WORKER_TIMEOUT_S = 30.0  # for the workers of a killed run to notice that it has ended


def refuse_foreign(folder: Path | RemotePath, what: str) -> None:
    """Raise DataError unless `folder` is absent, empty, or one that `claim_folder` has taken before."""
    if isinstance(folder, RemotePath):
        if folder.is_web:
            raise DataError(
                f"{folder}: {folder.scheme} can only be read; choose a folder, s3:// or gs:// for the {what}"
            )
        foreign = not (folder / PLAN).exists() and not folder.is_empty()
    elif folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; choose a folder for the {what}")
    else:
        foreign = folder.is_dir() and not (folder / PLAN).is_file() and any(
            not TEMP_NAME.fullmatch(entry.name) for entry in folder.iterdir()
        )  # fmt: skip
    if foreign:
        raise DataError(f"{folder} is not empty and holds no {what}; choose another folder")


@contextmanager
def claim_folder(folder: Path | RemotePath, fingerprint: str, what: str) -> Iterator[Path]:
    """Reserve `folder` for one run, and for one fingerprint of everything that decides its content.

    Yields a local folder for temporary files: `folder` itself, or for a remote one a folder that is removed at the end.
    When the block begins, every local worker of an earlier run has ended and its temporary files are removed. Raises
    DataError if the folder holds something else, or a run of this machine is writing it.
    """
    refuse_foreign(folder, what)
    if isinstance(folder, Path):
        with _claim_local(folder, fingerprint, what):
            yield folder
        return
    local = _local_folder(f"{folder} {fingerprint}")
    with _claim_local(local, fingerprint, f"{what} {folder} from"):
        try:
            _check_fingerprint(folder, fingerprint, what)
            yield local
        finally:
            shutil.rmtree(local, ignore_errors=True)


@contextmanager
def _claim_local(folder: Path, fingerprint: str, what: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder / RUN_LOCK) as acquired:
        if not acquired:
            raise DataError(f"another run is writing the {what} {folder}; wait for it, or choose another folder")
        _check_fingerprint(folder, fingerprint, what)
        if not workers_ended(folder, WORKER_TIMEOUT_S):
            raise DataError(f"processes of an earlier run still write to {folder}; end them, then try again")
        _remove_temporary(folder)
        try:
            yield
        finally:
            workers_ended(folder, 0)
            _remove_temporary(folder)


def _check_fingerprint(folder: Path | RemotePath, fingerprint: str, what: str) -> None:
    """Write the fingerprint into an unclaimed folder. Raises DataError if the folder has another one."""
    plan = folder / PLAN
    if not plan.exists():
        save_text(plan, json.dumps({"fingerprint": fingerprint}))
    try:
        existing = json.loads(plan.read_bytes())["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{plan} is damaged; remove {folder} and prepare it again") from error
    if existing != fingerprint:
        raise DataError(f"{folder} holds a {what} of other sources or settings; choose another folder or remove it")


def _local_folder(key: str) -> Path:
    """A folder for temporary files that no other user can enter, and that the same run finds again."""
    user = os.getuid() if sys.platform != "win32" else 0
    name = hashlib.sha256(f"{user} {key}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"unhiss-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if sys.platform != "win32" and (folder.is_symlink() or folder.stat().st_uid != user):
        raise DataError(f"{folder} belongs to another user; set TMPDIR to a folder of your own")
    return folder


def _remove_temporary(folder: Path) -> None:
    """Remove files that killed processes have left half-written; lock files are removed by who can lock them."""
    for path in [path for path in folder.rglob(".*.part") if TEMP_NAME.fullmatch(path.name)]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif not path.name.endswith(".lock.part"):
            path.unlink(missing_ok=True)
