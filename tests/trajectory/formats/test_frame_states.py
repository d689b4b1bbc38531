"""Frames that differ in what a model is not told (charge, spin, fields, theory) are not mixed without a word."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.trajectory.formats.frame_states import FrameStates, unlike
from gnnformd.trajectory.packed.dataset import common_states, open_dataset, open_datasets
from gnnformd.trajectory.settings import DataSettings

ATOMS = "H 0 0 0 0 0 0.1\nH 0 0 0.74 0 0 -0.1\n"


def write(path: Path, *comments: str, atoms: str = ATOMS) -> Path:
    rows = atoms.count("\n")
    path.write_text(
        "".join(
            f'{rows}\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-{k}.5 pbc="F F F" {comment}\n{atoms}'
            for k, comment in enumerate(comments, start=1)
        )
    )
    return path


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("charge=0", "charge=1", r"'charge' \(0, 1\)"),
        ("total_charge=-1.0", "total_charge=0.0", r"'total_charge' \(-1, 0\)"),
        ("spin=1", "spin=3", r"'spin' \(1, 3\)"),
        ("REF_spin_multiplicity=1", "REF_spin_multiplicity=2", r"'REF_spin_multiplicity' \(1, 2\)"),
        ('electric_field="0 0 0"', 'electric_field="0 0 0.1"', r"'electric_field' \(\(0 0 0\), \(0 0 0\.1\)\)"),
        ("head=PBE", "head=wB97M", r"'head' \(pbe, wb97m\)"),
        ("functional=PBE", "functional=SCAN", r"'functional' \(pbe, scan\)"),
        ("charge=1", "", r"'charge' \(1, none\)"),
        (f"theory={'a' * 50}b", f"theory={'a' * 50}c", r"'theory' \(a{40}\.\.\. \w+, a{40}\.\.\. \w+\)"),
    ],
)
def test_frames_that_differ_are_told(tmp_path: Path, first: str, second: str, said: str) -> None:
    with pytest.warns(UserWarning, match=f"frames differ in {said}, of which a model is not told"):
        open_dataset(write(tmp_path / "a.xyz", first, second, first), cache=tmp_path / "cache")


def test_parameters_of_frames_in_deepmd_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "type.raw").write_text("0 0\n")
    (tmp_path / "type_map.raw").write_text("H\n")
    (tmp_path / "nopbc").touch()
    part = tmp_path / "set.000"
    part.mkdir()
    rows = np.array([[0, 0, 0, 0, 0, 0.74], [0, 0, 0, 0, 0, 0.8]])
    for name, values in {
        "coord": rows,
        "force": rows,
        "energy": rows[:, 5:],
        "fparam": np.array([[0.1], [0.2]]),
    }.items():
        np.save(part / f"{name}.npy", values)
    with pytest.warns(UserWarning, match=r"frames differ in 'fparam' \(0\.1, 0\.2\)"):
        open_dataset(tmp_path, cache=tmp_path / "cache")
    np.save(part / "fparam.npy", np.array([[0.1], [0.1]]))
    np.save(part / "spin.npy", np.random.default_rng(0).normal(size=(2, 600)))
    with pytest.warns(UserWarning, match=r"frames differ in 'spin' \(600 numbers \w{6}, 600 numbers \w{6}\)"):
        open_dataset(tmp_path, cache=tmp_path / "cache")
    (part / "spin.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"spin\.npy: cannot be read"):
        open_dataset(tmp_path, cache=tmp_path / "cache")


def test_files_that_differ_are_told_also_those_of_validation(tmp_path: Path) -> None:
    neutral, ion = write(tmp_path / "a.xyz", "charge=0", "charge=0"), write(tmp_path / "b.xyz", "charge=1", "charge=1")
    for settings in (
        DataSettings(paths=[str(neutral), str(ion)]),
        DataSettings(paths=[str(ion)], validation=[str(neutral)]),
    ):
        with pytest.warns(UserWarning, match=r"data: frames differ in 'charge' \((0, 1|1, 0)\)"):
            open_datasets(settings, tmp_path / "cache")
    silent = write(tmp_path / "c.xyz", "", "")
    with pytest.warns(UserWarning, match=r"data: frames differ in 'charge' \(1, none\)"):
        open_datasets(DataSettings(paths=[str(ion), str(silent)]), tmp_path / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_datasets(DataSettings(paths=[str(neutral), str(silent)]), tmp_path / "cache")


def test_frames_that_agree_and_single_atoms_are_no_matter(tmp_path: Path) -> None:
    same = write(
        tmp_path / "a.xyz", "charge=1 spin=2 method=rattle", "charge=1.0001 spin=2 head=PBE", "charge=1 head=pbe"
    )
    same.write_text(same.read_text().replace("spin=2 method=rattle", "spin=2 method=rattle head=PBE"))
    left_out = write(tmp_path / "c.xyz", "charge=1 head=PBE", "charge=0 head=PBE config_weight=0")
    atom = write(tmp_path / "b.xyz", "spin=3 config_type=IsolatedAtom", atoms="O 0 0 0 0 0 0\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_datasets(DataSettings(paths=[str(same), str(atom), str(left_out)]), tmp_path / "cache")


@pytest.mark.parametrize(
    ("known", "found", "said"),
    [
        ({"charge": ["0"]}, {"charge": ["1"]}, "'charge' is 1, but 0 in the training data"),
        ({"charge": ["0"]}, {"total_charge": ["-1"]}, "'total_charge' is -1, but 0 in the training data"),
        ({}, {"charge": ["0", "2"]}, "'charge' is 2, but not said in the training data"),
        ({"charge": ["1"]}, {"charge": ["0"]}, "'charge' is 0, but 1 in the training data"),
        ({"charge": ["1", "none"]}, {"charge": ["2"]}, "'charge' is 2, but 1, 0 in the training data"),
        ({"electric_field": ["(0 0 0.1)"]}, {"electric_field": ["(0 0 0)"]}, r"'electric_field' is 0, but \(0 0 0.1\)"),
        ({"spin": ["1"]}, {"spin": ["3"]}, "'spin' is 3, but 1 in the training data"),
        ({"head": ["pbe"]}, {"head": ["scan"]}, "'head' is scan, but pbe in the training data"),
    ],
)
def test_frames_unlike_the_training_data_of_a_model_are_told(known, found, said) -> None:
    (sentence,) = unlike(known, found)
    assert re.match(said, sentence)


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, {"charge": ["0"]}),
        ({}, {"spin": ["2"], "head": ["pbe"]}),  # of which the training data said nothing
        ({"charge": ["1"]}, {}),
        ({"charge": ["0"]}, {"charge": ["0", "none"]}),
        ({"charge": ["0", "1"]}, {"total_charge": ["1"]}),  # told when it was trained
        ({"spin": ["0"]}, {"multiplicity": ["1"]}),  # the same
        ({"electric_field": ["(0 0 0)"]}, {"electric_field": ["none"]}),
        ({"electric_field": ["(0 0 0.1)"]}, {"efield": ["(0 0 0.1)"]}),  # perhaps the same
        ({"fparam": [str(k) for k in range(20)]}, {"fparam": ["30"]}),  # there may have been more
    ],
)
def test_frames_like_the_training_data_are_not_told(known, found) -> None:
    assert unlike(known, found) == []


@pytest.mark.parametrize(
    ("info", "values"),
    [
        ({1: "x", (2, 3): "y", "charge": "+1"}, {"charge": ["1"]}),
        ({"charge": 1e-17, "efield": "0.0, 0.0, 0.0"}, {"charge": ["0"], "efield": ["(0 0 0)"]}),
        ({"efield": np.zeros((3, 3))}, {"efield": ["0"]}),
        ({"charge": torch.ones((), requires_grad=True)}, {"charge": ["tensor(1., requires_grad=true)"]}),
        ({"functional": "PBE"}, {"functional": ["pbe"]}),
    ],
)
def test_whatever_frames_hold_is_read(info, values) -> None:
    states = FrameStates()
    states.add(info)
    assert states.values == values


def test_all_values_of_data_are_kept(tmp_path: Path) -> None:
    files = [("a.xyz", "charge=0 head=PBE"), ("b.xyz", "charge=1"), ("c.xyz", "")]
    opened = [open_dataset(write(tmp_path / name, text), cache=tmp_path / "cache") for name, text in files]
    assert common_states(opened) == {"charge": ["0", "1", "none"], "head": ["pbe", "none"]}
    assert common_states(opened[2:]) == {}
