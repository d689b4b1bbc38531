"""The application that all commands register with, and how their errors are reported."""

from __future__ import annotations

import signal
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from gnnformd import __version__
from gnnformd.cli.show import say
from gnnformd.errors import InputError

__all__ = ["app"]

ORDER_OF_USE = (
    "demo",
    "generate",
    "inspect",
    "train",
    "finetune",
    "specialize",
    "evaluate",
    "predict",
    "curves",
    "simulate",
    "benchmark",
    "export",
    "report",
)


class _Commands(TyperGroup):
    """Commands in the order of the workflow; errors become exit statuses here."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of use."""
        return sorted(self.commands, key=ORDER_OF_USE.index)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error in the input prints one sentence and ends with status 2, a bug with 1.

        Ctrl-C and SIGTERM print a line and end with 128 plus the number of the signal, as usual. The line says what
        the command has added to the exception as a note.
        """
        received: list[int] = []
        previous = _note_signals(received)
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except InputError as error:
            say(f"Error: {error}", error=True)
            raise typer.Exit(2) from None
        except (KeyboardInterrupt, SystemExit) as error:
            # Some libraries turn Ctrl-C into SystemExit.
            if isinstance(error, SystemExit) and not received:
                raise
            told = getattr(error, "__notes__", None) or ["Files that were written are complete."]
            say(f"Interrupted. {told[-1]}", error=True)
            raise typer.Exit(128 + (received or [signal.SIGINT])[0]) from None
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _note_signals(received: list[int]) -> dict[int, Any]:
    """Record Ctrl-C and SIGTERM, which is treated like Ctrl-C; return the previous handlers.

    Code that saves its work on Ctrl-C has its own handler or catches KeyboardInterrupt, so SIGTERM is turned into
    Ctrl-C. Outside the main thread no signal can be handled and nothing is changed.
    """

    def interrupt(number: int, frame: Any) -> None:
        received.append(number)
        signal.default_int_handler(number, frame)

    def terminate(number: int, frame: Any) -> None:
        received.append(number)
        signal.raise_signal(signal.SIGINT)

    try:
        return {n: signal.signal(n, h) for n, h in ((signal.SIGINT, interrupt), (signal.SIGTERM, terminate))}
    except ValueError:
        return {}


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Print a warning as one line, without its location in the code."""
    if issubclass(category, UserWarning):
        say(f"Warning: {message}", error=True)


app = typer.Typer(
    name="gnnformd",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learn the forces of a LAMMPS simulation with a graph neural network, evaluate them, and run the simulation "
    "with them.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_version, is_eager=True),
) -> None:
    """Options of the program itself."""
