"""FluidFunctions: what is learned from many liquids, and its file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gnnformd.errors import InputError, fault_of
from gnnformd.files import write_text

__all__ = ["FluidFunctions", "is_for_many_liquids", "load_fluids"]

PRETRAINED = "fluids"


@dataclass(frozen=True)
class FluidFunctions:
    """Functions that all liquids share, in units of their force fields.

    The energy of a liquid is ``sum_pairs w eps f(r/sigma) + sum_bonds k l^2 g(r/l - 1)
    + sum_angles K h(theta - theta_0) + E_Coulomb``.

    Attributes
    ----------
    reach
        ``f`` is zero from this ``r/sigma`` on.
    pair
        Coefficients of ``f`` (see `gnnformd.model.density.scaled_pairs`).
    bond
        ``g(u) = sum_n bond[n - 1] u^n``.
    angle
        ``h(d) = sum_n angle[n - 2] d^n`` from ``n = 2`` on, radian.
    closest
        How close atoms came in training: pairs with Lennard-Jones in units of ``sigma``, others in units of the larger
        sigma of the two, bonded atoms in units of ``l``, second neighbors in units of their distance at rest.
    ranges
        Lowest and highest parameters of the force fields in training: ``epsilon``, ``sigma``, ``charge``,
        ``stiffness``, ``length``, ``bending``, ``angle``.
    liquids, frames
        How many there were in training.
    """

    reach: float
    pair: tuple[float, ...]
    bond: tuple[float, ...]
    angle: tuple[float, ...]
    closest: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    liquids: int
    frames: int

    def save(self, path: Path) -> None:
        """Write a readable file.

        Raises
        ------
        InputError
            It cannot be written.
        """
        write_text(path, json.dumps({"format": "gnnformd fluids 1", **asdict(self)}, indent=1) + "\n")


def is_for_many_liquids(path_or_name: str | Path) -> bool:
    """Whether a model is one for many liquids by its name: ``fluids``, or a ``.json`` file."""
    path = Path(path_or_name)
    return path.suffix == ".json" or (str(path_or_name) == PRETRAINED and not path.exists())


def load_fluids(path_or_name: str | Path) -> FluidFunctions:
    """Read the functions from a file, or those that come with the package, by the name ``fluids``.

    Raises
    ------
    InputError
        There is no such file, or it is another one.
    """
    path = Path(path_or_name)
    if str(path_or_name) == PRETRAINED and not path.exists():
        path = Path(str(resources.files("gnnformd") / "pretrained" / f"{PRETRAINED}.json"))
    try:
        data: Any = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give 'fluids' or a file of this kind.") from error
    except ValueError as error:
        raise InputError(f"{path}: is no model for many liquids; give 'fluids' or a file of this kind.") from error
    if not isinstance(data, dict) or data.pop("format", None) != "gnnformd fluids 1":
        raise InputError(f"{path}: is no model for many liquids; give 'fluids' or a file of this kind.")
    try:
        return TypeAdapter(FluidFunctions).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: is damaged ({where} {fault_of(first)}); get it again.") from error
