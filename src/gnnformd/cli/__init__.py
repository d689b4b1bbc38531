"""The command line: parse, call one room, print. Nothing heavy is imported before a command needs it."""

import gc

from gnnformd.cli import data, judge, learn, run, story
from gnnformd.cli.app import app

__all__ = ["app", "collect_seldom", "data", "judge", "learn", "main", "run", "story"]


def main() -> None:
    """Entry point of the command ``gnnformd``."""
    collect_seldom()
    app()


def collect_seldom() -> None:
    """Look for garbage in cycles less often: by default half a second goes into looking through all PyTorch loads."""
    gc.set_threshold(10_000, 20, 50)
