"""What is done of a long run, noted beside its output: a run that was killed and repeated does the rest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unhiss.atomic import atomic_write
from unhiss.errors import UnhissError

NAME = ".unhiss-ledger.jsonl"


class Ledger:
    """A file of JSON lines: first what run it is of, then [index, result] of each item that is done.

    fingerprint: equal runs have equal ones. facts: of the first start; `.facts` are those that stand in the file.
    pack, unpack: a result as JSON holds it, and back. A last line that a crash cut off counts as not done.
    Raises UnhissError if the file is of another run.
    """

    def __init__(
        self, path: Path, fingerprint: str, facts: dict[str, Any] | None = None,
        pack: Callable[[Any], Any] = lambda result: result, unpack: Callable[[Any], Any] = lambda kept: kept,
    ) -> None:  # fmt: skip
        self.path, self._pack = path, pack
        self.done: dict[int, Any] = {}
        if not path.is_file():
            self._begin(fingerprint, facts or {})
        head, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        try:
            self.facts: dict[str, Any] = json.loads(head)
            found = self.facts["fingerprint"]
        except (ValueError, KeyError, TypeError):
            found = None
        if found != fingerprint:
            raise UnhissError(f"{path} is of a run with other inputs or settings; repeat that one, or remove the file")
        self.run: str = self.facts["run"]
        for line in lines[:-1]:
            try:
                index, kept = json.loads(line)
            except ValueError:  # cut off, and gone on after
                continue
            self.done[index] = unpack(kept)
        self._ends = not (lines and lines[-1])

    def _begin(self, fingerprint: str, facts: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        head = facts | {"fingerprint": fingerprint, "run": uuid.uuid4().hex}
        with atomic_write(self.path) as draft:
            draft.write_text(json.dumps(head) + "\n", encoding="utf-8")

    def add(self, index: int, result: Any) -> None:
        line = json.dumps([index, self._pack(result)], ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(("" if self._ends else "\n") + line + "\n")
        self._ends = True

    def remove(self) -> None:
        """All is done: nothing is left to go on with."""
        self.path.unlink(missing_ok=True)
