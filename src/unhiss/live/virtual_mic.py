"""A virtual microphone: call programs record from it what unhiss plays.

    unhiss live ──► "Unhiss output" (a sink)  ~~►  "Unhiss microphone" (a source) ──► the call program

On Linux the sound server provides both: at once, by modules; and after each login, by a configuration file. On macOS
and Windows that takes a driver, so there an installed virtual cable is used.
"""

import os
import sys
from pathlib import Path

from unhiss.atomic import atomic_write
from unhiss.errors import AudioError
from unhiss.live.devices import SINK, SOURCE, Device
from unhiss.live.pulse import connect

BEGIN, END = "# >>> unhiss: virtual microphone", "# <<< unhiss: virtual microphone"
CABLES = {
    "darwin": ("BlackHole", "https://existential.audio/blackhole/"),
    "win32": ("CABLE", "https://vb-audio.com/Cable/"),
}
# Module and arguments, as in default.pa; a description with a space needs quotes within quotes.
MODULES = (
    f"module-null-sink sink_name={SINK} channels=2 sink_properties='device.description=\"Unhiss output\"'",
    f"module-remap-source master={SINK}.monitor source_name={SOURCE} "
    "source_properties='device.description=\"Unhiss microphone\"'",
)
INCLUDE = ".include /etc/pulse/default.pa\n"  # a user's default.pa replaces the system's
# A loopback from a sink to a source: PipeWire's own way to make such a pair.
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
    """Create the microphone, now and for later logins; lines that report it. Raises AudioError."""
    remove()
    with connect() as server:
        for module in MODULES:
            server.module_load(*module.split(" ", 1))
        pipewire = "PipeWire" in server.server_info().server_name
    path = _config_paths()[pipewire]
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
        '"Unhiss microphone" is available: choose it in the call program, and run unhiss live',
        f"saved for later logins: {path}",
    ]


def remove() -> list[str]:
    """Undo `install`: modules and configuration; lines that report it. Raises AudioError without a sound server."""
    lines = []
    with connect() as server:
        for module in reversed(server.module_list()):
            if any(name in (module.argument or "").split() for name in (f"sink_name={SINK}", f"source_name={SOURCE}")):
                server.module_unload(module.index)
                lines.append(f"unloaded: {module.name}")
    for path in _config_paths().values():
        if path.exists() and BEGIN in (text := path.read_text(encoding="utf-8")):
            rest = text[: text.index(BEGIN)] + text[text.index(END) + len(END) + 1 :]
            if rest.strip() in ("", INCLUDE.strip()):
                path.unlink()
            else:
                with atomic_write(path) as draft:
                    draft.write_text(rest, encoding="utf-8")
            lines.append(f"removed from {path}")
    return lines or ["there was no virtual microphone"]


def cable_instructions(devices: list[Device]) -> str:
    """What to do on macOS or Windows. Raises AudioError, with where to get one, if no virtual cable is installed."""
    name, page = CABLES.get(sys.platform, CABLES["win32"])
    cable = next((device for device in devices if device.side == "out" and name.lower() in device.label.lower()), None)
    if cable is None:
        raise AudioError(f"no {name} among the devices; install it from {page}, then run this again")
    return f"run: unhiss live --out {cable.number}, and choose {cable.label!r} as the microphone in the call program"


def _config_paths() -> dict[bool, Path]:
    """The configuration file of PipeWire (True) and of PulseAudio (False)."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return {True: config / "pipewire/pipewire.conf.d/50-unhiss-microphone.conf", False: config / "pulse/default.pa"}
