"""The browser page of a server: whether this install has it, and the commands that add it where it is missing.

The page is built from web/ with npm. Published packages have it inside; a clone has it once it is built.
"""

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

STATIC = Path(__file__).parent / "static"
# For clients of the server, so without a path of its machine.
MISSING_PAGE = (
    "<p>This server runs, but this install of unhiss has no page.</p><p>If it was installed from a clone: "
    "<code>make web</code> there builds the page (with Node 18 and npm), and <code>pip install '.[serve]'</code> there "
    "puts it into the install; after <code>pip install -e</code> that is not needed. Then start the server again: it "
    'names these commands with their paths.</p><p>The API works without the page: <a href="docs">reference</a>, '
    '<a href="openapi.json">openapi.json</a>.</p>'
)


def has_page(static: Path = STATIC) -> bool:
    return (static / "index.html").is_file()


def page_commands() -> list[str]:
    """The shell commands after which a server that is started again has the page.

    In a clone, or installed from one with `pip install -e`: one that builds it. After a plain `pip install` of a
    clone, which has copied what was there: that, and the installation again.
    """
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    clone = STATIC.parents[3]
    if _is_clone(clone):
        return [f"make -C {shlex.quote(str(clone))} web"]
    if (source := _installed_from()) and _is_clone(source):
        return [f"make -C {shlex.quote(str(source))} web", f"{pip} {shlex.quote(f'{source}[serve]')}"]
    return [f"{pip} --force-reinstall --no-deps unhiss"]


def _is_clone(folder: Path) -> bool:
    return (folder / "web" / "package.json").is_file() and (folder / "Makefile").is_file()


def _installed_from() -> Path | None:
    """The folder that was given to `pip install`, as pip records it."""
    try:
        record = json.loads(distribution("unhiss").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    url = urlsplit(record.get("url", ""))
    return Path(url2pathname(url.path)) if url.scheme == "file" and "dir_info" in record else None
