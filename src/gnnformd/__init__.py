"""Learn the forces of a LAMMPS simulation with a graph neural network and run the simulation with them."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Load `gnnformd.interfaces.ase.Calculator` when it is asked for: it brings ASE and PyTorch."""
    if name == "Calculator":
        # by name: the package as a whole depends on no room
        return import_module("gnnformd.interfaces.ase").Calculator
    raise AttributeError(f"module 'gnnformd' has no attribute {name!r}")
