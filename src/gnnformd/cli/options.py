"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gnnformd.cli.show import check_writable

if TYPE_CHECKING:
    from gnnformd.units import ShownUnits

__all__ = [
    "DeviceOption",
    "JsonOption",
    "KeyOption",
    "ModelArgument",
    "ThreadsOption",
    "TorchOption",
    "UnitsChoice",
    "UnitsOption",
    "shown_units",
    "use_threads",
]


class UnitsChoice(StrEnum):
    """Units that results are shown in."""

    real = "real"
    metal = "metal"


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Model file, or name of a shipped model.")]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the numbers to this file.", callback=check_writable)
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TARGET=NAME", help="Name of energy, forces, stress, virial or config_type in extended XYZ."),
]
DeviceOption = Annotated[str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")]
TorchOption = Annotated[bool, typer.Option("--torch", help="Forces by PyTorch, not by compiled loops.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Processor threads; all cores if not given.")]

UnitsOption = Annotated[
    UnitsChoice | None,
    typer.Option("--units", help="Show kcal/mol (real) or eV and meV/angstrom (metal); if not given, as the data had."),
]


def shown_units(choice: UnitsChoice | None, of_data: str) -> ShownUnits:
    """Choose the units that results are shown in: as asked for, else those of the data, where they can be shown."""
    from gnnformd.units import SHOWN

    return SHOWN[choice.value] if choice else SHOWN.get(of_data, SHOWN["real"])


def use_threads(count: int | None) -> None:
    """Let the network use this many processor threads; all cores without a number."""
    if count is not None:
        import numba
        import torch

        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # first: starting numba resets torch's
        torch.set_num_threads(count)
