"""Energies that do not change by the work of the forces are noticed; those that do are not."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from gnnformd.trajectory.data_checks import DataChecks
from gnnformd.trajectory.frame import Frame
from gnnformd.trajectory.work_of_forces import WorkOfForces
from gnnformd.units import KCAL_PER_MOL_PER_EV


@pytest.fixture(scope="module")
def run() -> list[Frame]:
    """Copper (EMT) that melts, every 4 fs; atoms leave the box."""
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=2000, rng=np.random.default_rng(0))
    dynamics, frames = VelocityVerlet(atoms, 2 * units.fs), []
    for step in range(25):
        dynamics.run(2)
        atoms.wrap()
        frames.append(
            Frame(
                timestep=step,
                cell=np.array(atoms.cell),
                origin=np.zeros(3),
                periodic=(True, True, True),
                ids=np.arange(1, 33),
                types=np.ones(32, np.int64),
                positions=atoms.positions.copy(),
                forces=atoms.get_forces() * KCAL_PER_MOL_PER_EV,
                energy=atoms.get_potential_energy() * KCAL_PER_MOL_PER_EV,
                line=0,
            )
        )
        frames[-1].positions.flags.writeable = False
    assert atoms.get_temperature() > 300
    return frames


def sentences(frames: list[Frame]) -> str:
    checks = DataChecks(units="metal")
    for frame in frames:
        checks.add(frame)
    return " ".join(checks.problems())


def test_the_trapezoidal_rule_holds(run: list[Frame]) -> None:
    work = WorkOfForces()
    for frame in run:
        work.add(frame)
    assert work.pairs > 10
    assert work.ratio == pytest.approx(1.0, abs=0.01)
    assert sentences(run) == ""


def test_a_molecule_whose_bonds_vibrate_is_judged() -> None:
    """Works of its bonds are large and cancel; hartree and hartree/bohr read as eV and eV/angstrom are noticed."""
    atoms = molecule("CH3CH2OH")
    atoms.calc = EMT()
    MaxwellBoltzmannDistribution(atoms, temperature_K=600, rng=np.random.default_rng(0))
    dynamics, frames = VelocityVerlet(atoms, 0.5 * units.fs), []
    for step in range(60):
        dynamics.run(2)
        frames.append(
            Frame(
                timestep=step,
                cell=30 * np.eye(3),
                origin=np.zeros(3),
                periodic=(False, False, False),
                ids=np.arange(1, len(atoms) + 1),
                types=atoms.numbers.copy(),
                positions=atoms.positions.copy(),
                forces=atoms.get_forces() * KCAL_PER_MOL_PER_EV,
                energy=atoms.get_potential_energy() * KCAL_PER_MOL_PER_EV,
                line=0,
            )
        )
    work = WorkOfForces()
    for frame in frames:
        work.add(frame)
    assert work.pairs > 40
    assert work.ratio == pytest.approx(1.0, abs=0.03)
    assert "work" not in sentences(frames)
    wrong = [replace(f, energy=f.energy / 27.211386, forces=f.forces / 51.42207) for f in frames]
    assert "energies fall by 1.8" in sentences(wrong) or "energies fall by 1.9" in sentences(wrong)


@pytest.mark.parametrize(
    ("change", "ratio"),
    [
        (lambda frame: replace(frame, energy=frame.energy / 32), 1 / 32),  # per atom
        (lambda frame: replace(frame, energy=frame.energy / 27.211386), 1 / 27.2),  # hartree, forces in eV/angstrom
        (lambda frame: replace(frame, forces=frame.forces / 51.422), 51.4),  # forces in hartree/bohr
        (lambda frame: replace(frame, forces=-frame.forces), -1.0),  # gradients
        (lambda frame: replace(frame, energy=-100.0 + 1e-9 * frame.timestep), 0.0),  # total, conserved
    ],
)
def test_wrong_units_and_signs_are_noticed(run: list[Frame], change: Callable[[Frame], Frame], ratio: float) -> None:
    said = re.search(r"energies fall by (\S+) times the work of the forces", sentences([change(f) for f in run]))
    assert said is not None
    assert float(said[1]) == pytest.approx(ratio, rel=0.01, abs=1e-6)


def test_noise_of_forces_and_steps_back_and_forth_are_no_reason(run: list[Frame]) -> None:
    """Finite displacements and shifted copies: work is zero to first order, and what is left is noise."""
    rng = np.random.default_rng(0)
    first = run[0]
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.calc = EMT()
    displaced = []
    for k in range(24):
        atoms.positions[k // 2, 0] += 0.01 if k % 2 else -0.01
        noise = rng.normal(0, 3e-3, (32, 3))
        displaced.append(
            replace(
                first,
                positions=atoms.positions.copy(),
                forces=(atoms.get_forces() + noise) * KCAL_PER_MOL_PER_EV,
                energy=atoms.get_potential_energy() * KCAL_PER_MOL_PER_EV,
            )
        )
        atoms.positions[k // 2, 0] -= 0.01 if k % 2 else -0.01
    assert "work" not in sentences(displaced)
    assert "work" not in sentences([replace(first, positions=first.positions + 0.002 * k) for k in range(20)])
    noisy = [replace(f, forces=f.forces + rng.normal(0, 0.1 * KCAL_PER_MOL_PER_EV, (32, 3))) for f in run]
    assert "work" not in sentences(noisy)


def test_rounding_and_frames_far_apart_are_no_reason(run: list[Frame]) -> None:
    assert sentences([replace(frame, energy=20.0 * round(frame.energy / 20.0)) for frame in run]) == ""
    assert sentences(run[::8]) == ""
    few = [replace(frame, energy=0.0) if k else frame for k, frame in enumerate(run[:10])]
    assert "work" not in sentences(few)
    assert "work" not in sentences([replace(frame, energy=None) for frame in run])
