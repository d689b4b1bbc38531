"""Calculator: a trained model for ASE."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError, all_changes
from ase.calculators.calculator import Calculator as AseCalculator
from ase.geometry import find_mic
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.type_matching import MASS_TOLERANCE, KnownType, KnownTypes, TypeMap, match_types
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.inference.system import Evaluator
from gnnformd.inference.training_range import TrainingRange, unusual_surroundings
from gnnformd.interfaces.element_types import map_of_topology, types_of_elements
from gnnformd.model.engine import ClosePair
from gnnformd.model.files.model_file import LoadedModel, load_model
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.formats.frame_states import FrameStates
from gnnformd.trajectory.frame import Frame, Topology
from gnnformd.trajectory.molecules import molecules_to_bonds
from gnnformd.units import KCAL_PER_MOL_PER_EV

__all__ = ["Calculator"]

Int = NDArray[np.int64]
Float = NDArray[np.float64]


LASTING = 20  # calculations; atoms of a sound simulation have surroundings like none in training for moments
JUMP = 0.5
"""Of an atom within a step of a simulation or of a relaxation, angstrom; more makes it another structure."""


class Calculator(AseCalculator):  # type: ignore[misc]
    """Forces, and energy and stress where the model has them, in ASE's units (eV, angstrom).

    The type of each atom comes from the topology if one is given, else from the array ``type`` (as ASE's reader of
    LAMMPS data files makes it), else from the element's symbol. Types are matched with those of the model by name or
    mass (see `gnnformd.graph.type_matching.match_types`). Bonds come from the topology, else from the array
    ``mol-id`` by the rule of `gnnformd.trajectory.formats.data_file.molecules_to_bonds`.

    Parameters
    ----------
    model
        Model file, name of a shipped model, or a model already loaded.
    topology
        LAMMPS data file with types, charges and bonds of the atoms, in the order of their ids.
    types
        The model's type of each type of the topology; by default they are matched by names and masses.
    device, dtype
        Where and in which precision a model file is loaded; PyTorch's names (dtype float32 if not given).

    Attributes
    ----------
    nearest
        After a calculation, the pair of atoms that is closest in contact distances (0.95 of the closest approach in
        training), by rows, if it is closer than one.
    unseen
        After a calculation, how far two atoms are apart that are close to each other, of which the model has seen no
        such pair in training (see `gnnformd.inference.seen_pairs.UnseenPairs`); None if there are none. Such atoms are
        refused at the first calculation, and where an atom has jumped by more than half an angstrom since the last one:
        that is another structure.
    grades
        After a calculation, extrapolation grades of the atoms, (N,): about 1 at most in the training data, more than 2
        where surroundings are like none there (see `gnnformd.model.density.surroundings.Surroundings`), NaN for atoms
        of a type of which there were too few; None if the model does not know them.
    warns
        Whether such atoms are refused after a jump, and warned of where they meet step by step, and whether there is a
        warning where a structure leaves the range of the training data (see
        `gnnformd.inference.training_range.TrainingRange`), again only where an atom has moved half an angstrom since,
        then one angstrom, and so on; simulations of this package look at all that themselves.

    Raises
    ------
    InputError
        The model or the topology cannot be read, or the atoms do not fit them (when forces are asked for).

    Examples
    --------
    >>> atoms.calc = gnnformd.Calculator("argon")  # doctest: +SKIP
    >>> atoms.get_forces()  # doctest: +SKIP
    """

    name = "gnnformd"
    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(
        self,
        model: LoadedModel | str | Path,
        *,
        topology: Topology | Path | str | None = None,
        types: TypeMap | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if isinstance(model, LoadedModel):
            self.loaded = model
        else:
            self.loaded = load_model(model, device=device, dtype=dtype)
        self.topology = read_topology(Path(topology)) if isinstance(topology, str | Path) else topology
        self._source = topology if isinstance(topology, str | Path) else "the topology"
        self._map = types
        if not self.loaded.model.conservative:
            self.implemented_properties = ["forces"]  # type: ignore[misc]
        self.nearest: ClosePair | None = None
        self.unseen: str | None = None
        self.grades: Float | None = None
        self.warns = True
        self._evaluator: Evaluator | None = None
        self._system: tuple[Int, Int, Float] | None = None
        self._range = TrainingRange.of(self.loaded)
        self._warned = 0  # times it was told that this structure extrapolates, at last at these positions
        self._warned_at: Float = np.empty((0, 3))
        self._unusual_for = LASTING - 1
        self._states: dict[str, list[str]] = {}
        self._ids: Int = np.empty(0, np.int64)
        self._last: Float = np.empty((0, 3))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Evaluate the model; ASE calls this.

        Raises
        ------
        ase.calculators.calculator.CalculationFailed
            A force is not finite.
        ase.calculators.calculator.PropertyNotImplementedError
            The stress is asked for and the model has no virial, or the atoms fill no volume.
        """
        super().calculate(atoms, properties, system_changes)
        if not len(self.atoms):
            raise InputError("there are no atoms to calculate forces of; give at least one.")
        met, self.nearest, self.unseen, self.grades = self.unseen is not None, None, None, None
        evaluator = self._evaluator_of(self.atoms)
        self._last = self.atoms.positions.copy()
        prediction = evaluator.evaluate(self.atoms.positions, np.asarray(self.atoms.cell), _periodic(self.atoms))
        self.nearest = evaluator.nearest
        self.unseen = evaluator.unseen
        if prediction.grades is not None:
            self.grades = prediction.grades.numpy(force=True).astype(np.float64)
        forces = prediction.forces.numpy(force=True).astype(np.float64)
        if not np.isfinite(forces).all():
            wrong = np.flatnonzero(~np.isfinite(forces).all(axis=1))
            raise CalculationFailed(f"the force of atom {wrong[0]} is not finite.")
        if self.warns:
            self._warn(forces, met=met)
        self.results: dict[str, Any] = {"forces": forces / KCAL_PER_MOL_PER_EV}
        if prediction.energies is not None:
            energy = float(prediction.energies[0]) / KCAL_PER_MOL_PER_EV
            self.results |= {"energy": energy, "free_energy": energy}
        if prediction.virials is not None and self.atoms.cell.rank == 3:
            virial = prediction.virials[0].numpy(force=True).astype(np.float64) / KCAL_PER_MOL_PER_EV
            # ASE's stress is positive under tension, the virial under compression
            stress = -0.5 * (virial + virial.T) / self.atoms.get_volume()
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)
        for name in properties or []:
            if name not in self.results:
                raise PropertyNotImplementedError(f"the model {self.loaded.path} gives no {name} for these atoms.")

    def _warn(self, forces: Float, *, met: bool) -> None:
        """Tell where atoms meet whose pair the model has not seen, or else where the structure extrapolates."""
        assert self._system is not None
        if self.unseen is not None:
            if not met:
                warnings.warn(
                    f"{self.unseen}, but no such pair was in the training data of {self.loaded.path}, so their forces "
                    "are arbitrary.",
                    stacklevel=3,
                )
        else:
            nearest = None if self.nearest is None else self.nearest.named(self._ids)
            reason = self._range.leaves(self._ids, self._system[0], forces, nearest, None) or self._unusual()
            if reason is not None and (not self._warned or _farther(self.atoms, self._warned_at, self._warned * JUMP)):
                self._warned, self._warned_at = self._warned + 1, self.atoms.positions.copy()
                warnings.warn(f"{reason} The model {self.loaded.path} extrapolates.", stacklevel=3)

    def _unusual(self) -> str | None:
        """Say which atom has surroundings like none in training, at first or for `LASTING` calculations on end."""
        found = unusual_surroundings(self._ids, self.grades)
        self._unusual_for = 0 if found is None else self._unusual_for + 1
        return found if self._unusual_for >= LASTING else None

    def _evaluator_of(self, atoms: Atoms) -> Evaluator:
        """Return the evaluator of this system, made anew when its types or molecules have changed.

        Raises
        ------
        InputError
            The atoms do not fit the model, or are another structure with atoms close to each other, of which the model
            has seen no such pair.
        """
        types, molecules = self._types(atoms), atoms.arrays.get("mol-id", np.empty(0, np.int64))
        charges = self._charges(atoms)
        system = (types, np.array(molecules), np.array(() if charges is None else charges))
        same = self._system is not None and all(map(np.array_equal, self._system, system))
        evaluator = self._evaluator if same else None
        if evaluator is None or (self.warns and self._jumped(atoms)):
            frame = self._frame(atoms, types)
            evaluator = evaluator or Evaluator(self.loaded, frame)
            SeenPairs.of(self.loaded).check("the atoms", frame)
            self._evaluator, self._system, self._ids = evaluator, system, frame.ids
            self._warned, self._unusual_for = 0, LASTING - 1
        self._look_at_states(atoms)
        return evaluator

    def _look_at_states(self, atoms: Atoms) -> None:
        """Warn where charge, spin and the like are not those of the training data, whenever they have changed."""
        states = FrameStates()
        states.add(atoms.info)
        if self.warns and states.values != self._states:
            self._states = states.values
            self.loaded.card.warn_of_states("the atoms", states.values, self.loaded.path)

    def _jumped(self, atoms: Atoms) -> bool:
        """Whether these are not the atoms of the last calculation a step later, wherever lattice vectors moved them."""
        return _farther(atoms, self._last, JUMP)

    def _frame(self, atoms: Atoms, types: Int) -> Frame:
        return Frame(
            timestep=0,
            cell=np.asarray(atoms.cell),
            origin=np.zeros(3),
            periodic=_periodic(atoms),
            ids=np.arange(1, len(atoms) + 1) if self.topology is None else self.topology.ids,
            types=types,
            positions=atoms.positions.copy(),
            bonds=self._bonds(atoms, types),
            charges=self._charges(atoms),
        )

    def _charges(self, atoms: Atoms) -> Float | None:
        """Charges of the atoms, e, where the topology has them, or no force field tells those of the types."""
        if self.topology is not None and self.topology.charges is not None:
            return self.topology.charges
        if self.loaded.card.force_field is not None or not atoms.has("initial_charges"):
            return None
        return np.array(atoms.get_initial_charges(), dtype=np.float64)

    def _types(self, atoms: Atoms) -> Int:
        """Type of each atom in the model, (N,)."""
        if self.topology is not None:
            if len(self.topology.types) != len(atoms):
                raise InputError(
                    f"there are {len(atoms)} atoms, but {len(self.topology.types)} in the topology; "
                    "give the topology of these atoms."
                )
            if self._map is None:
                self._map = map_of_topology(self.loaded, self._source, self.topology)
            return self._map.of(self.topology.types)
        if "type" in atoms.arrays:
            types = np.asarray(atoms.arrays["type"], dtype=np.int64)
            return match_types(_known_types(atoms, types), self.loaded.known_types, np.unique(types).tolist()).of(types)
        return types_of_elements(
            self.loaded, atoms.get_chemical_symbols(), "set the array 'type' of the atoms or give a topology"
        )

    def _bonds(self, atoms: Atoms, types: Int) -> Int | None:
        """Bonds as pairs of rows."""
        if self.topology is not None:
            return self.topology.bonds
        if "mol-id" in atoms.arrays:
            bonds: Any = molecules_to_bonds(np.asarray(atoms.arrays["mol-id"], dtype=np.int64), types)
            return np.asarray(bonds, dtype=np.int64)
        force_field = self.loaded.card.force_field
        if force_field is not None and force_field.bonds:
            raise InputError(
                f"the model {self.loaded.path} was trained on molecules and these atoms have no bonds; "
                "give Calculator a topology, or the atoms an array 'mol-id'."
            )
        return None


