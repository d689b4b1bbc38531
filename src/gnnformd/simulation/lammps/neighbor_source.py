"""Where the forces of a rank's atoms come from: its domain, or the whole system on one rank."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gnnformd.errors import InputError
from gnnformd.graph.bonds import BondTable, bond_table
from gnnformd.graph.type_matching import TypeMap
from gnnformd.inference.domain_forces import DomainForces
from gnnformd.inference.seen_pairs import SeenPairs
from gnnformd.inference.system import Evaluator
from gnnformd.inference.training_range import Unstable, needs_charges
from gnnformd.model.choose_engine import exchanges_messages
from gnnformd.model.engine import EngineResult
from gnnformd.simulation.lammps.domain_reader import DomainReader
from gnnformd.simulation.lammps.exchange import Exchange
from gnnformd.simulation.lammps.joint_evaluation import JointEvaluation
from gnnformd.simulation.lammps.pppm_mesh import mesh_for
from gnnformd.simulation.lammps.ranks import Ranks
from gnnformd.trajectory.frame import Frame
from gnnformd.units import COULOMB

if TYPE_CHECKING:
    from lammps import lammps

    from gnnformd.model.files.model_file import LoadedModel

__all__ = ["Domains", "Whole", "choose_source", "without_forces"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

ORDER = 7
"""Nodes that PPPM spreads a charge over; at 7 its mesh has half as many points as at 5."""

SKIN = 1.0
"""Neighbor lists of LAMMPS reach so far beyond the cutoff, angstrom."""


def choose_source(
    lmp: lammps,
    loaded: LoadedModel,
    ranks: Ranks,
    kspace_accuracy: float,
    types: TypeMap,
    *,
    refuse_unseen: bool = True,
) -> Domains | Whole:
    """Cut the system into domains where the model allows it; else take it whole, if there is one rank.

    One rank takes a system with learned charges whole, too: its engines have more to choose from.

    ``types`` gives the model's type of each type of LAMMPS. With ``refuse_unseen`` atoms that are close to each other
    at the start are refused where the model has seen no such pair.

    Raises
    ------
    InputError
        There are many ranks, but the model or the box cannot be cut, or a type is not known to the model.
    """
    model, reason = loaded.model, loaded.model.indivisible
    uncharged = reason is None and lmp.extract_setting("q_flag") == 0
    if reason is None and model.needs_other_domains:
        if not all(_box(lmp)[1]):
            reason = "its charges are learned, and the box is not periodic in all directions"
        elif uncharged and loaded.card.force_field is None and needs_charges(loaded):
            reason = "the atoms have no charges in LAMMPS"
        elif not loaded.compiled:
            reason = "its charges are learned, and PyTorch (--torch) evaluates those of whole systems alone"
    elif reason is None and model.long_range is not None:
        if not all(_box(lmp)[1]):
            reason = "only a box that is periodic in all directions can have its Coulomb energy from LAMMPS"
        elif uncharged:
            reason = "the atoms have no charges in LAMMPS, whose PPPM needs them"
    if reason is None and (ranks.size > 1 or not model.needs_other_domains):
        return Domains(lmp, loaded, ranks, kspace_accuracy, types, refuse_unseen=refuse_unseen)
    if ranks.size > 1:
        raise InputError(f"the model {loaded.path} cannot run on {ranks.size} ranks, because {reason}; use one rank.")
    return Whole(lmp, loaded, types, refuse_unseen=refuse_unseen)


def without_forces(cutoff: float) -> list[str]:
    """Commands after which LAMMPS has neighbors, but neither forces between atoms nor PPPM."""
    return ["kspace_style none", f"pair_style zero {cutoff!r} nocoeff", "pair_coeff * *"]


class Whole:
    """The whole system as one periodic graph, on one rank.

    Attributes
    ----------
    ids
        Of the atoms in the order of the last forces.
    keeps_momentum
        Whether forces sum to zero but for rounding.
    """

    def __init__(self, lmp: lammps, loaded: LoadedModel, types: TypeMap, *, refuse_unseen: bool) -> None:
        self.ids: Int = np.empty(0, np.int64)
        self.keeps_momentum = loaded.model.keeps_momentum(int(lmp.get_natoms()), periodic=all(_box(lmp)[1]))
        self._lmp = lmp
        self._cutoff = loaded.model.cutoff
        self._loaded = loaded
        self._types = types
        self._frame = _frame(lmp, types)
        self._evaluator = Evaluator(loaded, self._frame)
        if refuse_unseen:
            SeenPairs.of(loaded).check("the system", self._frame)

    @property
    def unseen(self) -> str | None:
        """See `gnnformd.inference.system.Evaluator`."""
        return self._evaluator.unseen

    def commands(self) -> list[str]:
        """Commands that take LAMMPS's force field out."""
        return without_forces(self._cutoff)

    def commands_of_run(self) -> list[str]:
        """Commands before each run: none."""
        return []

    def renew(self) -> None:
        """Take over atoms, types, charges and bonds that were changed between two runs.

        Raises
        ------
        InputError
            The system has a type of atom that the model does not know.
        """
        frame = _frame(self._lmp, self._types)
        if not _same_system(frame, self._frame):
            self._frame, self._evaluator = frame, Evaluator(self._loaded, frame)

    def forget(self) -> None:
        """Use nothing that was kept from earlier steps."""
        self._evaluator.forget()

    def together(self, step: int) -> AbstractContextManager[None]:
        """There are no others."""
        return nullcontext()

    def prepare(self, step: int, count: int, ids: NDArray[np.generic]) -> None:
        """Note which atoms there are."""
        self.ids = np.asarray(ids[:count], dtype=np.int64)

    def evaluate(self, step: int) -> EngineResult:
        """Predict; nothing is left to send.

        Raises
        ------
        Unstable
            LAMMPS has lost atoms.
        """
        count, expected = len(self.ids), len(self._frame.ids)
        if count != expected:
            raise Unstable(step, f"{expected - count} of {expected} atoms are lost.")
        order = np.argsort(self.ids)  # LAMMPS reorders its atoms in memory, the model's rows ascend by id
        if self._types_or_charges_changed(order):
            self.renew()
        x = self._lmp.numpy.extract_atom("x", nelem=count, dim=3)
        prediction = self._evaluator.evaluate(x[order], *_box(self._lmp))
        forces = np.empty((count, 3))
        forces[order] = prediction.forces.numpy(force=True)
        energy = None if prediction.energies is None else float(prediction.energies[0])
        virial = None if prediction.virials is None else prediction.virials[0].numpy(force=True).astype(np.float64)
        nearest, grades = self._evaluator.nearest, None
        if prediction.grades is not None:
            grades = np.empty(count)
            grades[order] = prediction.grades.numpy(force=True)
        return EngineResult(forces, energy, virial, None if nearest is None else nearest.named(self.ids[order]), grades)

    def _types_or_charges_changed(self, order: NDArray[np.intp]) -> bool:
        """Whether a fix has changed types or charges since the last evaluation."""
        arrays, count = self._lmp.numpy, len(order)
        types = self._types.of(arrays.extract_atom("type", nelem=count)[order])
        if not np.array_equal(types, self._frame.types):
            return True
        charges = self._frame.charges
        return charges is not None and not np.array_equal(arrays.extract_atom("q", nelem=count)[order], charges)

    def collect(self, share: EngineResult) -> Float:
        """Give the forces on the atoms, (N, 3)."""
        return share.forces


