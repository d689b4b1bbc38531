"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnformd.cli.show import check_writable

__all__ = ["DeviceOption", "JsonOption", "KeyOption", "ModelArgument", "ThreadsOption", "TorchOption", "use_threads"]

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


def use_threads(count: int | None) -> None:
    """Let the network use this many processor threads; all cores without a number."""
    if count is not None:
        import numba
        import torch

        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # first: starting numba resets torch's
        torch.set_num_threads(count)
