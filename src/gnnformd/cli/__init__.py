"""The command line: parse, call one room, print. Nothing heavy is imported before a command needs it."""

from gnnformd.cli import data, judge, learn, run, story
from gnnformd.cli.app import app

__all__ = ["app", "data", "judge", "learn", "main", "run", "story"]


def main() -> None:
    """Entry point of the command ``gnnformd``."""
    app()