class Domains:
    """Each rank's own atoms with the ghosts around them.

    LAMMPS builds the neighbor list and marks kinds of bond in it. What ghosts send to the next layer comes from the
    ranks that own them. Where an engine does not take it (`gnnformd.model.choose_engine.exchanges_messages`), ghosts
    reach ``layers`` cutoffs far, so that what the energies of own atoms depend on is complete. Forces on ghosts are
    sent home.

    With fixed charges LAMMPS's PPPM computes what the model leaves out (see
    `gnnformd.graph.atomic_graph.AtomicGraph.owned`), with the model's own splitting: ``pair_style coul/long``, which
    PPPM requires, computes nothing. Where it can, PPPM takes forces as derivatives of the energy of its mesh: two
    Fourier transforms instead of four, and half the drift of the energy, but a small force on the whole system is left.
    Learned charges are those of all ranks together, and so is their Coulomb energy, which the model computes
    (`JointEvaluation`).

    Attributes
    ----------
    ids
        Of own atoms and ghosts in the order of the last forces.
    keeps_momentum
        Whether forces sum to zero but for rounding.
    """

    def __init__(
        self,
        lmp: lammps,
        loaded: LoadedModel,
        ranks: Ranks,
        kspace_accuracy: float,
        types: TypeMap,
        *,
        refuse_unseen: bool,
    ) -> None:
        self.ids: Int = np.empty(0, np.int64)
        self._lmp, self._ranks, self._accuracy = lmp, ranks, kspace_accuracy
        self._model = loaded.model
        self._tilted = lmp.extract_setting("triclinic") == 1
        charges = loaded.model.long_range
        self._pppm = charges if charges is not None and charges.fixed_charges else None
        self.keeps_momentum = (
            loaded.model.keeps_momentum(int(lmp.get_natoms()), periodic=all(_box(lmp)[1]))
            if self._pppm is None
            else loaded.model.conservative and self._tilted
        )
        exchanges = exchanges_messages(loaded.model, fast=loaded.compiled)
        self._joint = JointEvaluation(ranks) if exchanges or loaded.model.needs_other_domains else None
        self._deep = loaded.model.layers > 1 and not exchanges
        self._builds = self._step = -1
        self._read_at: Float = np.empty((0, 3))
        self._rebuilt = True
        self._exchange: Exchange | None = None
        own = int(lmp.extract_setting("nlocal"))
        present = lmp.numpy.extract_atom("type", nelem=own) if own else np.empty(0, np.int64)
        with ranks.together():
            self._forces = DomainForces(loaded, types.of(present), self._joint, refuse_unseen=refuse_unseen)
        self._reader = DomainReader(
            lmp,
            loaded.model.cutoff + SKIN if self._deep else None,
            _bonds_by_id(lmp) if self._deep else None,
            types,
            bonded=SeenPairs.of(loaded).bonds,
        )

    @property
    def unseen(self) -> str | None:
        """See `gnnformd.inference.domain_forces.DomainForces`."""
        return self._forces.unseen

    def commands(self) -> list[str]:
        """Commands that replace LAMMPS's force field by lists, ghosts and PPPM."""
        cutoff = repr(self._model.cutoff)
        zero = f"zero {cutoff} nocoeff full"
        every = "neigh_modify every 1 delay 0 check yes"
        commands = ["kspace_style none", every, *self._lists(), self._ghosts()]
        if self._pppm is None:
            return [*commands, f"pair_style {zero}", "pair_coeff * *"]
        return [
            *commands,
            f"pair_style hybrid/overlay {zero} coul/long {cutoff}",
            "pair_coeff * * zero",
            "pair_coeff * * coul/long",
            "pair_modify pair coul/long compute no",
            f"kspace_style pppm {self._accuracy!r}",
            f"kspace_modify gewald {self._pppm.splitting!r} order {ORDER}",
            f"kspace_modify diff {'ik' if self._tilted else 'ad'}",  # LAMMPS has no ad for tilted boxes
        ]

    def _lists(self) -> list[str]:
        """Commands after which lists hold what the model needs."""
        return [
            f"neighbor {SKIN} bin",
            "neigh_modify exclude none",
            "special_bonds lj/coul 1e-50 1e-50 1e-50",  # neither 0 nor 1: neighbors are kept and marked
        ]

    def _ghosts(self) -> str:
        """Command after which ghosts reach as far as the model sees."""
        cutoffs = self._model.layers if self._deep else 1
        return f"comm_modify mode single cutoff {cutoffs * self._model.cutoff + SKIN!r}"

    def commands_of_run(self) -> list[str]:
        """Commands before each run: settings of the lists, which the input may have changed, and the mesh of PPPM.

        The mesh is that for the box and the charges there are now. Up to one cutoff LAMMPS itself sees that ghosts
        reach far enough, and the input may ask for more.
        """
        ghosts = [self._ghosts()] if self._deep else []
        return [*self._lists(), *ghosts, *self._mesh()]

    def _mesh(self) -> list[str]:
        """Commands that choose the mesh of PPPM."""
        count = int(self._lmp.extract_setting("nlocal"))
        if self._pppm is None or self._tilted:
            return []  # in tilted boxes LAMMPS estimates errors by a formula
        charges = self._lmp.numpy.extract_atom("q", nelem=count) if count else np.zeros(0)
        squares, atoms = self._ranks.sum(np.array([float(charges @ charges), count])).tolist()
        if squares == 0.0:
            return []
        edges = np.diag(_box(self._lmp)[0])
        mesh = mesh_for(edges, squares, atoms, self._pppm.splitting, ORDER, self._accuracy * COULOMB)
        return [f"kspace_modify mesh {mesh[0]} {mesh[1]} {mesh[2]}"]

    def renew(self) -> None:
        """Take over atoms and bonds that were changed between two runs."""
        self._builds = -1
        if self._deep:
            self._reader.set_bonds(_bonds_by_id(self._lmp))

    def forget(self) -> None:
        """Read LAMMPS's lists anew, which it rebuilds where it writes a restart file."""
        self._builds = -1
        self._forces.forget()

    def together(self, step: int) -> AbstractContextManager[None]:
        """Give the block in which all ranks evaluate a model that needs the others; it raises the same on all."""
        return nullcontext() if self._joint is None else self._joint.together(step)

    def prepare(self, step: int, count: int, ids: NDArray[np.generic]) -> None:
        """Find the owners of the ghosts anew if LAMMPS has rebuilt its lists; all ranks together."""
        builds = int(self._lmp.get_thermo("nbuild"))
        self._rebuilt = builds != self._builds or (builds == 0 and not self._goes_on(step, count))
        self._builds, self._step = builds, step
        if not self._rebuilt and self._exchange is not None:
            return
        ghosts = int(self._lmp.extract_setting("nghost"))
        total = count + ghosts
        every = self._lmp.numpy.extract_atom("id", nelem=total) if total else ids
        self.ids = np.array(every[:total], dtype=np.int64)
        self._read_at = np.array(self._lmp.numpy.extract_atom("x", nelem=count, dim=3)) if count else np.empty((0, 3))
        self._exchange = Exchange.plan(self._ranks, self.ids[:count], self.ids[count:])
        if self._joint is not None:
            self._joint.use(self._exchange)

    def _goes_on(self, step: int, count: int) -> bool:
        """Whether the list read last serves still, where LAMMPS counts no rebuilding.

        The count begins at 0 in each run, and at each frame of a ``rerun``. All ranks come to the same answer.
        """
        total = count + int(self._lmp.extract_setting("nghost"))
        good = step == self._step + 1 and total == len(self.ids) and count == len(self._read_at)
        if good and count:
            arrays = self._lmp.numpy
            moved = arrays.extract_atom("x", nelem=count, dim=3) - self._read_at
            good = bool((moved * moved).sum(axis=1).max() < (0.5 * SKIN) ** 2)
            good = good and np.array_equal(arrays.extract_atom("id", nelem=total), self.ids)
        return bool(self._ranks.sum(np.array([0.0 if good else 1.0]))[0] == 0.0)

    def evaluate(self, step: int) -> EngineResult:
        """Predict what this rank's atoms give.

        Raises
        ------
        Unstable
            A ghost belongs to no rank.
        """
        if self._exchange is not None and len(self._exchange.orphans):
            raise Unstable(step, f"atom {self._exchange.orphans[0]} is lost.")
        domain = self._reader.read(rebuilt=self._rebuilt, cell=_box(self._lmp)[0])
        return self._forces.evaluate(domain)

    def collect(self, share: EngineResult) -> Float:
        """Add up the forces on own atoms from all ranks, (N, 3)."""
        assert self._exchange is not None
        return self._exchange.collect(share.forces)


def _same_system(first: Frame, second: Frame) -> bool:
    """Whether ids, types, charges and bonds are the same."""
    names = ("ids", "types", "bonds", "charges")
    pairs = ((getattr(first, name), getattr(second, name)) for name in names)
    return all(one is other if one is None or other is None else np.array_equal(one, other) for one, other in pairs)


def _bonds_by_id(lmp: lammps) -> BondTable | None:
    """Pairs of ids, less one, at most three bonds apart; every rank has all of them."""
    if lmp.extract_setting("molecule_flag") == 0 or lmp.extract_global("nbonds") == 0:
        return None
    pairs = lmp.numpy.gather_bonds()[:, 1:].astype(np.int64) - 1
    return bond_table(pairs, int(pairs.max()) + 1)


def _frame(lmp: lammps, types: TypeMap) -> Frame:
    """Read the system as LAMMPS has it now, by ascending id, with the model's types."""
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
        types=types.of(arrays.extract_atom("type", nelem=count)[order]),
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
