"""Wrong numbers that users of similar programs have reported, tried here; each test names the report."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from ase.build import bulk

from gnnformd.errors import InputError
from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.neighbors import neighbor_pairs
from gnnformd.trajectory.formats.data_file import read_topology
from gnnformd.trajectory.read import read_frames
from gnnformd.units import KCAL_PER_MOL_PER_EV as EV
from tests.test_cells import CELLS, SLAB, data_file, frame_in, loaded  # noqa: F401 (a fixture)

pytestmark = pytest.mark.filterwarnings("ignore:.*the units are not said")

HEAD = '3\nLattice="9 0 0 1 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3 pbc="T T T" '
ROWS = "Ar 0 0 0 0 0 0\nAr 3 0 0 0 0 0\nAr 0 4 0 0 0 0\n"
STRESS = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]]) / 1000


def numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in values.ravel())


def test_a_stress_beside_a_virial_that_is_another_is_refused(tmp_path: Path) -> None:
    """Which of the two counts differs between programs (brucefan1983/GPUMD#278, libAtoms/QUIP#289)."""
    path, volume = tmp_path / "a.xyz", 729.0
    both = f'stress="{numbers(STRESS)}" virial="{{}}"\n'
    path.write_text(HEAD + both.format(numbers(-volume * STRESS)) + ROWS)
    (frame,) = read_frames(path)
    np.testing.assert_allclose(frame.virial, -volume * STRESS * EV, rtol=1e-9)
    for wrong in (volume * STRESS, STRESS):
        path.write_text(HEAD + both.format(numbers(wrong)) + ROWS)
        with pytest.raises(InputError, match=r"a\.xyz, line 1: 'virial' is not -volume times 'stress'"):
            list(read_frames(path))


@pytest.mark.parametrize("key", ["stress", "virial"])
def test_nine_numbers_of_a_frame_of_three_atoms_are_no_property_of_atoms(tmp_path: Path, key: str) -> None:
    """JuliaMolSim/JuLIP.jl#166."""
    path = tmp_path / "a.xyz"
    path.write_text(f'{HEAD}{key}="{numbers(STRESS)}"\n{ROWS}')
    (frame,) = read_frames(path)
    factor = -729.0 if key == "stress" else 1.0
    np.testing.assert_allclose(frame.virial, factor * STRESS * EV, rtol=1e-9)


def test_lammpss_own_dump_of_a_general_triclinic_box_has_forces_in_its_frame(loaded, helpers, tmp_path) -> None:  # noqa: F811
    """lammps/lammps#4153: the header was general, the columns were not."""
    frame = frame_in(CELLS["general"])
    path = data_file(tmp_path / "t.data", frame)
    with helpers.lammps(
        "units real",
        "atom_style atomic",
        "pair_style lj/cut 4",
        f"read_data {path}",
        "pair_coeff * * 0.1 1.5",
        f"dump 1 all custom 1 {tmp_path / 't.dump'} id type x y z fx fy fz vx vy vz",
        "dump_modify 1 triclinic/general yes format float %.17g units yes",
        "velocity all create 300 1",
        "run 0",
    ) as lmp:
        restricted, box = helpers.by_id(lmp, "f"), lmp.extract_box()
    low, high, xy, yz, xz, *_ = box
    a, b, c = np.subtract(high, low)
    rotation = np.linalg.solve(np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]]), frame.cell)
    (found,) = read_frames(tmp_path / "t.dump")
    np.testing.assert_allclose(found.cell, frame.cell, atol=1e-9)
    np.testing.assert_allclose(found.forces, restricted @ rotation, atol=1e-9 * np.abs(restricted).max())
    images = np.round((found.positions - frame.positions) @ np.linalg.inv(frame.cell))
    np.testing.assert_allclose(found.positions - images @ frame.cell, frame.positions, atol=1e-9)


def test_one_atom_in_a_primitive_cell_has_the_energy_of_many(loaded) -> None:  # noqa: F811
    """facebookresearch/fairchem#428, brucefan1983/GPUMD#110, jax-md/jax-md#220."""
    energies = []
    for copies in (1, 2, 3):
        atoms = bulk("O", "fcc", a=3.6).repeat(copies)
        atoms.calc = Calculator(loaded)
        energies.append(atoms.get_potential_energy() / len(atoms))
    np.testing.assert_allclose(energies, energies[0], rtol=1e-12)


