"""The command line: parse, call one part of the program, print. Slow imports are left to the commands."""

import gc

from gnnformd.cli import data, evaluation, report, simulation, training
from gnnformd.cli.app import app

__all__ = ["app", "collect_seldom", "data", "evaluation", "main", "report", "simulation", "training"]


def main() -> None:
    """Entry point of the command ``gnnformd``."""
    collect_seldom()
    app()


def collect_seldom() -> None:
    """Collect cyclic garbage less often: while PyTorch is imported, the default would cost half a second."""
    gc.set_threshold(10_000, 20, 50)
