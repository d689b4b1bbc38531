"""The one exception a user can cause."""

__all__ = ["InputError"]


class InputError(Exception):
    """The input is at fault: the message is one sentence that names the file, the line or key, and what to do.

    The command line prints the sentence on standard error and exits with code 2.
    """
