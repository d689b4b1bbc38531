"""The application all commands register with, and what happens when one of them fails."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from gnnformd import __version__
from gnnformd.errors import InputError

__all__ = ["app"]

INTERRUPTED = 130
ORDER_OF_USE = (
    "demo",
    "generate",
    "inspect",
    "train",
    "finetune",
    "evaluate",
    "curves",
    "simulate",
    "benchmark",
    "report",
)


class _Commands(TyperGroup):
    """Commands in the order of the work, and one place where errors become exit codes."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of use."""
        return sorted(self.commands, key=ORDER_OF_USE.index)

    def invoke(self, ctx: Any) -> Any:
        """Run a command: input at fault ends with one sentence and 2, Ctrl-C with a line and 130, a bug with 1."""
        interrupted: list[int] = []
        previous = _on_interrupt(lambda: interrupted.append(1))
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except InputError as error:
            _say(f"Error: {error}")
            raise typer.Exit(2) from None
        except (KeyboardInterrupt, SystemExit) as error:
            # Some libraries answer Ctrl-C with an exit of their own; what the user did is the same.
            if isinstance(error, SystemExit) and not interrupted:
                raise
            _say("Interrupted. What was written so far is complete and can be used.")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            if previous is not None:
                signal.signal(signal.SIGINT, previous)


def _on_interrupt(note: Callable[[], None]) -> Any:
    """Note Ctrl-C before Python's own handler raises; None where signals cannot be set (not the main thread)."""

    def handle(number: int, frame: Any) -> None:
        note()
        signal.default_int_handler(number, frame)

    try:
        return signal.signal(signal.SIGINT, handle)
    except ValueError:
        return None


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Print a warning as one line, without the place in the code that issued it."""
    if issubclass(category, UserWarning):
        _say(f"Warning: {message}")


def _say(text: str) -> None:
    Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(text)


app = typer.Typer(
    name="gnnformd",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Learn the forces of a LAMMPS simulation with a graph neural network, judge them, and run the simulation "
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
