"""A build hook of hatchling: no sdist, and no wheel of an sdist, lacks the browser page.

A wheel of a clone may lack it, since `pip install .` must work without npm; the build and `unhiss serve` then say so.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "src/unhiss/serve/static/index.html"
ADVICE = "`make web` builds it, with Node 18 and npm"


class PageHook(BuildHookInterface):
    """Checks for the page before anything is written."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """version: "standard" or "editable"; an editable install shows the page as soon as it is built."""
        root = Path(self.root)
        if version == "editable" or (root / PAGE).is_file():
            return
        if self.target_name == "sdist" or (root / "PKG-INFO").is_file():
            raise RuntimeError(f"{PAGE} is missing, the browser page of unhiss serve; {ADVICE}")
        self.app.display_warning(f"this wheel lacks the browser page of unhiss serve: {PAGE} is missing; {ADVICE}")
