"""`unhiss live`."""

import sys
from pathlib import Path
from typing import Any

import click

from unhiss.cli.parameters import RenamedOption, complete_model
from unhiss.cli.terminal import echo
from unhiss.errors import UnhissError

EXAMPLES = """
\b
unhiss live --list
unhiss live                                    from the default microphone
unhiss live --in "USB" --out 3 --record meeting
unhiss live --install-virtual-mic              once; then choose "Unhiss microphone" in the call program
"""
NO_DEVICES = "no microphone and no speaker was found; connect one" + (
    ", and check that a sound server runs: apt-get install pipewire-pulse (or pulseaudio), then log in again; "
    "in a container or over SSH there may be none"
    if sys.platform == "linux"
    else ", and allow this terminal to use the microphone in the settings of the system"
)


@click.command("live", epilog=EXAMPLES)
@click.option("--list", "listing", is_flag=True, help="List microphones and speakers, and exit.")
@click.option("--in", "source", metavar="DEVICE", help="Microphone: its number, its name, or part of it.")
@click.option("--out", "target", metavar="DEVICE",
              help="Where the output goes.  [default: Unhiss microphone if installed, else the speaker]")  # fmt: skip
@click.option("--model", metavar="NAME", help="A causal model (see unhiss models) or an .onnx file.",
              shell_complete=complete_model)  # fmt: skip
@click.option("--atten-limit-db", "--atten-lim", "atten_limit_db", cls=RenamedOption, type=float, metavar="DB",
              help="Attenuate by at most this many dB.")  # fmt: skip
@click.option("--mix", type=float, default=1.0, show_default=True, help="1 is denoised, 0 the input.")
@click.option("--bypass", is_flag=True, help="Start with the noisy input; key b switches while it runs.")
@click.option("--record", type=click.Path(path_type=Path), metavar="BASE",
              help="Write BASE.noisy.wav and BASE.clean.wav, aligned, at the end.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite recordings that exist.")
@click.option("--rate", type=int, default=48000, show_default=True, help="Sample rate of both devices, in Hz.")
@click.option("--channels", type=click.IntRange(1, 32), default=1, show_default=True, help="Of both devices.")
@click.option("--buffer-ms", type=click.FloatRange(2, 2000), default=20.0, show_default=True,
              help="Buffer of each device: more against crackles, less for a lower latency.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop after this time.")
@click.option("--install-virtual-mic", "install", is_flag=True, help='Offer "Unhiss microphone" to call programs.')
@click.option("--remove-virtual-mic", "remove", is_flag=True, help="Remove it again.")
def command(
    listing: bool, source: str | None, target: str | None, record: Path | None, force: bool, buffer_ms: float,
    seconds: float | None, install: bool, remove: bool, **options: Any,
) -> None:  # fmt: skip
    """Denoise a microphone while you speak.

    Keys while it runs: b switches to the noisy input and back (bypass), q quits, and so does Ctrl-C.
    """
    if listing:
        return _list()
    if install or remove:
        return _virtual_mic(install)
    from contextlib import ExitStack, closing, suppress

    from unhiss.cli.live_screen import Screen, watch
    from unhiss.infer.stream import Stream
    from unhiss.live.recorder import Recorder
    from unhiss.live.session import LiveSession
    from unhiss.weights import DEFAULT

    _exit_cleanly()
    stream = Stream(options.pop("rate"), options.pop("channels"), options.pop("model") or DEFAULT, **options)
    with ExitStack() as stack:
        screen = stack.enter_context(closing(Screen()))
        recorder = Recorder(record, stream, force=force) if record else None
        session = LiveSession(stream, source, target, buffer_s=buffer_ms / 1000, recorder=recorder, notify=screen.say)
        try:
            with session, suppress(KeyboardInterrupt):  # the usual way to quit
                watch(session, screen, seconds)
        finally:
            if recorder:
                recorder.close()
        if session.error:
            raise session.error
    if session.status.dropped:
        echo(f"{session.status.dropped} blocks were dropped; --buffer-ms {2 * buffer_ms:g} may help", err=True)
    for path in recorder.paths if recorder else ():
        echo(f"recorded: {path}")


def _list() -> None:
    from unhiss.live.backends import list_devices
    from unhiss.live.devices import is_monitor

    devices = list_devices()
    if not devices:
        raise UnhissError(NO_DEVICES)
    for device in devices:
        notes = "  default" * device.default + "  output of a speaker" * is_monitor(device)
        echo(f"{device.number:3}  {device.side:3}  {device.label}  [{device.name}]{notes}")


def _virtual_mic(install: bool) -> None:
    from unhiss.live import virtual_mic
    from unhiss.live.backends import list_devices

    if sys.platform != "linux":
        return echo(virtual_mic.cable_instructions(list_devices()))
    for line in virtual_mic.install() if install else virtual_mic.remove():
        echo(line)


def _exit_cleanly() -> None:
    """Treat a closed terminal and SIGTERM like Ctrl-C, so that recordings are kept."""
    import signal

    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), signal.default_int_handler)
