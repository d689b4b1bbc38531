"""CompileEngine, CompileDomainEngine: a density model by kernels of PyTorch's compiler, for accelerators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.density.compile_engine.kernels import CompiledEnergies
from gnnformd.model.density.model import DensityModel
from gnnformd.model.engine import ClosePair, DomainNeighbors, EngineResult
from gnnformd.model.interface import weight_of

__all__ = ["CompileDomainEngine", "CompileEngine"]

Float = NDArray[np.float64]


class CompileEngine:
    """See `gnnformd.model.engine.Engine`, for a whole system; long-range electrostatics are left to PyTorch itself.

    Parameters
    ----------
    model
        On an accelerator, with charges that are not learned.
    """

    name = "torch.compile"

    def __init__(self, model: DensityModel) -> None:
        self._model = model
        self._kernels = CompiledEnergies(model)
        self._atoms: AtomicGraph | None = None

    def serves(self, atoms: AtomicGraph) -> bool:
        """See `gnnformd.model.engine.Engine.serves`: any atoms, each search brings its own tables."""
        return True

    def set_neighbors(self, neighbors: AtomicGraph) -> None:
        """See `gnnformd.model.engine.Engine.set_neighbors`."""
        weight = weight_of(self._model)
        self._atoms = neighbors.to(weight.device, weight.dtype)
        self._kernels.set_neighbors(neighbors)

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `gnnformd.model.engine.Engine.evaluate`."""
        assert self._atoms is not None
        local = _short_range(self._kernels, positions, cell)
        smooth = self._model.long_range_part(self._atoms, positions, cell)
        if smooth is None:
            return local
        assert smooth.energies is not None and smooth.virials is not None
        assert local.energy is not None and local.virial is not None
        return EngineResult(
            local.forces + smooth.forces.double().numpy(force=True),
            local.energy + float(smooth.energies[0]),
            local.virial + smooth.virials[0].double().numpy(force=True),
            local.nearest,
            local.grades,
        )

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `gnnformd.model.engine.Engine.parts`."""
        found: dict[str, Callable[[], object]] = {"short_range": lambda: _short_range(self._kernels, positions, cell)}
        if self._model.long_range is not None:
            atoms = self._atoms
            assert atoms is not None

            def long_range() -> object:
                smooth = self._model.long_range_part(atoms, positions, cell)
                return None if smooth is None else smooth.forces.cpu()  # waits for the accelerator

            found["long_range"] = long_range
        return found

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Not counted."""
        return None


class CompileDomainEngine:
    """See `gnnformd.model.engine.Engine`, for a domain; without long-range electrostatics.

    Parameters
    ----------
    model
        As for `CompileEngine`.
    """

    name = "torch.compile"

    def __init__(self, model: DensityModel) -> None:
        self._kernels = CompiledEnergies(model)

    def serves(self, atoms: AtomicGraph) -> bool:
        """See `gnnformd.model.engine.Engine.serves`: any atoms."""
        return True

    def set_neighbors(self, neighbors: DomainNeighbors) -> None:
        """See `gnnformd.model.engine.Engine.set_neighbors`."""
        self._kernels.set_neighbors(neighbors.atoms.with_half_edges(neighbors.half_edges))

    def evaluate(self, positions: Float, cell: Float) -> EngineResult:
        """See `gnnformd.model.engine.Engine.evaluate`."""
        return _short_range(self._kernels, positions, np.eye(3))

    def parts(self, positions: Float, cell: Float) -> dict[str, Callable[[], object]]:
        """See `gnnformd.model.engine.Engine.parts`."""
        return {"short_range": lambda: _short_range(self._kernels, positions, np.eye(3))}

    def operations_per_atom(self, edges_per_atom: float) -> float | None:
        """Not counted."""
        return None


def _short_range(kernels: CompiledEnergies, positions: Float, cell: Float) -> EngineResult:
    found = kernels.evaluate(positions, cell)
    nearest = None if found.nearest is None else ClosePair(*found.nearest)
    return EngineResult(found.forces, float(found.energies.sum()), found.virial, nearest, found.grades)
