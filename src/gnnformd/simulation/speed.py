"""How long a model's forces take in molecular dynamics, beside LAMMPS's own force field in the same run."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.evaluation.prediction import predict
from gnnformd.graph.build import build_graph
from gnnformd.reference.library import lammps_errors, open_lammps
from gnnformd.reference.systems import SYSTEMS
from gnnformd.simulation.evaluator import Evaluator
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.topology import read_topology

if TYPE_CHECKING:
    from gnnformd.force_field import ForceField
    from gnnformd.model.file import LoadedModel

__all__ = ["Speed", "measure_speed"]

Float = NDArray[np.float64]
VOLUME_PER_WATER = 29.98  # angstrom^3, SPC/Fw at 300 K and 1 atm
SETTLING_STEPS = 300
TIMED_STEPS = 50
WARM_UP = 5


@dataclass(frozen=True)
class Speed:
    """Times of one force evaluation, microseconds per atom.

    Attributes
    ----------
    model
        Path of the model file.
    system
        What was measured on.
    atoms, edges_per_atom
        Size of the graph; edges are directed.
    threads, device
        Where the network ran. LAMMPS ran on one core.
    forces
        Of the network on a ready graph, median.
    with_neighbor_search
        Of the network along the steps of a simulation, neighbor lists being renewed when atoms have moved, mean.
    lammps
        Of a step of LAMMPS with its own force field, mean over the steps just before.
    """

    model: str
    system: str
    atoms: int
    edges_per_atom: float
    threads: int
    device: str
    forces: float
    with_neighbor_search: float
    lammps: float

    def to_dict(self) -> dict[str, Any]:
        """Return what is written as JSON; a ratio above 1 says how many times slower than LAMMPS's own force field."""
        own = {"forces": self.forces, "with_neighbor_search": self.with_neighbor_search}
        return {
            "model": self.model,
            "system": self.system,
            "atoms": self.atoms,
            "edges_per_atom": self.edges_per_atom,
            "threads": self.threads,
            "device": self.device,
            "microseconds_per_atom_step": own,
            "lammps": {"microseconds_per_atom_step": self.lammps, "threads": 1},
            "ratio_to_lammps": {name: value / self.lammps for name, value in own.items()},
        }


def measure_speed(
    loaded: LoadedModel, *, atoms: int = 648, progress: Callable[[int, int], None] | None = None
) -> Speed:
    """Measure on a liquid of the model's own force field: a short simulation of it gives the positions.

    Parameters
    ----------
    loaded
        The model, on the device to measure.
    atoms
        About this many atoms.
    progress
        Called with the number of stages done and to do.

    Raises
    ------
    InputError
        The model's force field is neither water nor a simple liquid.
    """
    report = progress or (lambda done, total: None)
    report(0, 3)
    system, commands = _commands(loaded, atoms)
    frame, steps, lammps_seconds = _run_lammps(commands)
    report(1, 3)
    count = len(frame.types)
    weight = next(loaded.model.parameters())
    graph = build_graph(frame, loaded.card.cutoff, loaded.card.force_field).to(weight.device, weight.dtype)
    fixed = [_timed(lambda: predict(loaded.model, graph).forces.cpu()) for _ in range(WARM_UP + TIMED_STEPS // 2)]
    report(2, 3)
    evaluator = Evaluator(loaded, frame)
    moving = [_timed(partial(_forces, evaluator, frame, positions)) for positions in steps]
    report(3, 3)
    per_atom = 1e6 / count
    return Speed(
        model=str(loaded.path),
        system=system,
        atoms=count,
        edges_per_atom=graph.edge_count / count,
        threads=torch.get_num_threads(),
        device=str(weight.device),
        forces=median(fixed[WARM_UP:]) * per_atom,
        with_neighbor_search=sum(moving) / len(moving) * per_atom,
        lammps=lammps_seconds / len(steps) * per_atom,
    )


def _forces(evaluator: Evaluator, frame: Frame, positions: Float) -> None:
    evaluator.evaluate(positions, frame.cell, frame.periodic).forces.cpu()


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _commands(loaded: LoadedModel, atoms: int) -> tuple[str, list[str]]:
    """LAMMPS commands that make a liquid of the model's force field, up to and without the first step."""
    field = loaded.card.force_field
    if field is not None and field.names == ("O", "H"):
        return "water", _water(max(1, round(atoms / 3)))
    if field is not None and len(field.types) == 1 and not field.bonds and not field.types[0].charge:
        return field.names[0], _simple_liquid(field, atoms)
    raise InputError(
        f"{loaded.path}: can be measured only on water or on a simple liquid, and its force field is neither; "
        "measure it with 'gnnformd simulate'."
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


def _run_lammps(commands: list[str]) -> tuple[Frame, list[Float], float]:
    """First frame, positions of the steps after it, and the seconds LAMMPS took for these steps."""
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
            seconds = _timed(lambda: lmp.command(f"run {TIMED_STEPS} pre no post no"))
        steps = []
        for _ in range(TIMED_STEPS):
            lmp.command("run 1 pre no post no")
            steps.append(np.array(lmp.gather_atoms("x", 1, 3), dtype=np.float64).reshape(-1, 3))
    finally:
        lmp.close()
    frame = Frame(
        timestep=SETTLING_STEPS,
        cell=topology.cell,
        origin=topology.origin,
        periodic=(True, True, True),
        ids=topology.ids,
        types=topology.types,
        positions=steps[0],
        molecule_ids=topology.molecule_ids,
        bonds=topology.bonds,
        charges=topology.charges,
    )
    return frame, steps, seconds
