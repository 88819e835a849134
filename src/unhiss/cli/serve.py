"""`unhiss serve`."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from unhiss.cli.parameters import complete_model
from unhiss.cli.terminal import echo

F = TypeVar("F", bound=Callable[..., Any])
EXAMPLES = """
\b
unhiss serve
unhiss serve --port 9000 --max-streams 20
UNHISS_TOKEN=secret unhiss serve --host 0.0.0.0
curl -F file=@noisy.wav http://127.0.0.1:8000/v1/denoise -o clean.wav
"""


def _limit(option: str, kind: type[int | float], text: str) -> Callable[[F], F]:
    """An option for the field of the same name in unhiss.serve.limits.Limits, which has the default."""
    return click.option(f"--{option}", type=kind, metavar="N" if kind is int else "X", help=text)


@click.command("serve", epilog=EXAMPLES)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port to listen on; 0 takes a free one.")  # fmt: skip
@click.option("--model", metavar="NAME", help="The default model: an installed one or an .onnx file.",
              shell_complete=complete_model)  # fmt: skip
@click.option("--token", envvar="UNHISS_TOKEN", default="", help="Required of clients; better in UNHISS_TOKEN.")
@click.option("--state-key", envvar="UNHISS_STATE_KEY", default="",
              help="Secret shared by servers that continue each other's streams.")  # fmt: skip
@click.option("--insecure", is_flag=True, help="Listen where others can reach it without a token.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL",
              help="Origin of another page that may use the server, such as https://example.org.")  # fmt: skip
@_limit("max-streams", int, "Live streams at a time.  [default: 64]")
@_limit("max-streams-per-client", int, "Of them from one address.  [default: 16]")
@_limit("max-files", int, "Uploads at a time.  [default: 16]")
@_limit("max-files-per-client", int, "Of them from one address.  [default: 4]")
@_limit("max-body-mb", float, "Size of an upload.  [default: 500]")
@_limit("max-duration-s", float, "Length of a recording.  [default: 14400]")
@_limit("max-rate", int, "Sample rate in Hz.  [default: 192000]")
@_limit("max-channels", int, "Channels.  [default: 8]")
@_limit("idle-s", float, "Time without data after which a client is disconnected.  [default: 60]")
@_limit("drain-s", float, "Time for running requests to finish after SIGTERM.  [default: 10]")
@_limit("workers", int, "Processes that denoise uploads.  [default: 1]")
def command(
    host: str, port: int, model: str | None, token: str, state_key: str, insecure: bool, origins: tuple[str, ...],
    **limit_options: Any,
) -> None:  # fmt: skip
    """Serve over HTTP and WebSocket: recordings, live audio, and a web page.

    Live streams share one core; uploads are denoised beside them, at lower priority. SIGTERM or Ctrl-C lets running
    requests finish, and ends with exit code 0.
    """
    from unhiss.errors import need

    need("serve", "starlette", "uvicorn", "websockets", "python_multipart", "prometheus_client")
    from unhiss.serve.http_server import HttpServer, check_host, listen, server_url
    from unhiss.serve.limits import Limits
    from unhiss.serve.page import has_page, page_commands
    from unhiss.serve.service import ServerConfig, Service
    from unhiss.weights import DEFAULT, find

    limits = Limits(**{name: value for name, value in limit_options.items() if value is not None})
    check_host(host, token, insecure)
    config = ServerConfig(model=model or DEFAULT, token=token, state_key=state_key, origins=origins, limits=limits)
    find(config.model)
    listener = listen(host, port)
    url = server_url(host, listener)
    page = "the page, " if has_page() else ""
    echo(f"unhiss: {url} serves {config.model}: {page}POST /v1/denoise, WS /v1/stream; API reference: {url}/docs")
    echo(f"  at most {limits.max_streams} live streams and {limits.max_files} uploads, "
        f"{'token required' if token else 'no token'}; Ctrl-C ends", err=True)  # fmt: skip
    if not page:
        echo("  no page: this install lacks it; these commands add it (Node 18, npm); then start again:", err=True)
        for line in page_commands():
            echo(f"    {line}", err=True)
    HttpServer(Service(config)).run([listener])
