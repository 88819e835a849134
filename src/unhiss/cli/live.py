"""`unhiss live`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from unhiss.cli.screen import say

EXAMPLES = """
\b
unhiss live --list
unhiss live                                    from the default microphone
unhiss live --in "USB" --out 3 --record meeting
unhiss live --install-virtual-mic              once; then choose "Unhiss microphone" in the call program
"""


@click.command("live", epilog=EXAMPLES)
@click.option("--list", "listing", is_flag=True, help="List microphones and speakers, and end.")
@click.option("--in", "source", metavar="DEVICE", help="Microphone: its number, its name, or part of it.")
@click.option("--out", "target", metavar="DEVICE",
              help="Where the clean sound goes.  [default: Unhiss microphone if there, else the speaker]")  # fmt: skip
@click.option("--model", metavar="NAME", help="A causal model (see unhiss models) or an .onnx file.")
@click.option("--atten-lim", "--atten-limit-db", "atten_limit_db", type=float, metavar="DB",
              help="Take out at most so many dB.")  # fmt: skip
@click.option("--mix", type=float, default=1.0, show_default=True, help="1 is the clean sound, 0 the input.")
@click.option("--bypass", is_flag=True, help="Begin with the noisy sound. While it runs, key b turns that on and off.")
@click.option("--record", type=click.Path(path_type=Path), metavar="BASE",
              help="Write BASE.noisy.wav and BASE.clean.wav, aligned, when it ends.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite recordings that exist.")
@click.option("--rate", type=int, default=48000, show_default=True, help="Samples a second, of both devices.")
@click.option("--channels", type=click.IntRange(1, 32), default=1, show_default=True, help="Of both devices.")
@click.option("--buffer-ms", type=click.FloatRange(2, 2000), default=20.0, show_default=True,
              help="What each device holds: more where it crackles, less where it is late.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End by itself after so long.")
@click.option("--install-virtual-mic", "install", is_flag=True, help='Offer "Unhiss microphone" to call programs.')
@click.option("--remove-virtual-mic", "remove", is_flag=True, help="Take it away again.")
def command(listing, source, target, record, force, buffer_ms, seconds, install, remove, **options) -> None:
    """Take the noise out of a microphone while you speak.

    Keys while it runs: b the noisy sound and back (bypass), q end. Ctrl-C ends it too.
    """
    if listing:
        return _list()
    if install or remove:
        return _virtual_mic(install)
    from contextlib import ExitStack, suppress

    from unhiss.cli.meters import shown, watch
    from unhiss.infer.stream import Stream
    from unhiss.live.recorder import Recorder
    from unhiss.live.session import Session
    from unhiss.weights import DEFAULT

    _leave_cleanly()
    stream = Stream(options.pop("rate"), options.pop("channels"), options.pop("model") or DEFAULT, **options)
    with ExitStack() as stack:
        lines = stack.enter_context(shown())
        recorder = Recorder(record, stream, force=force) if record else None
        session = Session(stream, source, target, buffer_s=buffer_ms / 1000, recorder=recorder, tell=lines.say)
        try:
            with session, suppress(KeyboardInterrupt):  # the usual way to end it
                watch(session, lines, seconds)
        finally:
            if recorder:
                recorder.close()
        if session.failed:
            raise session.failed
    if session.meters.missed:
        say(f"{session.meters.missed} blocks were left out; --buffer-ms {2 * buffer_ms:g} may help", err=True)
    for path in recorder.paths if recorder else ():
        say(f"recorded: {path}")


def _list() -> None:
    from unhiss.live.devices import is_monitor
    from unhiss.live.systems import devices

    for device in devices():
        notes = "  default" * device.default + "  what a speaker plays" * is_monitor(device)
        say(f"{device.number:3}  {device.side:3}  {device.label}  [{device.name}]{notes}")


def _virtual_mic(install: bool) -> None:
    from unhiss.live import virtual_mic
    from unhiss.live.systems import devices

    if sys.platform != "linux":
        return say(virtual_mic.cable(devices()))
    for line in virtual_mic.install() if install else virtual_mic.remove():
        say(line)


def _leave_cleanly() -> None:
    """A closed terminal or a kill ends as Ctrl-C does, so that recordings are kept."""
    import signal

    def leave(number: int, _: object) -> None:
        raise KeyboardInterrupt

    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), leave)
