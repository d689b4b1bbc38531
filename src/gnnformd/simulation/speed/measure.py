"""How long a model's forces take in molecular dynamics, beside another force field of LAMMPS in the same run."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnformd.graph.build import build_graph
from gnnformd.inference.system import Evaluator
from gnnformd.inference.training_range import Unstable
from gnnformd.model.interface import weight_of
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.speed.liquids import liquid_commands, settled
from gnnformd.trajectory.frame import Frame

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["BLOCK", "BLOCKS", "Against", "Parts", "Speed", "measure_speed", "per_step", "timed"]

Float = NDArray[np.float64]
MOST_COMPARED = 20_000  # atoms
BLOCKS, BLOCK = 10, 5
"""LAMMPS and the network take turns of so many steps."""


@dataclass(frozen=True)
class Against:
    """Another force field of LAMMPS on the same structure, in the same run and on one core.

    Attributes
    ----------
    source
        File with its commands.
    pair_style
        Name.
    units
        Unit style of the file.
    step
        Of a step of LAMMPS with it, microseconds per atom, median of three runs that alternate with those of the model;
        None if the machine is too busy to say.
    mean_absolute_difference, rms_difference
        Of the components of its forces from those of the model, kcal/mol/angstrom, along the run of the model.
    rms_force
        Of the components of its forces, kcal/mol/angstrom.
    """

    source: str
    pair_style: str
    units: str
    step: float | None
    mean_absolute_difference: float
    rms_difference: float
    rms_force: float

    def to_dict(self, own: dict[str, float]) -> dict[str, Any]:
        """Return what is written as JSON, with ratios of the times of the model to that of the force field."""
        return {
            "file": self.source,
            "pair_style": self.pair_style,
            "units": self.units,
            "microseconds_per_atom_step": self.step,
            "threads": 1,
            "ratio": None if self.step is None else {name: value / self.step for name, value in own.items()},
            "force_mae": self.mean_absolute_difference,
            "force_rmse": self.rms_difference,
            "force_rms": self.rms_force,
        }


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
        On known neighbors, median.
    short_range
        Share of it that is not long-range electrostatics: what is left where LAMMPS does that part. Median. All of it
        for a model with learned charges, on which everything depends.
    with_neighbor_search
        Along the steps of a simulation, neighbor lists being renewed when atoms have moved, mean.
    network
        Share of ``short_range`` that is work on each atom, between its densities and their derivatives, median; None
        if it is not known. The rest is the loops over neighbors.
    step, coupling
        Of LAMMPS with the forces of the model, and what it takes beside asking the model: PPPM for fixed charges,
        neighbor lists, integration, and the coupling itself. Median of three runs; None if the model is not stable
        or the machine too busy to say.
    lammps
        Of a step of LAMMPS with the force field of the model, median; its steps alternate with those of the network.
        None on a structure of the user's.
    compiled
        Whether compiled loops computed the forces.
    operations
        Floating-point operations per atom of the short-range part, counted from the settings, or None if not compiled.
    peak
        Floating-point operations per microsecond in a product of large matrices, in the same run and type.
    difference
        Root mean square of what the forces of compiled loops differ from those of PyTorch in float64, over that of the
        forces; None if not compiled, or above 20 000 atoms, where PyTorch takes much memory.
    against
        Another force field on the same structure, or None.
    """

    model: str
    system: str
    atoms: int
    edges_per_atom: float
    threads: int
    device: str
    forces: float
    short_range: float
    with_neighbor_search: float
    network: float | None
    step: float | None
    coupling: float | None
    lammps: float | None
    compiled: bool
    operations: float | None
    peak: float
    difference: float | None
    against: Against | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is written as JSON; a ratio above 1 says how many times slower than LAMMPS's own force field."""
        own = {
            "short_range": self.short_range,
            "forces": self.forces,
            "with_neighbor_search": self.with_neighbor_search,
            **{
                name: value
                for name, value in (("network", self.network), ("step", self.step), ("coupling", self.coupling))
                if value is not None
            },
        }
        lammps = self.lammps
        share = None if self.operations is None else self.operations / self.short_range / self.peak
        return {
            "model": self.model,
            "system": self.system,
            "atoms": self.atoms,
            "edges_per_atom": self.edges_per_atom,
            "threads": self.threads,
            "device": self.device,
            "compiled": self.compiled,
            "microseconds_per_atom_step": own,
            "edges_per_second": 1e6 * self.edges_per_atom / self.short_range,
            "operations_per_atom": self.operations,
            "matrix_product_gigaflop_per_second": self.peak / 1e3,
            "share_of_matrix_product": share,
            "difference_from_pytorch": self.difference,
            "lammps": None if lammps is None else {"microseconds_per_atom_step": lammps, "threads": 1},
            "ratio_to_lammps": None if lammps is None else {name: value / lammps for name, value in own.items()},
            "against": None if self.against is None else self.against.to_dict(own),
        }


