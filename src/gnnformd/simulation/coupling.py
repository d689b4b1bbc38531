"""Coupling: LAMMPS moves the atoms, a model says the forces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.model.interface import Prediction
from gnnformd.reference.library import lammps_sentence
from gnnformd.simulation.evaluator import Evaluator
from gnnformd.simulation.guard import Guard, ModelFailure, Unstable
from gnnformd.trajectory.frame import Frame

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.file import LoadedModel

__all__ = ["Coupling"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_FIX = "gnnformd"
_FAILED = "gnnformd_failed"


class Coupling:
    """Puts a model in the place of the force field of a LAMMPS instance.

    Pair, bond, angle, dihedral and improper styles become ``zero`` and the k-space style ``none``: bonds are kept,
    but the model alone says the forces, through ``fix external``. Kinds of bond come from LAMMPS's own bonds. The
    model's energy and virial, where it has them, are handed to LAMMPS, so that ``pe``, ``etotal`` and ``press`` are
    right.

    LAMMPS swallows an exception raised while it asks for forces, and would go on. Here it is kept; the forces of
    that step become NaN, the run stops at the end of the step, before any output, and `run` raises what happened.

    Parameters
    ----------
    lmp
        An instance with a box and atoms, in units ``real``, on one rank.
    loaded
        The model.
    guard
        Limits beyond which the run stops.
    on_step
        Called with the step number after each evaluation of the forces.

    Attributes
    ----------
    prediction
        The last answer of the model, or None.
    interrupted
        Whether `stop` ended the last run.

    Raises
    ------
    InputError
        The instance does not fit: units, ranks, or a type that the model does not know.
    """

    def __init__(
        self,
        lmp: lammps,
        loaded: LoadedModel,
        *,
        guard: Guard | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> None:
        self.prediction: Prediction | None = None
        self.interrupted = False
        self._lmp = lmp
        self._guard = guard if guard is not None else Guard()
        self._on_step = on_step
        self._failure: BaseException | None = None
        _check_instance(lmp)
        self._count = int(lmp.get_natoms())
        self._evaluator = Evaluator(loaded, _frame(lmp))
        self._install(loaded.model.cutoff)

    @property
    def has_energy(self) -> bool:
        """Whether the model said an energy; known after the first evaluation."""
        return self.prediction is not None and self.prediction.energies is not None

    @property
    def has_virial(self) -> bool:
        """Whether the model said a virial; known after the first evaluation."""
        return self.prediction is not None and self.prediction.virials is not None

    def run(self, steps: int) -> None:
        """Run LAMMPS for a number of steps.

        Raises
        ------
        Unstable
            A limit of the guard was passed, or LAMMPS itself gave up on the atoms.
        ModelFailure
            The model raised an exception.
        InputError
            LAMMPS refused to run.
        """
        self._failure = None
        self.interrupted = False
        self._lmp.set_internal_variable(_FAILED, 0.0)
        self._lmp.command("timer timeout off")  # takes back an earlier stop
        first = self._step()
        try:
            self._lmp.command(f"run {steps}")
        except Exception as error:  # LAMMPS's Python interface raises nothing more specific
            if self._failure is None:
                message = lammps_sentence(str(error))[0]
                if self._step() == first:
                    raise InputError(f"LAMMPS cannot run: {message}") from error
                raise Unstable(self._step(), f"LAMMPS stopped: {message}") from error
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the run after the step that is under way, with its output complete; for signal handlers."""
        self.interrupted = True
        self._lmp.force_timeout()

    def _install(self, cutoff: float) -> None:
        """Take the force field out and put the model in."""
        lmp = self._lmp
        lmp.command("kspace_style none")
        lmp.command(f"pair_style zero {cutoff} nocoeff")
        lmp.command("pair_coeff * *")
        for kind in ("bond", "angle", "dihedral", "improper"):
            if lmp.extract_setting(f"n{kind}types") > 0:
                lmp.command(f"{kind}_style zero nocoeff")
                lmp.command(f"{kind}_coeff *")
        lmp.command(f"fix {_FIX} all external pf/callback 1 1")
        lmp.command(f"fix_modify {_FIX} energy yes virial yes")
        lmp.command(f"variable {_FAILED} internal 0")
        lmp.command(f"fix {_FIX}_halt all halt 1 v_{_FAILED} > 0.5 error hard message no")
        lmp.set_fix_external_callback(_FIX, self._callback)

    def _callback(self, _caller: object, step: int, count: int, tags: NDArray[Any], x: Float, forces: Float) -> None:
        """Give LAMMPS the forces on its ``count`` atoms; must not raise."""
        if self._failure is not None:
            forces[:] = np.nan
            return
        try:
            self._answer(step, count, tags, x, forces)
        except BaseException as error:  # whatever it is, ctypes would drop it and LAMMPS would go on
            forces[:] = np.nan
            self._failure = _failure(step, error)
            self._lmp.set_internal_variable(_FAILED, 1.0)

    def _answer(self, step: int, count: int, tags: NDArray[Any], x: Float, forces: Float) -> None:
        self._check_temperature(step, count)
        if count != self._count:
            raise Unstable(step, f"{self._count - count} of {self._count} atoms are lost.")
        order = np.argsort(tags)  # LAMMPS reorders its atoms in memory, the model's rows ascend by id
        ids = tags[order]
        self._guard.check_finite(step, "position", ids, x[order])
        cell, periodic = _box(self._lmp)
        prediction = self._evaluator.evaluate(x[order], cell, periodic)
        predicted = prediction.forces.numpy(force=True)
        self._guard.check_finite(step, "force", ids, predicted)
        forces[order] = predicted
        if prediction.energies is not None:
            self._lmp.fix_external_set_energy_global(_FIX, float(prediction.energies[0]))
        if prediction.virials is not None:
            v = prediction.virials[0].numpy(force=True).astype(np.float64)
            self._lmp.fix_external_set_virial_global(_FIX, [v[0, 0], v[1, 1], v[2, 2], v[0, 1], v[0, 2], v[1, 2]])
        self.prediction = prediction
        if self._on_step is not None:
            self._on_step(step)

    def _check_temperature(self, step: int, count: int) -> None:
        arrays = self._lmp.numpy
        types = arrays.extract_atom("type", nelem=count)
        masses = arrays.extract_atom("mass")
        self._guard.check_temperature(step, masses[types], arrays.extract_atom("v", nelem=count, dim=3))

    def _step(self) -> int:
        return int(self._lmp.extract_global("ntimestep"))


