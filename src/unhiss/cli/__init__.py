"""The command line: one module per command, imported only when that command is run."""

import sys
from importlib import import_module
from typing import Any

import click

from unhiss import __version__
from unhiss.errors import UnhissError, describe_os_error, nearest

# name -> one line for `unhiss --help`, so that the help imports no command.
COMMANDS = {
    "denoise": "Remove noise from recordings.",
    "live": "Remove noise from a microphone while you speak.",
    "models": "List the installed models.",
    "prepare": "Prepare a training data set from corpora.",
    "data": "Check, merge, import and export data sets.",
    "train": "Train a model on a prepared data set.",
    "runs": "Compare training runs on one page.",
    "export": "Export a checkpoint as one ONNX file.",
    "serve": "Run a server for HTTP and WebSocket clients.",
    "evaluate": "Score and compare denoisers on recordings.",
}


class LazyGroup(click.Group):
    """A group of the commands in COMMANDS."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"unhiss.cli.{name}").command
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not context.resilient_parsing:  # as while a shell completes a line
            context.fail(f"no command {args[0]!r}; {nearest(args[0], list(COMMANDS))}")
        return super().resolve_command(context, args)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UnhissError as error:
            from unhiss.cli.option_names import in_option_names

            name = context.invoked_subcommand
            error.args = (in_option_names(str(error), self.get_command(context, name) if name else None),)
            raise

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unhiss")
def unhiss() -> None:
    """unhiss removes noise from speech.

    \b
    unhiss denoise noisy.wav -o clean.wav
    unhiss models
    \b
    Completion of commands, options and models in bash (docs/denoising.md has zsh and fish):
    eval "$(_UNHISS_COMPLETE=bash_source unhiss)"
    """


def main() -> None:
    """Entry point of the `unhiss` command: prints errors as one line, never a traceback."""
    try:
        sys.exit(unhiss.main(standalone_mode=False) or 0)
    except UnhissError as error:
        message, code = str(error), error.exit_code
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        message, code = "; ".join(["interrupted", *map(str, (error.__cause__ or error).args)]), 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe has exited
        sys.exit(1)
    except OSError as error:
        message, code = describe_os_error(error), 1
    click.echo(f"unhiss: {message}", err=True)
    sys.exit(code)
