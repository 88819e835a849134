"""`unhiss serve`."""

from __future__ import annotations

from typing import Any

import click

from unhiss.cli.screen import say

EXAMPLES = """
\b
unhiss serve
unhiss serve --port 9000 --max-streams 20
UNHISS_TOKEN=secret unhiss serve --host 0.0.0.0
curl -F file=@noisy.wav http://127.0.0.1:8000/v1/denoise -o clean.wav
"""


def _limit(option: str, kind: type, text: str) -> Any:
    """An option of unhiss.serve.limits.Limits; what is not given keeps its value there."""
    return click.option(f"--{option}", type=kind, metavar={int: "N", float: "X"}[kind], help=text)


@click.command("serve", epilog=EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a token.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--model", metavar="NAME", help="The default model: an installed one or an .onnx file.")
@click.option("--token", envvar="UNHISS_TOKEN", default="", help="What clients must show; better in UNHISS_TOKEN.")
@click.option("--state-key", envvar="UNHISS_STATE_KEY", default="",
              help="Secret shared by servers that continue each other's streams.")  # fmt: skip
@click.option("--insecure", is_flag=True, help="Listen where others can reach it without a token.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL",
              help="A page of another place that may ask, such as https://example.org.")  # fmt: skip
@_limit("max-streams", int, "Live streams at a time.  [default: 64]")
@_limit("max-streams-per-client", int, "Of them from one address.  [default: 16]")
@_limit("max-files", int, "Uploads at a time.  [default: 16]")
@_limit("max-files-per-client", int, "Of them from one address.  [default: 4]")
@_limit("max-body-mb", float, "Size of an upload.  [default: 500]")
@_limit("max-duration-s", float, "Length of a recording.  [default: 14400]")
@_limit("max-rate", int, "Sample rate in Hz.  [default: 192000]")
@_limit("max-channels", int, "Channels.  [default: 8]")
@_limit("idle-s", float, "Silence of a client after which it is closed.  [default: 60]")
@_limit("drain-s", float, "Time for what runs to end after SIGTERM.  [default: 10]")
@_limit("workers", int, "Processes that denoise uploads.  [default: 1]")
def command(host, port, model, token, state_key, insecure, origins, **given) -> None:
    """Serve over HTTP and WebSocket: recordings, live sound, and a page for the browser.

    Live streams share one core; uploads are denoised beside them, at lower priority. SIGTERM or Ctrl-C lets what
    runs finish, and ends with exit code 0.
    """
    from unhiss.errors import need

    need("serve", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    from unhiss.serve.limits import Limits
    from unhiss.serve.run import address, check_host, listen, serve
    from unhiss.serve.service import Settings
    from unhiss.weights import DEFAULT, find

    limits = Limits(**{name.removeprefix("max_"): value for name, value in given.items() if value is not None})
    check_host(host, token, insecure)
    settings = Settings(model=model or DEFAULT, token=token, state_key=state_key, origins=origins, limits=limits)
    find(settings.model)
    found = listen(host, port)
    where = address(host, found)
    say(f"unhiss: {where} serves {settings.model}: the page, POST /v1/denoise, WS /v1/stream; interface: {where}/docs")
    say(f"  at most {limits.streams} live streams and {limits.files} uploads, "
        f"{'token needed' if token else 'no token'}; Ctrl-C ends", err=True)  # fmt: skip
    serve(settings, found)
