from __future__ import annotations

from pathlib import Path

import pytest

from gnnformd.training.atom_types import atom_energies, with_common_types
from gnnformd.training.data import FrameData
from gnnformd.training.settings import TrainingSettings
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import KCAL_PER_MOL_PER_EV
from tests.training.conftest import write_liquid

PAIR = """2
Lattice="9 0 0 0 9 0 0 0 9" pbc="T T T" Properties=species:S:1:pos:R:3:forces:R:3 energy=-40.0
O 0 0 0 0.5 0 0
H 1 0 0 -0.5 0 0
"""
ATOM = """1
config_type=IsolatedAtom Properties=species:S:1:pos:R:3 energy=-430.0
O 0 0 0
"""


def test_named_files_validate_and_nothing_else_does(tmp_path: Path) -> None:
    write_liquid(tmp_path / "train.dump", frames=7)
    write_liquid(tmp_path / "valid.dump", frames=3, seed=1)
    settings = DataSettings(paths=[str(tmp_path / "train.dump")], validation=[str(tmp_path / "valid.dump")])
    datasets, _ = with_common_types(open_datasets(settings))
    frames = FrameData(datasets, settings, TrainingSettings(), 4.0)
    assert frames.train_graphs.frames == tuple((0, k) for k in range(7))
    assert frames.validation_graphs.frames == tuple((1, k) for k in range(3))


def test_energies_of_isolated_atoms_follow_the_common_numbering_of_a_training(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(PAIR + PAIR.replace("O ", "C "))
    (tmp_path / "b.xyz").write_text(PAIR + ATOM)
    paths = [str(tmp_path / "b.xyz"), str(tmp_path / "a.xyz")]
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths)))
    assert names == ("H", "O", "C")
    for dataset in datasets:
        assert dataset.atom_energies == pytest.approx({2: -430 * KCAL_PER_MOL_PER_EV})


def test_isolated_atoms_that_are_not_those_of_all_types_are_not_used_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(PAIR)
    (tmp_path / "atoms.xyz").write_text(ATOM)
    paths = [str(tmp_path / "a.xyz"), str(tmp_path / "atoms.xyz")]
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths)))
    with pytest.warns(
        UserWarning, match=r"names H, O, and isolated atoms are known of O, so none is used; add isolated "
    ):
        assert atom_energies(datasets, names) is None
    (tmp_path / "atoms.xyz").write_text(ATOM + ATOM.replace("O ", "H ").replace("430", "13") + ATOM.replace("O", "C"))
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths)))
    assert atom_energies(datasets, names) == pytest.approx([-13 * KCAL_PER_MOL_PER_EV, -430 * KCAL_PER_MOL_PER_EV])
    (tmp_path / "a.xyz").write_text(ATOM.replace("O ", "C ") + PAIR)
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths[:1])))
    assert names == ("C", "H", "O")
    with pytest.warns(UserWarning, match=r"add isolated atoms of H, O, or remove the others"):
        assert atom_energies(datasets, names) is None
    (tmp_path / "a.xyz").write_text(PAIR)
    datasets, names = with_common_types(open_datasets(DataSettings(paths=paths[:1])))
    assert atom_energies(datasets, names) is None
