from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.target_names import Target
from gnnformd.trajectory.packed.dataset import open_dataset, open_datasets
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import KCAL_PER_MOL_PER_EV

DATA = Path(__file__).parents[3] / "shared" / "data"  # beside the project, where there are such data

PAIR = """2
Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-40.0 config_type=liquid
O 0 0 0 0.5 0 0
H 1 0 0 -0.5 0 0
"""


def atom(name: str, energy: float, *, more: str = "", cell: float = 0.0, kind: str = "IsolatedAtom") -> str:
    lattice = f'Lattice="{cell} 0 0 0 {cell} 0 0 0 {cell}" pbc="T T T" ' if cell else ""
    label = f"config_type={kind} " if kind else ""
    return f"1\n{lattice}{label}{more}Properties=species:S:1:pos:R:3 energy={energy}\n{name} 0 0 0\n"


def test_isolated_atoms_give_energies_and_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(atom("H", -13.6) + PAIR + atom("O", -430.0, cell=20, kind=""))
    for _ in range(2):  # packed, and read again
        dataset = open_dataset(path, elements=["O", "H"])
        assert len(dataset) == 1
        assert dataset[0].config_type == "liquid" and dataset.config_types == ("liquid",)
        expected = {"H": -13.6 * KCAL_PER_MOL_PER_EV, "O": -430.0 * KCAL_PER_MOL_PER_EV}
        assert dataset.isolated_atoms == pytest.approx(expected)
        assert dataset.atom_energies == pytest.approx({1: expected["O"], 2: expected["H"]})
        assert pickle.loads(pickle.dumps(dataset)).atom_energies == dataset.atom_energies


def test_a_primitive_cell_is_no_isolated_atom(tmp_path: Path) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(
        '1\nLattice="0 1.8 1.8 1.8 0 1.8 1.8 1.8 0" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-3.7\n'
        "Cu 0 0 0 0 0 0\n"
    )
    dataset = open_dataset(path)
    assert len(dataset) == 1 and dataset.atom_energies == {}
    path.write_text(atom("Cu", -3.7, cell=4.0, kind=""))
    with pytest.raises(InputError, match="has energies only, and forces are needed, too"):
        open_dataset(path)


def test_a_file_of_isolated_atoms_serves_all_other_data(tmp_path: Path) -> None:
    (tmp_path / "atoms.xyz").write_text(atom("H", -13.6, kind="isolated_atom") + atom("O", -430.0) + atom("C", -1000.0))
    (tmp_path / "a.xyz").write_text(PAIR)
    (tmp_path / "v.xyz").write_text(PAIR.replace("0 0 0 0.5", "0 0 0.1 0.5"))
    names = {name: str(tmp_path / f"{name}.xyz") for name in ("atoms", "a", "v")}
    found = open_datasets(DataSettings(paths=[names["atoms"], names["a"]], validation=[names["v"]]))
    assert [dataset.path.name for dataset in found] == ["a.xyz", "v.xyz"]
    assert [dataset.validation for dataset in found] == [False, True]
    for dataset in found:
        assert dataset.type_names == ("H", "O")
        assert dataset.atom_energies == pytest.approx({1: -13.6 * KCAL_PER_MOL_PER_EV, 2: -430 * KCAL_PER_MOL_PER_EV})
        assert pickle.loads(pickle.dumps(dataset)).validation == dataset.validation
    with pytest.raises(InputError, match=r"atoms\.xyz: contains isolated atoms only"):
        open_datasets(DataSettings(paths=[names["atoms"]], validation=[names["v"]]))


def test_a_file_of_isolated_atoms_need_not_have_other_names_than_that_of_the_energy(tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"{name}.xyz") for name in ("atoms", "a")}
    Path(names["atoms"]).write_text(atom("H", -13.6).replace("energy", "my_energy"))
    Path(names["a"]).write_text(PAIR.replace("forces", "my_forces").replace("energy", "my_energy"))
    keys: dict[Target, str] = {"energy": "my_energy", "forces": "my_forces"}
    (found,) = open_datasets(DataSettings(paths=[names["atoms"], names["a"]], keys=keys))
    assert found.isolated_atoms == {"H": pytest.approx(-13.6 * KCAL_PER_MOL_PER_EV)}
    with pytest.raises(InputError, match=r"atoms\.xyz: no frame has 'no_energy', which data\.keys\.energy names"):
        open_datasets(DataSettings(paths=[names["atoms"], names["a"]], keys={"energy": "no_energy"}))


def test_isolated_atoms_alone_are_no_validation_data(tmp_path: Path) -> None:
    names = {name: str(tmp_path / f"{name}.xyz") for name in ("atoms", "a")}
    Path(names["atoms"]).write_text(atom("H", -13.6))
    Path(names["a"]).write_text(PAIR)
    with pytest.raises(InputError, match=r"atoms\.xyz: contains isolated atoms only; add frames to validate on\."):
        open_datasets(DataSettings(paths=[names["a"]], validation=[names["atoms"]]))


def test_two_energies_of_one_atom_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(PAIR + atom("H", -13.6))
    (tmp_path / "b.xyz").write_text(PAIR + atom("H", -13.5))
    paths = [str(tmp_path / "a.xyz"), str(tmp_path / "b.xyz")]
    with pytest.raises(
        InputError, match=r"b\.xyz: the isolated atom H has the energy -13\.5 eV, but one in .*a\.xyz -13\.6;"
    ):
        open_datasets(DataSettings(paths=paths))


def test_several_atoms_called_isolated_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(PAIR.replace("liquid", "IsolatedAtom"))
    with pytest.raises(InputError, match=r"config_type 'IsolatedAtom', but 2 atoms; correct one"):
        open_dataset(tmp_path / "a.xyz")


def unpacked(name: str, folder: Path) -> str:
    if not (DATA / f"{name}.xyz.gz").is_file():
        pytest.skip(f"needs {DATA}/{name}.xyz.gz")
    (folder / f"{name}.xyz").write_bytes(gzip.decompress((DATA / f"{name}.xyz.gz").read_bytes()))
    return str(folder / f"{name}.xyz")


def test_energies_of_isolated_atoms_leave_the_atomization_energy_of_acetylacetone(tmp_path: Path) -> None:
    paths = [unpacked(name, tmp_path) for name in ("acac_isolated_atoms", "acac_train_300K")]
    (dataset,) = open_datasets(DataSettings(paths=paths))
    assert len(dataset) == 500 and set(dataset.config_types) == {"300K_MD"}
    energies = np.array([0.0, *(dataset.atom_energies[t] for t in range(1, 1 + len(dataset.type_names)))])
    left = [frame.energy - energies[frame.types].sum() for frame in dataset]
    # 1450 kcal/mol for C5H8O2 in experiment; density functionals bind more, most of all against unpolarized atoms
    assert -1740 < np.mean(left) < -1450
    assert np.std(left) < 10  # of 15 atoms at 300 K


def test_groups_of_mlearn_are_kinds_of_configuration(tmp_path: Path) -> None:
    dataset = open_dataset(unpacked("Si_train", tmp_path))
    assert {"Vacancy"} < set(dataset.config_types)
    assert None not in dataset.config_types