def _failure(step: int, error: BaseException) -> BaseException:
    """Make of an exception in the callback what `Coupling.run` raises: of a KeyboardInterrupt nothing else."""
    if isinstance(error, Unstable | InputError) or not isinstance(error, Exception):
        return error
    failure = ModelFailure(step, error)
    failure.__cause__ = error
    return failure


def _check_instance(lmp: lammps) -> None:
    """Refuse what the coupling cannot do yet, and what has no atoms."""
    units = lmp.extract_global("units")
    if units != "real":
        raise InputError(f"the LAMMPS input uses units {units}; write 'units real'.")
    if lmp.extract_setting("world_size") > 1:
        raise InputError("simulations run on one rank so far; start LAMMPS without mpiexec.")
    if lmp.extract_setting("box_exist") == 0 or lmp.get_natoms() == 0:
        raise InputError("LAMMPS has no atoms yet; read a data file before the model is coupled.")


def _frame(lmp: lammps) -> Frame:
    """Read the system as LAMMPS has it now, by ascending id."""
    count = int(lmp.get_natoms())
    arrays = lmp.numpy
    tags = arrays.extract_atom("id", nelem=count)
    order = np.argsort(tags)
    ids = tags[order].astype(np.int64)
    cell, periodic = _box(lmp)
    charged = lmp.extract_setting("q_flag") == 1
    return Frame(
        timestep=int(lmp.extract_global("ntimestep")),
        cell=cell,
        origin=np.asarray(lmp.extract_box()[0], dtype=np.float64),
        periodic=periodic,
        ids=ids,
        types=arrays.extract_atom("type", nelem=count)[order].astype(np.int64),
        positions=arrays.extract_atom("x", nelem=count, dim=3)[order].copy(),
        bonds=_bonds(lmp, ids),
        charges=arrays.extract_atom("q", nelem=count)[order].copy() if charged else None,
    )


def _bonds(lmp: lammps, ids: Int) -> Int:
    """LAMMPS's bonds as pairs of rows, (M, 2)."""
    if lmp.extract_setting("molecule_flag") == 0 or lmp.extract_global("nbonds") == 0:
        return np.empty((0, 2), np.int64)
    pairs = lmp.numpy.gather_bonds()[:, 1:].astype(np.int64)  # (M, 2), ids
    rows: Int = np.searchsorted(ids, pairs)
    return rows


def _box(lmp: lammps) -> tuple[Float, tuple[bool, bool, bool]]:
    """Lattice vectors as rows, and periodic directions."""
    low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
    a, b, c = np.subtract(high, low)
    cell = np.array([[a, 0.0, 0.0], [xy, b, 0.0], [xz, yz, c]])
    return cell, (bool(periodic[0]), bool(periodic[1]), bool(periodic[2]))
