"""A liquid for which a model for many is specialized: its force field and atoms, from whatever file has them."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from gnnformd.errors import InputError
from gnnformd.force_field import ForceField
from gnnformd.reference.extract import plain_style
from gnnformd.reference.input_force_field import set_up
from gnnformd.reference.pair_commands import PairCommands
from gnnformd.reference.run import ReferenceRun
from gnnformd.trajectory.formats.data_file import read_topology, split_data_file
from gnnformd.trajectory.formats.data_force_field import read_force_field
from gnnformd.trajectory.frame import Topology

__all__ = ["Liquid", "read_liquid"]

_DATA_FILE = re.compile(r"^\s*\d+\s+atoms\b", re.MULTILINE)

UNCHARGED = "lj/cut"
WHOLE_COULOMB = ("lj/cut/coul/long", "lj/cut/coul/msm")
CUT_COULOMB = ("lj/cut/coul/cut", "lj/cut/coul/dsf", "lj/cut/coul/wolf")


@dataclass(frozen=True)
class Liquid:
    """What a model for many liquids is specialized from.

    Attributes
    ----------
    field
        The force field; without charges where the pair style has no Coulomb energy.
    topology
        The atoms.
    source
        The file that says the force field, for messages.
    """

    field: ForceField
    topology: Topology
    source: Path


def read_liquid(path: Path) -> Liquid:
    """Read a folder of ``gnnformd generate``, a LAMMPS data file with coefficients, or a LAMMPS input.

    The ``topology.data`` of such a folder has the force field of its ``reference.yaml``. What a data file does not say,
    Coulomb energies that the model has and the pair style cuts off, and tail corrections are named in warnings.

    Raises
    ------
    InputError
        The file has no force field of Lennard-Jones with one cutoff, charges without screening, and harmonic bonds and
        angles.
    """
    if path.is_dir():
        return _of_run(path)
    if path.name == "topology.data" and (path.parent / "reference.yaml").is_file():
        return _of_run(path.parent)
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a folder of 'gnnformd generate', a LAMMPS data file with "
            "coefficients, or a LAMMPS input."
        ) from error
    return _of_data_file(path) if _DATA_FILE.search(text) else _of_input(path)


def _of_run(folder: Path) -> Liquid:
    run, source = ReferenceRun.open(folder), folder / "reference.yaml"
    field, commands = run.force_field, PairCommands(folder / "log.lammps")
    if field is None:
        style = f" (pair style '{commands.style}')" if commands.style else ""
        raise InputError(
            f"{source}: has no force field of one line per type{style}, from which a model for many liquids could be "
            "made; train a model on this liquid."
        )
    if not run.topology.is_file():
        raise InputError(f"{run.topology}: no such file; give a folder made by 'gnnformd generate'.")
    _check_no_dihedrals(run.topology)
    field = _with_coulomb_of(commands.style, field, source)
    _check_commands(commands, field, source)
    return Liquid(field, read_topology(run.topology), source)


def _of_data_file(path: Path) -> Liquid:
    found = read_force_field(path)
    sigmas = {kind.sigma for kind in found.field.types if kind.epsilon > 0}
    if found.field.mixing is None and len(sigmas) > 1:
        raise InputError(
            f"{path}: does not say how sigmas of different types are combined; write the file with 'write_data FILE "
            "pair ij', or give the LAMMPS input to 'gnnformd specialize'."
        )
    if found.assumed:
        warnings.warn(
            f"{path}: does not say the whole force field; assumed: {', '.join(found.assumed)}. If this is wrong, give "
            "the LAMMPS input to 'gnnformd specialize'.",
            stacklevel=3,
        )
    return Liquid(_with_coulomb_of(found.pair_style, found.field, path), found.topology, path)


def _of_input(path: Path) -> Liquid:
    with tempfile.TemporaryDirectory(prefix="gnnformd-") as folder:
        made = set_up(path, Path(folder))
        if made.force_field is None:
            raise InputError(
                f"{path}: has no force field of Lennard-Jones (pair style '{made.pair_style}'), one charge for each "
                "type, and harmonic bonds and angles; train a model on this liquid."
            )
        _check_no_dihedrals(made.topology, path)
        topology, commands = read_topology(made.topology), PairCommands(made.log)
    field = _with_coulomb_of(plain_style(made.pair_style), made.force_field, path)
    _check_commands(commands, field, path)
    return Liquid(field, topology, path)


def _check_commands(commands: PairCommands, field: ForceField, source: Path) -> None:
    """Refuse, or name in a warning, what no force field says and changes forces or pressures.

    Raises
    ------
    InputError
        Charges are screened, or Lennard-Jones does not end at one distance.
    """
    if commands.dielectric != 1.0 and any(kind.charge for kind in field.types):
        raise InputError(
            f"{source}: 'dielectric' screens its charges, which no model for many liquids has; train a model on this "
            "liquid."
        )
    cutoffs = commands.lj_cutoffs([kind.epsilon for kind in field.types])
    if len(cutoffs) > 1:
        raise InputError(
            f"{source}: Lennard-Jones ends at {' or '.join(f'{cutoff:g}' for cutoff in cutoffs)}, as pairs of types "
            "have it, and a model for many liquids has one cutoff; give all pairs the same, or train a model on this "
            "liquid."
        )
    if commands.tail:
        warnings.warn(
            f"{source}: pressures of the model lack the tail correction that 'pair_modify tail yes' adds in LAMMPS.",
            stacklevel=4,
        )


def _check_no_dihedrals(topology: Path, source: Path | None = None) -> None:
    header = split_data_file(topology)[1]
    for kind in ("dihedrals", "impropers"):
        if kind in header and header[kind].words != ["0"]:
            raise InputError(
                f"{source or topology}: has {kind}, which no model for many liquids has; train a model on this liquid."
            )


def _with_coulomb_of(style: str | None, field: ForceField, source: Path) -> ForceField:
    """Leave out charges that the pair style does not use, and say where the Coulomb energy is another.

    Raises
    ------
    InputError
        The style is none of those whose energies the model has.
    """
    if style is None or style in WHOLE_COULOMB:
        return field
    charged = any(kind.charge for kind in field.types)
    if style == UNCHARGED:
        if charged:
            warnings.warn(
                f"{source}: atoms have charges, but pair style 'lj/cut' has no Coulomb energy; nor has the model.",
                stacklevel=4,
            )
        return replace(field, types=tuple(replace(kind, charge=0.0) for kind in field.types))
    if style not in CUT_COULOMB:
        known = ", ".join((UNCHARGED, *WHOLE_COULOMB, *CUT_COULOMB))
        raise InputError(
            f"{source}: pair style '{style}' is none whose energies a model for many liquids has ({known}); train a "
            "model on this liquid."
        )
    if charged:
        warnings.warn(
            f"{source}: pair style '{style}' is outside the training of the model: it cuts off the Coulomb energy, of "
            "which the model has all (Ewald summation); check the forces.",
            stacklevel=4,
        )
    return field
