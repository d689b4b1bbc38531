"""A small liquid with forces that depend on positions, as a dump."""

from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import yaml
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.force_field import AtomType, ForceField
from gnnformd.neighbors import neighbor_pairs
from gnnformd.trajectory.settings import DataSettings

FIELD = ForceField(
    types=(AtomType("Ar", 39.948, epsilon=0.2378, sigma=3.405), AtomType("Kr", 83.8, epsilon=0.33, sigma=3.6))
)


def write_liquid(path: Path, *, frames: int = 13, seed: int = 0) -> None:
    """Write 27 atoms of two types near a lattice of 3.8 angstrom; each pushes its neighbors away."""
    random = np.random.default_rng(seed)
    lattice = 3.8 * np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    length = 3 * 3.8
    lines = ["ITEM: UNITS", "real"]
    for step in range(frames):
        x = lattice + random.normal(0, 0.3, lattice.shape)
        i, j, shift = neighbor_pairs(x, length * np.eye(3), (True, True, True), 4.4)
        d = x[j] - x[i] + shift * length
        push = 40 * d / np.linalg.norm(d, axis=1, keepdims=True) ** 4
        forces = np.zeros_like(x)
        np.add.at(forces, i, -push)
        np.add.at(forces, j, push)
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(x)), "ITEM: BOX BOUNDS pp pp pp"]
        lines += [f"0 {length}"] * 3 + ["ITEM: ATOMS id type x y z fx fy fz"]
        lines += [
            f"{k + 1} {k % 2 + 1} " + " ".join(repr(float(v)) for v in (*x[k], *forces[k])) for k in range(len(x))
        ]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def liquid(tmp_path: Path) -> DataSettings:
    """Settings of a dataset of 13 frames."""
    write_liquid(tmp_path / "liquid.dump")
    (tmp_path / "field.yaml").write_text(yaml.safe_dump(FIELD.to_dict()))
    return DataSettings(paths=[str(tmp_path / "liquid.dump")], force_field=str(tmp_path / "field.yaml"))


def write_crystal(path: Path, *, frames: int, seed: int) -> list[ase.Atoms]:
    """Write shaken crystals with the many-body energies of copper under varying pressure, named argon, as extxyz."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(frames):
        length = 2 * 3.61 * (1 + 0.03 * random.normal())
        sites = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        cells = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
        x = length / 2 * (cells + sites).reshape(-1, 3) + random.normal(0, 0.1, (32, 3))
        atoms = ase.Atoms("Cu32", x, cell=[length] * 3, pbc=True)
        atoms.calc = EMT()
        found = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
        atoms.symbols[:] = "Ar"  # the force field of the fixture `field` is argon's
        atoms.calc = SinglePointCalculator(atoms, **found)
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return images


@pytest.fixture
def crystals(tmp_path: Path) -> DataSettings:
    """Settings of two datasets with energies and virials, one of which validates."""
    for name, frames, seed in (("large.xyz", 12, 0), ("small.xyz", 4, 1)):
        write_crystal(tmp_path / name, frames=frames, seed=seed)
    paths = [str(tmp_path / name) for name in ("large.xyz", "small.xyz")]
    return DataSettings(paths=paths, split="trajectory", validation_fraction=0.25)
