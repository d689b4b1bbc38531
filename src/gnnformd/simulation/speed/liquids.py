"""Liquids of a model's own force field, run by LAMMPS, to measure its speed on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnnformd.errors import InputError
from gnnformd.reference.library import lammps_errors, open_lammps
from gnnformd.reference.systems import SYSTEMS
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.frame import Frame, Topology

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.force_field import ForceField
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["liquid_commands", "settled"]

VOLUME_PER_WATER = 29.98  # angstrom^3, SPC/Fw at 300 K and 1 atm
SETTLING_STEPS = 300


def liquid_commands(loaded: LoadedModel, atoms: int) -> tuple[str, list[str]]:
    """Name the liquid of a model's force field, and the LAMMPS commands that make it, up to and without the first step.

    Parameters
    ----------
    loaded
        The model.
    atoms
        About this many atoms.

    Raises
    ------
    InputError
        The model's force field is neither water nor a simple liquid.
    """
    field = loaded.card.force_field
    if field is not None and field.liquid is not None:
        if field.liquid == "water":
            return "water", _water(max(1, round(atoms / 3)))
        return field.liquid, _simple_liquid(field, atoms)
    own = "has no force field" if field is None else f"is one of {', '.join(field.names)}"
    raise InputError(
        f"{loaded.path}: {own}, and without a structure 'benchmark' makes a box of water or of a liquid of one "
        "Lennard-Jones type; give a structure to measure it on ('gnnformd benchmark MODEL STRUCTURE')."
    )


def _water(molecules: int) -> list[str]:
    edge = (molecules * VOLUME_PER_WATER) ** (1 / 3)
    sites = int(np.ceil(molecules ** (1 / 3) - 1e-6))
    return [
        "units real",
        "atom_style full",
        f"lattice sc {edge / sites}",
        f"region box block 0 {sites} 0 {sites} 0 {sites}",
        "create_box 2 box bond/types 1 angle/types 1 extra/bond/per/atom 2 extra/angle/per/atom 1"
        " extra/special/per/atom 2",
        "include spcfw.lmp",
        f"create_atoms 0 box subset {molecules} 1 mol h2omol 1",
        "minimize 1e-4 1e-6 100 1000",
        "reset_timestep 0",
        "velocity all create 300 1",
        "timestep 0.5",
        "fix ensemble all nvt temp 300 300 50",
    ]


def _simple_liquid(field: ForceField, atoms: int) -> list[str]:
    kind = field.types[0]
    sites = max(1, round(atoms ** (1 / 3)))
    spacing = kind.sigma * 0.8 ** (-1 / 3)  # reduced density 0.8: a liquid near its triple point
    return [
        "units real",
        "atom_style full",
        f"lattice sc {spacing}",
        f"region box block 0 {sites} 0 {sites} 0 {sites}",
        "create_box 1 box",
        "create_atoms 1 box",
        f"mass 1 {kind.mass}",
        f"pair_style lj/cut {field.lj_cutoff}",
        f"pair_coeff 1 1 {kind.epsilon} {kind.sigma}",
        "velocity all create 90 1",
        "timestep 1",
        "fix ensemble all nvt temp 90 90 100",
    ]


@contextlib.contextmanager
def settled(commands: list[str]) -> Iterator[tuple[lammps, Frame]]:
    """Run some steps with LAMMPS's own force field; gives LAMMPS, ready for more, and where the atoms are."""
    lmp = open_lammps()
    try:
        with lammps_errors(), tempfile.TemporaryDirectory() as folder:
            with contextlib.chdir(SYSTEMS["water"].input.parent):  # the included files are named without a folder
                for command in commands:
                    lmp.command(command)
            lmp.command(f"run {SETTLING_STEPS}")
            start = Path(folder) / "start.data"
            lmp.command(f"write_data {start} nocoeff")
            topology = read_topology(start)
            lmp.command("run 0 post no")
        yield lmp, _frame(lmp, topology)
    finally:
        lmp.close()


def _frame(lmp: lammps, topology: Topology) -> Frame:
    return Frame(
        timestep=SETTLING_STEPS,
        cell=topology.cell,
        origin=topology.origin,
        periodic=(True, True, True),
        ids=topology.ids,
        types=topology.types,
        positions=np.array(lmp.gather_atoms("x", 1, 3), dtype=np.float64).reshape(-1, 3),
        molecule_ids=topology.molecule_ids,
        bonds=topology.bonds,
        charges=topology.charges,
    )