class Parts:
    """Collects the times of the parts of an evaluation, along the steps of a simulation.

    Parameters
    ----------
    loaded
        The model.
    frame
        Atoms, with the model's types.
    """

    def __init__(self, loaded: LoadedModel, frame: Frame) -> None:
        self._loaded, self._frame = loaded, frame
        self._evaluator = Evaluator(loaded, frame)
        self._times: dict[str, list[float]] = {name: [] for name in ("short_range", "long_range", "network", "moving")}
        self._positions = frame.positions
        self.forces(frame.positions)  # compiles

    def forces(self, positions: Float) -> Float:
        """Of the model, kcal/mol/angstrom, (N, 3)."""
        found: Float = self._evaluate(positions).double().numpy()
        return found

    def _evaluate(self, positions: Float) -> torch.Tensor:
        return self._evaluator.evaluate(positions, self._frame.cell, self._frame.periodic).forces.cpu()

    def block(self, step: Callable[[], Float]) -> None:
        """Measure ``BLOCK`` evaluations along steps, each of which gives new positions, and the parts of the last."""
        for _ in range(BLOCK):
            self._positions = step()
            self._times["moving"].append(timed(partial(self._evaluate, self._positions)))
        self._engine, moved, box = self._evaluator.at(self._positions, self._frame.cell, self._frame.periodic)
        for part, work in self._engine.parts(moved, box).items():
            self._times[part] += [timed(work) for _ in range(BLOCK)]

    def speed(
        self,
        system: str,
        *,
        step: float | None,
        coupling: float | None,
        lammps: float | None = None,
        against: Against | None = None,
    ) -> Speed:
        """Put the result together; times of steps are in seconds."""
        loaded, frame = self._loaded, self._frame
        weight = weight_of(loaded.model)
        edges = build_graph(frame, loaded.card.cutoff, loaded.card.force_field).edge_count / len(frame.types)
        per_atom = 1e6 / len(frame.types)
        times = {name: median(found) * per_atom if found else 0.0 for name, found in self._times.items()}
        compiled = self._engine.name != "torch"
        moving = self._times["moving"]
        return Speed(
            model=str(loaded.path),
            system=system,
            atoms=len(frame.types),
            edges_per_atom=edges,
            threads=torch.get_num_threads(),
            device=str(weight.device),
            forces=times["short_range"] + times["long_range"],
            short_range=times["short_range"],
            with_neighbor_search=sum(moving) / len(moving) * per_atom,
            network=times["network"] or None,
            step=None if step is None else step * per_atom,
            coupling=None if coupling is None else coupling * per_atom,
            lammps=None if lammps is None else lammps * per_atom,
            compiled=compiled,
            operations=self._engine.operations_per_atom(edges),
            peak=_matrix_product_speed(weight),
            difference=None if not compiled else self._difference(),
            against=against,
        )

    def _difference(self) -> float | None:
        """Relative root-mean-square difference of the forces from those of PyTorch in float64."""
        frame = self._frame
        if len(frame.types) > MOST_COMPARED:
            return None
        exact = replace(self._loaded, model=copy.deepcopy(self._loaded.model).double(), compiled=False)
        evaluator = Evaluator(exact, replace(frame, positions=self._positions))
        expected = evaluator.evaluate(self._positions, frame.cell, frame.periodic).forces.numpy(force=True)
        difference = np.linalg.norm(self.forces(self._positions) - expected)
        return float(difference / np.linalg.norm(expected))


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
    report(0, BLOCKS)
    system, commands = liquid_commands(loaded, atoms)
    own: list[float] = []
    with settled(commands) as (lmp, frame):

        def one_step() -> Float:
            lmp.command("run 1 pre no post no")
            return np.array(lmp.gather_atoms("x", 1, 3), dtype=np.float64).reshape(-1, 3)

        parts = Parts(loaded, frame)
        for block in range(BLOCKS):
            own.append(timed(lambda: lmp.command(f"run {BLOCK} pre no post no")) / BLOCK)
            parts.block(one_step)
            report(block + 1, BLOCKS)
        step, coupling = _coupled(lmp, loaded)
    return parts.speed(system, step=step, coupling=coupling, lammps=median(own))


def _coupled(lmp: lammps, loaded: LoadedModel) -> tuple[float | None, float | None]:
    """Seconds of a step of LAMMPS with the forces of the model, and those of them that are not spent on asking it."""
    try:
        coupling = Coupling(lmp, loaded)
        coupling.run(BLOCK + BLOCKS * BLOCK)  # compiles what is left to compile, also when neighbor lists are renewed
        found = [per_step(coupling.run, lambda: coupling.seconds) for _ in range(3)]
    except Unstable:
        return None, None
    whole, beside = (median(part) for part in zip(*found, strict=True))
    return (whole, beside) if min(whole, beside) > 0.0 else (None, None)


def per_step(run: Callable[[int], object], spent: Callable[[], float] = lambda: 0.0) -> tuple[float, float]:
    """Seconds of a step of a simulation, less what each run begins with, and those that are not ``spent`` on a model.

    Parameters
    ----------
    run
        Runs so many steps.
    spent
        Seconds spent so far.
    """

    def once(count: int) -> tuple[float, float]:
        before = spent()
        whole = timed(partial(run, count))
        return whole, whole - (spent() - before)

    steps = BLOCKS * BLOCK
    short, longer = once(BLOCK), once(BLOCK + steps)
    return (longer[0] - short[0]) / steps, (longer[1] - short[1]) / steps


def _matrix_product_speed(weight: torch.Tensor) -> float:
    """Floating-point operations per microsecond of a product of matrices that fit into a cache."""
    size = 512
    a, b = torch.rand(2, size, size, dtype=weight.dtype, device=weight.device).unbind()
    return 2 * size**3 / (1e6 * min(timed(lambda: (a @ b).sum().item()) for _ in range(20)))


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
