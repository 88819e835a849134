"""Results of a long run, kept in a file as they are finished: a run that was killed and is repeated skips them."""

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from unhiss.atomic import atomic_write
from unhiss.errors import UnhissError

NAME = ".unhiss-ledger.jsonl"


class Ledger:
    """A file of JSON lines, [key, result] of each finished item. `done` is its content: key -> result.

    fingerprint: identifies the inputs and settings of a run. The first line keeps it, with `metadata` of the first
    start and a random name of the run, `run_id`. None: keys identify all that a result depends on; no first line.
    pack, unpack: convert a result to what JSON can hold, and back. A line that a crash cut off is ignored.
    Raises UnhissError if the file belongs to a run with another fingerprint.
    """

    def __init__(
        self, path: Path, fingerprint: str | None = None, metadata: dict[str, Any] | None = None,
        pack: Callable[[Any], Any] = lambda result: result, unpack: Callable[[Any], Any] = lambda packed: packed,
    ) -> None:  # fmt: skip
        self.path, self._pack = path, pack
        self.metadata: dict[str, Any] = {}
        self.run_id = ""
        self.done: dict[int | str, Any] = {}
        if fingerprint is not None and not path.is_file():
            self._create(fingerprint, metadata or {})
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        lines = text.split("\n")
        if fingerprint is not None:
            self._check_header(lines.pop(0), fingerprint)
        for line in lines[:-1]:
            try:
                key, packed = json.loads(line)
            except (ValueError, TypeError):  # cut off by a crash
                continue
            self.done[key] = unpack(packed)
        self._ends_with_newline = not lines[-1:] or not lines[-1]

    def _create(self, fingerprint: str, metadata: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        header = metadata | {"fingerprint": fingerprint, "run": uuid.uuid4().hex}
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(header) + "\n", encoding="utf-8")

    def _check_header(self, line: str, fingerprint: str) -> None:
        with suppress(ValueError, KeyError, TypeError, AttributeError):  # of a file that is no ledger
            header = json.loads(line)
            if header.pop("fingerprint") == fingerprint:
                self.run_id, self.metadata = header.pop("run"), header
                return
        raise UnhissError(f"{self.path} is of a run with other inputs or settings; repeat that one, or remove the file")

    def add(self, key: int | str, result: Any) -> None:
        line = json.dumps([key, self._pack(result)], ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if self._ends_with_newline else "\n") + line + "\n")
        self._ends_with_newline = True

    def remove(self) -> None:
        """Delete the file: the run is complete."""
        self.path.unlink(missing_ok=True)