def _farther(atoms: Atoms, before: Float, distance: float) -> bool:
    """Whether an atom is farther from where it was than so many angstrom, wherever lattice vectors moved it."""
    moved = atoms.positions - before
    near = np.einsum("ij,ij->i", moved, moved) < distance**2
    return not near.all() and bool((find_mic(moved[~near], atoms.cell, atoms.pbc)[1] > distance).any())


def _known_types(atoms: Atoms, types: Int) -> KnownTypes:
    """Take element and mass of each type in the array ``type``, where its atoms share them."""
    symbols, masses, kinds = np.array(atoms.get_chemical_symbols()), atoms.get_masses(), []
    numbered = np.array_equal(atoms.numbers, types)  # ASE does so where a data file has no masses
    for number in range(1, int(types.max(initial=0)) + 1):
        mine = types == number
        names = np.unique(symbols[mine]).tolist()
        named = len(names) == 1 and names != ["X"] and not numbered
        same = named and float(np.ptp(masses[mine])) < MASS_TOLERANCE
        kinds.append(KnownType(names[0] if named else None, float(masses[mine][0]) if same else None))
    return KnownTypes("the atoms", tuple(kinds))


def _periodic(atoms: Atoms) -> tuple[bool, bool, bool]:
    x, y, z = atoms.pbc.tolist()
    return x, y, z
