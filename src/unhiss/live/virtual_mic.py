"""A microphone that call programs can choose, and that plays what unhiss makes.

    unhiss live ──► "Unhiss output" (a sink)  ~~►  "Unhiss microphone" (a source) ──► the call program

On Linux the sound server makes both: at once, by pactl; and from the next login on, by a file of settings. On macOS and
Windows no program without a driver of its own can; there a free cable is looked for.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from unhiss.atomic import atomic_write
from unhiss.errors import AudioError
from unhiss.live.devices import SINK, SOURCE, Device
from unhiss.live.pulse import pactl

BEGIN, END = "# >>> unhiss: virtual microphone", "# <<< unhiss: virtual microphone"
CABLES = {
    "darwin": ("BlackHole", "https://existential.audio/blackhole/"),
    "win32": ("CABLE", "https://vb-audio.com/Cable/"),
}
# As pactl and default.pa take them; a description with a space stands in quotes within quotes.
MODULES = (
    f"module-null-sink sink_name={SINK} channels=2 sink_properties='device.description=\"Unhiss output\"'",
    f"module-remap-source master={SINK}.monitor source_name={SOURCE} "
    "source_properties='device.description=\"Unhiss microphone\"'",
)
INCLUDE = ".include /etc/pulse/default.pa\n"  # a default.pa of one's own takes the place of the system's
# A loopback whose one side is a sink and whose other side is a source: PipeWire's own way to make such a pair.
PIPEWIRE = f"""{BEGIN}
context.modules = [
  {{ name = libpipewire-module-loopback
    args = {{
      node.description = "Unhiss microphone"
      audio.position = [ FL FR ]
      capture.props = {{ media.class = Audio/Sink, node.name = {SINK}, node.description = "Unhiss output" }}
      playback.props = {{ media.class = Audio/Source, node.name = {SOURCE}, node.description = "Unhiss microphone" }}
    }}
  }}
]
{END}
"""


def install() -> list[str]:
    """Make the microphone, now and for later logins; lines that say what was done. Raises AudioError."""
    remove()
    for module in MODULES:
        pactl("load-module", *_words(module))
    pipewire = "PipeWire" in pactl("info")
    path = _settings()[pipewire]
    if pipewire:
        text = PIPEWIRE
    else:
        before = path.read_text(encoding="utf-8") if path.exists() else INCLUDE
        lines = "".join(f"load-module {module}\n" for module in MODULES)
        text = f"{before.rstrip()}\n{BEGIN}\n{lines}{END}\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return [
        '"Unhiss microphone" is there: choose it in the call program, and run unhiss live',
        f"kept for later logins: {path}",
    ]


def remove() -> list[str]:
    """Undo `install`: modules and settings. Raises AudioError where there is no sound server."""
    done = []
    for line in reversed(pactl("list", "short", "modules").splitlines()):
        number, _, facts = line.partition("\t")
        if f"sink_name={SINK}" in facts or f"source_name={SOURCE}" in facts:
            pactl("unload-module", number)
            done.append(f"taken away: {facts.split()[0]}")
    for path in _settings().values():
        if path.exists() and BEGIN in (text := path.read_text(encoding="utf-8")):
            rest = text[: text.index(BEGIN)] + text[text.index(END) + len(END) + 1 :]
            if rest.strip() in ("", INCLUDE.strip()):
                path.unlink()
            else:
                with atomic_write(path) as draft:
                    draft.write_text(rest, encoding="utf-8")
            done.append(f"taken out of {path}")
    return done or ["there was no virtual microphone"]


def cable(known: list[Device]) -> str:
    """What to do on macOS or Windows: which cable to choose, or where to get one."""
    name, page = CABLES.get(sys.platform, CABLES["win32"])
    found = next((device for device in known if device.side == "out" and name.lower() in device.label.lower()), None)
    if found is None:
        raise AudioError(f"no {name} among the devices; install it from {page}, then run this again")
    return f"run: unhiss live --out {found.number}, and choose {found.label!r} as the microphone in the call program"


def _words(module: str) -> list[str]:
    """As a shell of pactl's would hand them on: the outer quotes stay, for the sound server reads them."""
    return re.findall(r"(?:[^\s']|'[^']*')+", module)


def _settings() -> dict[bool, Path]:
    """The file of PipeWire (True) and that of PulseAudio (False)."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {True: home / "pipewire/pipewire.conf.d/50-unhiss-microphone.conf", False: home / "pulse/default.pa"}
