"""The command ``gnnformd`` as ``python -m gnnformd``."""

from gnnformd.cli import main

if __name__ == "__main__":
    main()
