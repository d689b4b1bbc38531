"""Coupling: LAMMPS moves the atoms, a model gives the forces."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.training_range import UNUSUAL, TrainingRange, Unstable
from gnnformd.reference.library import lammps_sentence
from gnnformd.simulation.guard import Departures, Guard, failure_of
from gnnformd.simulation.lammps.atom_types import match_lammps_types
from gnnformd.simulation.lammps.bond_lengths import bond_lengths, equilibrium_values, has_coefficients
from gnnformd.simulation.lammps.checks import (
    Inventory,
    check_command,
    check_force_field,
    check_instance,
    check_inventory,
)
from gnnformd.simulation.lammps.neighbor_source import Domains, Whole, choose_source, without_forces
from gnnformd.simulation.lammps.ranks import Ranks, heat_of_rank

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.engine import EngineResult
    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Coupling"]

Float = NDArray[np.float64]

_FIX = "gnnformd"
_FAILED = "gnnformd_failed"
_INSIDE = "gnnformd_inside"
_CONSTRAINTS = ("shake", "rattle")


class Coupling:
    """Puts a model in the place of the force field of a LAMMPS instance, on any number of ranks.

    Pair, bond, angle, dihedral and improper styles become ``zero``: bonds are kept, but the model alone gives the
    forces between atoms, through ``fix gnnformd all external``. Kinds of bond come from LAMMPS's own bonds. Each rank
    evaluates its own atoms with the ghosts around them; LAMMPS's PPPM completes the Coulomb energy of a model with
    fixed charges, and the ranks sum up that of learned ones together. A model that needs the whole system runs on one
    rank (see `neighbor_source`). The model's energy and virial, where it has them, are handed to LAMMPS, so that
    ``pe``, ``etotal`` and ``press`` are right.

    LAMMPS calls fixes in the order of their definition. Those that read or replace the total force, such as
    ``setforce``, ``shake`` and ``rigid``, must be defined after the coupling, or after a line
    ``fix gnnformd all external pf/callback 1 1`` in the input, which the coupling then uses. What would give wrong
    numbers is refused by name before each run (see `gnnformd.simulation.lammps.styles`).

    LAMMPS swallows an exception raised while it asks for forces, and would go on. Here it is kept and told to all
    ranks; the forces of that step become NaN, the run stops at the end of the step, before any output, and `run`
    raises on every rank what happened.

    Where a force or a distance is outside of what the model was trained on, the first rank warns once, or all stop,
    as the guard says; LAMMPS's variable ``gnnformd_inside`` is then 0 for the first hundred such steps, so that
    ``dump_modify ID skip v_gnnformd_inside`` makes a dump of every step hold these frames.

    Parameters
    ----------
    lmp
        An instance with a box and atoms, in units ``real``; every rank couples it.
    loaded
        The model.
    guard
        Limits beyond which the run stops; without one, only what is not finite or unseen by the model stops it.
    on_step
        Called with the step number after each evaluation of the forces.
    kspace_accuracy
        Of PPPM, relative to the force of two unit charges one angstrom apart.
    forget_every
        Steps at which nothing is used that was kept from earlier ones, so that a run that starts there is the same.
    allow
        Styles of fixes, computes and commands that are refused otherwise; "hybrid" to replace a hybrid pair style as a
        whole, "thermo" for columns and variables that show parts of the energy.
    types
        Names of LAMMPS's atom types in the order of their numbers, as the model has them, or a map from its types to
        those of the model; by default they are matched by type labels and masses.
    goes_on
        Whether the run goes on with an earlier one, in which atoms may have met of which the model has seen no such
        pair: that is told again (see `departures`), and otherwise refused.

    Attributes
    ----------
    ranks
        The processes that run LAMMPS.
    has_energy, has_virial
        Whether the model has an energy and a virial; known after the first evaluation.
    departures
        Steps outside of what the model was trained on.
    seconds
        Spent so far on asking the model, on this rank.
    interrupted
        Whether `stop` ended the last run.
    keeps_momentum
        Whether forces sum to zero but for rounding; else ``fix momentum`` keeps the system where it is. They do not for
        forces that are no gradient, for PPPM with ``diff ad``, which is used where the box is not tilted, and for
        charges that are learned in large systems, whose long-range part is computed on a mesh.

    Raises
    ------
    InputError
        The instance does not fit: units, ranks, a type that the model does not know, or something in the input that
        would give wrong numbers.
    """

    def __init__(
        self,
        lmp: lammps,
        loaded: LoadedModel,
        *,
        guard: Guard | None = None,
        on_step: Callable[[int], None] | None = None,
        kspace_accuracy: float = 1e-5,
        forget_every: int | None = None,
        allow: Sequence[str] = (),
        types: TypeMap | Sequence[str] | None = None,
        goes_on: bool = False,
    ) -> None:
        self.has_energy = self.has_virial = self.interrupted = self._asked = False
        self.seconds = 0.0
        self._lmp = lmp
        self._guard = guard if guard is not None else Guard()
        self._on_step = on_step
        self._forget_every = forget_every
        self._failure: BaseException | None = None
        self._allow = tuple(allow)
        self._running = False
        check_instance(lmp)
        if not lmp.has_id("variable", _FAILED):  # else an earlier coupling has replaced the force field
            check_force_field(lmp, self._allow)
        self.ranks = Ranks(lmp.get_mpi_comm())
        self._count = int(lmp.get_natoms())
        self.departures = Departures()
        self._range = TrainingRange.of(loaded)
        self._types = match_lammps_types(lmp, loaded, self.ranks, types)
        self._source: Domains | Whole = choose_source(
            lmp, loaded, self.ranks, kspace_accuracy, self._types, refuse_unseen=not goes_on
        )
        self.keeps_momentum = self._source.keeps_momentum
        self._cutoff = loaded.model.cutoff
        self._install()
        self._styles = _force_field_styles(lmp)
        self._checked: tuple[str, ...] = ()
        self.check()

    def check(self) -> Inventory:
        """See that nothing is defined in LAMMPS that would give wrong numbers; `run` and `command` do this first.

        Returns
        -------
        Inventory
            What is defined.

        Raises
        ------
        InputError
            Names what would, and says what to do.
        """
        inventory = Inventory.read(self._lmp, self.ranks)
        check_inventory(self._lmp, inventory, _FIX, self._allow)
        for kind, style in _force_field_styles(self._lmp).items():
            if style != self._styles[kind]:
                raise InputError(
                    f"{kind} is {style} now, on top of the model's forces; define no force field after the Coupling."
                )
        self._checked = self._defined()
        return inventory

    def _check_constraints(self, inventory: Inventory) -> None:
        """Refuse a fix that holds bonds whose lengths LAMMPS does not know."""
        constraints = [fix for fix in inventory.fixes if fix.style in _CONSTRAINTS]
        for kind in ("bond", "angle"):
            if not constraints or self._lmp.extract_setting(f"n{kind}types") == 0:
                continue
            if equilibrium_values(self._lmp, self.ranks, kind) is None:
                fix, value = constraints[0], "length" if kind == "bond" else "angle"
                raise InputError(
                    f"fix {fix.name} ({fix.style}) asks LAMMPS for each {value}, which it does not know under a model; "
                    f"write '{kind}_style zero' and '{kind}_coeff TYPE {value.upper()}' after the Coupling."
                )

    def run(self, steps: int) -> None:
        """Run LAMMPS for a number of steps; all ranks together.

        Raises
        ------
        Unstable
            A limit of the guard was passed, or LAMMPS itself gave up on the atoms.
        ModelFailure
            The model raised an exception.
        InputError
            LAMMPS refused to run, or something is defined that would give wrong numbers.
        """
        self.command(f"run {steps}")

    def command(self, text: str) -> None:
        """Give LAMMPS a command that evaluates forces, such as ``minimize`` or ``rerun``; all ranks together.

        Raises
        ------
        Unstable
            A limit of the guard was passed, or LAMMPS itself gave up on the atoms.
        ModelFailure
            The model raised an exception.
        InputError
            LAMMPS refused to run, or something is defined that would give wrong numbers.
        """
        check_command(text, self._allow)
        self._check_constraints(self.check())
        with self.ranks.together():
            self._source.renew()
        self._count = int(self._lmp.get_natoms())
        self._failure = None
        self.interrupted = self._asked = False
        self._lmp.set_internal_variable(_FAILED, 0.0)
        self._lmp.command("timer timeout off")  # takes back an earlier stop
        for command in self._source.commands_of_run():
            self._lmp.command(command)
        first, refusal = self._step(), None
        self._running = True
        try:
            self._lmp.command(text)
        except Exception as error:  # LAMMPS's Python interface raises nothing more specific
            message = lammps_sentence(str(error))[0]
            if self.ranks.size > 1 and type(error).__name__ == "MPIAbortException":  # of this rank alone
                self.ranks.abort(f"Error: step {self._step()}: LAMMPS stopped: {message}")
            refusal = error
        finally:
            self._running = False
        failure = self.ranks.first_of(self._failure)
        if failure is not None:
            raise failure
        if refusal is not None:
            if self._step() == first:
                raise InputError(f"LAMMPS cannot run: {message}") from refusal
            raise Unstable(self._step(), f"LAMMPS stopped: {message}") from refusal

    def stop(self) -> None:
        """End the run after the step that is under way, with its output complete; for signal handlers.

        On many ranks all of them end it together, one step later; it is enough that one is asked.
        """
        if self.ranks.size > 1:
            self._asked = True
        else:
            self._end()

    def _end(self) -> None:
        self.interrupted = True
        self._lmp.force_timeout()

    def _install(self) -> None:
        """Take the force field out and put the model in."""
        lmp = self._lmp
        # replaced at its position in the order of fixes, if the input or an earlier coupling has defined it
        lmp.command(f"fix {_FIX} all external pf/callback 1 1")
        lmp.set_fix_external_callback(_FIX, self._callback)
        for command in without_forces(self._cutoff):  # no PPPM is set up where coefficients are written
            lmp.command(command)
        values = {"bond": bond_lengths(lmp, self.ranks)}
        if any(fix.style in _CONSTRAINTS for fix in Inventory.read(lmp, self.ranks).fixes):
            values["angle"] = equilibrium_values(lmp, self.ranks, "angle")
        for kind in ("bond", "angle", "dihedral", "improper"):
            count = int(lmp.extract_setting(f"n{kind}types"))
            known = values.get(kind)
            if lmp.extract_global(f"{kind}_style") == "zero" and has_coefficients(lmp, self.ranks, kind):
                continue
            if count > 0 and known is not None:  # fix shake and fix rattle ask for them
                lmp.command(f"{kind}_style zero")
                for number, value in enumerate(known, start=1):
                    lmp.command(f"{kind}_coeff {number} {value!r}")
            elif count > 0:
                lmp.command(f"{kind}_style zero nocoeff")
                lmp.command(f"{kind}_coeff *")
        for command in self._source.commands():
            lmp.command(command)
        lmp.command(f"fix_modify {_FIX} energy yes virial yes")
        lmp.command(f"variable {_FAILED} internal 0")
        lmp.command(f"variable {_INSIDE} internal 1")
        self._inside = True
        lmp.command(f"fix {_FIX}_halt all halt 1 v_{_FAILED} > 0.5 error hard message no")

    def _callback(self, _caller: object, step: int, count: int, ids: NDArray[Any], x: Float, forces: Float) -> None:
        """Give LAMMPS the forces on its ``count`` atoms; must not raise, since ctypes would drop it."""
        try:
            if not self._running and self._failure is None:
                self._refuse_unchecked()
            self._answer(step, count, ids, x, forces)
        except BaseException as error:
            if self.ranks.size > 1:  # the others are waiting for what this rank was to send
                self.ranks.abort(f"step {step}:\n{traceback.format_exc()}")
            self._fail(failure_of(step, error), forces)

    def _refuse_unchecked(self) -> None:
        """Fail if fixes or computes were defined since the last check; LAMMPS runs without `run` or `command`."""
        if self._defined() != self._checked:
            self._failure = InputError(
                "fixes or computes were defined after the last check of the Coupling; "
                "run by Coupling.run or Coupling.command."
            )
            warnings.warn(str(self._failure), stacklevel=2)

    def _defined(self) -> tuple[str, ...]:
        return (*self._lmp.available_ids("fix"), *self._lmp.available_ids("compute"))

    def _fail(self, failure: BaseException | None, forces: Float) -> None:
        """Let LAMMPS stop at the end of this step; every rank does so together."""
        forces[:] = np.nan
        self._failure = failure
        self._lmp.set_internal_variable(_FAILED, 1.0)

    def _answer(self, step: int, count: int, ids: NDArray[Any], x: Float, forces: Float) -> None:
        """Ask the model, agree with the other ranks, and hand over what came out."""
        if self._forget_every is not None and step % self._forget_every == 0:
            self._source.forget()
        self._source.prepare(step, count, ids)
        share, heat, failure = None, 0.0, None
        try:
            with self._source.together(step):
                if self._failure is not None:  # of the last step, after the ranks had agreed
                    raise self._failure
                heat = heat_of_rank(self._lmp)
                share = self._share(step, ids, x)
        except BaseException as error:  # whatever it is, the other ranks must hear of it
            failure = failure_of(step, error)
        totals = self.ranks.sum(_to_sum(failure, self._asked, heat, count, share))
        shared = self.ranks.first_of(failure) if totals[0] else None
        failure = self._judge(step, totals) or shared  # atoms that are too hot explain what else goes wrong
        if failure is not None or share is None:
            self._fail(failure, forces)
            return
        if totals[1]:
            self._end()
        forces[:] = self._source.collect(share)
        self._hand_over(share, totals)
        failure = self._look(step, count, ids, forces, share)
        if failure is not None:
            self._fail(failure, forces)
            return
        try:
            if self._on_step is not None:
                self._on_step(step)
        except BaseException as error:  # the other ranks hear of it at the next step or the end of the run
            self._failure = failure_of(step, error)

    def _share(self, step: int, ids: NDArray[Any], x: Float) -> EngineResult:
        """Ask the model about this rank's atoms."""
        self._guard.check_finite(step, "position", ids, x)
        begin = time.perf_counter()
        share = self._source.evaluate(step)
        self.seconds += time.perf_counter() - begin
        self._range.check_sight(step, share.nearest)
        self._guard.check_finite(step, "force", self._source.ids, share.forces)
        return share

    def _judge(self, step: int, totals: Float) -> BaseException | None:
        """Check what only all ranks know together; every rank comes to the same answer."""
        try:
            count = int(totals[3])
            self._guard.check_kinetic_energy(step, float(totals[2]), count)
            if count != self._count:
                raise Unstable(step, f"{self._count - count} of {self._count} atoms are lost.")
        except Unstable as error:
            return error
        return None

    def _look(self, step: int, count: int, ids: NDArray[Any], forces: Float, share: EngineResult) -> Unstable | None:
        """See whether the model extrapolates; every rank comes to the same answer.

        The force on an atom is the model's, on top of what LAMMPS's array holds by now: that of PPPM, and of fixes in
        an input of one's own that come before.
        """
        outside = None
        if count:
            arrays = self._lmp.numpy
            total = forces + arrays.extract_atom("f", nelem=count, dim=3)
            types = self._types.of(arrays.extract_atom("type", nelem=count))
            outside = self._range.leaves(ids, types, total, share.nearest, self._source.unseen)
        unusual = 0 if share.grades is None else np.count_nonzero(share.grades > UNUSUAL)
        counts = self.ranks.sum(np.array([outside is not None, unusual], dtype=np.float64))
        self.departures.note_unusual(step, int(counts[1]))
        if counts[0] == 0.0:
            self._say_inside(True)
            return None
        reason = self.ranks.first_of(outside)
        assert reason is not None
        self.departures.note(step, reason, warn=self.ranks.first and not self._guard.stop_outside)
        self._say_inside(not self.departures.to_be_written)
        return Unstable(step, reason) if self._guard.stop_outside else None

    def _say_inside(self, inside: bool) -> None:
        """Set the variable by which dumps skip frames, where it changes."""
        if inside != self._inside:
            self._lmp.set_internal_variable(_INSIDE, float(inside))
            self._inside = inside

    def _hand_over(self, share: EngineResult, totals: Float) -> None:
        """Give LAMMPS energy and virial; on every rank it wants those of the system."""
        self.has_energy, self.has_virial = share.energy is not None, share.virial is not None
        if self.has_energy:
            self._lmp.fix_external_set_energy_global(_FIX, float(totals[4]))
        if self.has_virial:
            v = totals[5:].reshape(3, 3)
            self._lmp.fix_external_set_virial_global(_FIX, [v[0, 0], v[1, 1], v[2, 2], v[0, 1], v[0, 2], v[1, 2]])

    def _step(self) -> int:
        return int(self._lmp.extract_global("ntimestep"))


def _to_sum(failure: BaseException | None, asked: bool, heat: float, count: int, share: EngineResult | None) -> Float:
    """Whether this rank failed or shall end, heat, atoms, energy, virial: what all ranks sum up, (14,)."""
    numbers = np.zeros(14)
    numbers[:4] = failure is not None, asked, heat, count
    if share is not None:
        numbers[4] = 0.0 if share.energy is None else share.energy
        numbers[5:] = 0.0 if share.virial is None else share.virial.ravel()
    return numbers


def _force_field_styles(lmp: lammps) -> dict[str, str]:
    names = ("pair_style", "bond_style", "angle_style", "dihedral_style", "improper_style", "kspace_style")
    return {name: str(lmp.extract_global(name)) for name in names}