def test_a_calculator_that_is_asked_about_other_atoms_forgets_the_first(loaded) -> None:  # noqa: F811
    """apax-hub/apax#21, grimme-lab/xtb#32."""

    def fresh(atoms: ase.Atoms) -> tuple[float, np.ndarray]:
        copy = atoms.copy()
        copy.calc = Calculator(loaded)
        return copy.get_potential_energy(), copy.get_forces()

    atoms = ase.Atoms("OHHOH", np.random.default_rng(3).uniform(0, 6, (5, 3)), cell=[6, 6.5, 7], pbc=True)
    atoms.calc = Calculator(loaded)
    atoms.get_forces()

    def species() -> None:
        atoms.symbols[1] = "O"

    def box() -> None:
        atoms.set_cell([5.0, 6.5, 7], scale_atoms=True)

    def directions() -> None:
        atoms.pbc = SLAB

    def one_more() -> None:
        atoms.append(ase.Atom("H", (3, 3, 3.5)))

    def order() -> None:
        atoms.positions[:] = atoms.positions[::-1].copy()

    for change in (species, box, directions, one_more, order):
        change()
        energy, forces = fresh(atoms)
        assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12), change.__name__
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-9 * np.abs(forces).max())


@pytest.mark.parametrize("crystal", ["fcc", "hcp", "bcc"])
def test_atoms_on_the_borders_of_cells_have_all_their_neighbors(crystal: str) -> None:
    """lmhale99/atomman#12, lammps/lammps#2759, zerothi/sisl#1016."""
    size = {"a": 3.0, "c": 3.0 * np.sqrt(8 / 3)} if crystal == "hcp" else {"a": 3.0}
    neighbors = {"fcc": 12, "hcp": 12, "bcc": 8}[crystal]
    nearest = {"fcc": 3 / np.sqrt(2), "hcp": 3.0, "bcc": 3 * np.sqrt(3) / 2}[crystal]
    for copies in (1, 2, 3, 5):
        for shift in (0.0, 1e-16, -1e-16, 1.0, 2.999999999999999):
            atoms = bulk("Cu", crystal, **size).repeat(copies)
            i, j, _ = neighbor_pairs(atoms.positions + shift, atoms.cell.array, True, nearest * 1.01)
            count = np.bincount(i, minlength=len(atoms)) + np.bincount(j, minlength=len(atoms))
            assert (count == neighbors).all()


def test_masses_in_any_order_and_words_behind_atoms_are_understood(tmp_path: Path) -> None:
    """ISISNeutronMuon/MDANSE#1065, infretis/infretis#133, mkmat/Z1plus-code#1."""
    path = tmp_path / "t.data"
    path.write_text(
        "three\n\n3 atoms\n3 atom types\n0 9 xlo xhi\n0 9 ylo yhi\n0 9 zlo zhi\n\n"
        "Masses\n\n3 12.011 # C\n1 15.9994 # O\n2 1.008 # H\n\n"
        "Atoms\n\n2 2 1 2 3 # H CYT\n1 3 4 5 6 # C ADE\n3 1 7 8 1 # O THY\n"
    )
    topology = read_topology(path)
    assert topology.type_names == ("O", "H", "C")
    assert topology.masses.tolist() == [15.9994, 1.008, 12.011]
    assert topology.types.tolist() == [3, 2, 1]
    assert topology.positions.tolist() == [[4, 5, 6], [1, 2, 3], [7, 8, 1]]


def test_atoms_that_cross_a_border_feel_nothing_of_it(loaded) -> None:  # noqa: F811
    """brucefan1983/GPUMD#1550, jax-md/jax-md#168: forces jumped where atoms crossed, or had negative positions."""
    frame = frame_in(CELLS["tilted"])
    evaluator = Evaluator(loaded, frame)
    torch_forces = []
    for step in np.linspace(-1, 1, 41):  # along a lattice vector and back into the box by LAMMPS's wrapping
        moved = frame.positions + step * frame.cell[0]
        wrapped = moved - np.floor(moved @ np.linalg.inv(frame.cell)) @ frame.cell
        torch_forces += [evaluator.evaluate(x, frame.cell, frame.periodic).forces for x in (moved, wrapped)]
    forces = torch.stack(torch_forces).numpy()
    assert np.abs(forces - forces[0]).max() < 1e-9 * np.abs(forces[0]).max()


def test_an_energy_under_another_name_is_not_taken_for_none(tmp_path: Path) -> None:
    """deepmodeling/dpdata#973: labels under names that are not read were lost without a word."""
    path = tmp_path / "a.xyz"
    path.write_text(HEAD.replace("forces", "my_forces") + "energy=-1.0\n" + ROWS)
    with pytest.raises(InputError, match=r"has energies only, .* \(columns of three numbers: my_forces\)"):
        list(read_frames(path))
