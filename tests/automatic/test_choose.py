from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from gnnformd.automatic.choose import _cutoff, choose_config
from gnnformd.automatic.facts import Neighbors, gather_facts
from gnnformd.automatic.run_name import run_name
from gnnformd.cli import app
from gnnformd.config import dump_config, load_config
from gnnformd.errors import InputError
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.generate import generate
from gnnformd.trajectory.packed.dataset import open_dataset

ARGON = """types:
- {name: Ar, mass: 39.948, charge: 0.0, epsilon: 0.2378, sigma: 3.405}
lj_cutoff: 8.5
"""
IONS = """types:
- {name: Na, mass: 22.99, charge: 1.0, epsilon: 0.13, sigma: 2.35}
- {name: Cl, mass: 35.45, charge: -1.0, epsilon: 0.1, sigma: 4.4}
"""


def copper(path: Path, frames: int = 8, *, stress: bool = True, kinds: int = 1) -> str:
    images = []
    for k in range(frames):
        atoms = bulk("Cu", cubic=True) * (2, 2, 2)
        atoms.rattle(0.08, seed=k)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if stress:
            results["stress"] = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **results)
        atoms.info["config_type"] = f"kind{k % kinds}"
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")
    return str(path)


def dump(path: Path, charges: tuple[float, ...] = ()) -> str:
    """Two frames of a rocksalt crystal, with the charges of the first atom in each."""
    generator = np.random.default_rng(0)
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 2, 2)
    lines = ["ITEM: UNITS", "real"]
    for step in range(4):
        lines += ["ITEM: TIMESTEP", str(step), "ITEM: NUMBER OF ATOMS", str(len(atoms)), "ITEM: BOX BOUNDS pp pp pp"]
        lines += ["0 11.28"] * 3 + ["ITEM: ATOMS id type x y z fx fy fz" + (" q" if charges else "")]
        for k, (symbol, x) in enumerate(zip(atoms.symbols, atoms.positions, strict=True), start=1):
            row = [k, 1 if symbol == "Na" else 2, *(x + generator.normal(0, 0.1, 3)), *generator.normal(size=3)]
            if charges:
                row.append((1 if symbol == "Na" else -1) * charges[step % len(charges)])
            lines.append(" ".join(repr(v) if isinstance(v, int) else repr(float(v)) for v in row))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def chosen(paths: list[str], *overrides: str) -> dict[str, object]:
    found = choose_config(paths, overrides)
    config, choices = found.config, found.choices
    for choice in choices:
        part, name = choice.key.split(".")
        assert getattr(getattr(config, part), name) == choice.value
        assert choice.reason
    return {choice.key: choice.value for choice in choices}


def test_clusters_and_slabs_beside_crystals_do_not_lengthen_the_cutoff(tmp_path: Path) -> None:
    crystals = copper(tmp_path / "cu.xyz")
    images = ase.io.read(crystals, ":")
    for atoms in images[:]:
        for periodic in (False, (True, True, False)):
            part = atoms.copy()
            part.pbc = periodic
            part.calc = SinglePointCalculator(part, **atoms.calc.results)
            images.append(part)
    ase.io.write(tmp_path / "mixed.xyz", images, format="extxyz")
    assert chosen([str(tmp_path / "mixed.xyz")])["model.cutoff"] == chosen([crystals])["model.cutoff"]


def test_a_metal_from_quantum_data(tmp_path: Path) -> None:
    found = chosen([copper(tmp_path / "cu.xyz")])
    # shells of fcc copper: 12 at 2.55, 6 at 3.61, 24 at 4.42, 12 at 5.10, 24 at 5.71 angstrom
    assert 5.2 < found["model.cutoff"] < 5.6
    assert found["model.layers"] == 2 and found["model.l_max"] == 4
    assert found["model.features"] == 16  # of 256 atoms in all
    assert found["model.electrostatics"] == "none" and found["model.bond_kinds"] == 0
    assert found["model.node_features"] == "embedding"
    assert found["training.energy_weight"] == found["training.virial_weight"] == "auto"
    assert found["training.batch_size"] is None  # as many frames as hold a hundred atoms
    assert found["data.split"] == "blocks"


def test_what_is_not_in_the_data_is_not_asked_for(tmp_path: Path) -> None:
    found = chosen([dump(tmp_path / "nacl.dump")])
    assert found["training.energy_weight"] == 0 and found["training.virial_weight"] == 0
    assert found["model.electrostatics"] == "none"
    found = chosen([copper(tmp_path / "cu.xyz", stress=False)])
    assert found["training.virial_weight"] == 0 and found["training.energy_weight"] == "auto"


@pytest.mark.parametrize(
    ("style", "solver", "electrostatics"),
    [
        ("lj/cut/coul/long 5.0", "kspace_style ewald 1e-4\n", "fixed"),
        ("lj/cut/coul/debye 0.3 5.0", "", "none"),
        ("lj/cut/coul/long 5.0", "kspace_style ewald 1e-4\ndielectric 4.0\n", "none"),
    ],
)
def test_charges_that_act_within_a_cutoff_or_are_screened_bring_none(tmp_path, style, solver, electrostatics) -> None:
    # Ewald's sum of such charges is no part of the forces; errors were five times as large
    (tmp_path / "in.lmp").write_text(
        "units real\natom_style charge\nlattice fcc 5.4\nregion b block 0 2 0 2 0 2\ncreate_box 2 b\n"
        "create_atoms 1 box\nset type 1 type/ratio 2 0.5 11\nset type 1 charge 0.2\nset type 2 charge -0.2\nmass * 40\n"
        f"pair_style {style}\npair_coeff * * 0.2378 3.405\n{solver}velocity all create 90 3\nfix 1 all nve\n"
        "dump 1 all custom 10 a id type x y z\nrun 40\n"
    )
    folder = generate(tmp_path / "in.lmp", tmp_path / "run").folder
    for path in (folder, folder / "trajectory.dump"):  # which mean the same
        found = chosen([str(path)])
        assert found["model.electrostatics"] == electrostatics
        if electrostatics == "none":  # such charges act up to their cutoff, farther than a shell or two of neighbors
            assert found["model.cutoff"] == 8.0


def test_charges_bring_electrostatics_unless_they_change(tmp_path: Path) -> None:
    found = chosen([dump(tmp_path / "a.dump", (1.0,))])
    assert found["model.electrostatics"] == "fixed" and found["model.layers"] == 1
    (tmp_path / "field.yaml").write_text(IONS)
    found = chosen([dump(tmp_path / "b.dump")], f"data.force_field={tmp_path / 'field.yaml'}")
    assert found["model.electrostatics"] == "fixed" and found["model.node_features"] == "physical"
    found = chosen([dump(tmp_path / "c.dump", (1.0, 0.9))])
    assert found["model.electrostatics"] == "none"
    assert found["model.layers"] == 2  # charges that follow from all neighbors are no classical force field


def test_a_potential_of_lammps_takes_one_layer(tmp_path: Path) -> None:
    text = """units metal
lattice diamond 4.36
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 2 box basis 1 1 basis 2 1 basis 3 1 basis 4 1
mass 1 28.06
mass 2 12.01
pair_style tersoff
pair_coeff * * SiC.tersoff Si C
velocity all create 600 1
fix 1 all nve
dump 1 all custom 2 sic.dump id type x y z fx fy fz
run 8
"""
    (tmp_path / "sic.lmp").write_text(text)
    generate(tmp_path / "sic.lmp", tmp_path / "sic")
    found = chosen([str(tmp_path / "sic")])
    assert found["model.layers"] == 1 and found["model.l_max"] == 2
    assert found["training.energy_weight"] == 0  # forces fix it


def test_lennard_jones_ends_where_its_force_field_says(tmp_path: Path) -> None:
    (tmp_path / "field.yaml").write_text(ARGON)
    text = Path(copper(tmp_path / "cu.xyz")).read_text().replace("Cu ", "Ar ")
    (tmp_path / "ar.xyz").write_text(text)
    found = chosen([str(tmp_path / "ar.xyz")], f"data.force_field={tmp_path / 'field.yaml'}")
    assert found["model.cutoff"] == 8.5 and found["model.body_order"] == 2
    assert found["training.energy_weight"] == 0  # forces fix it


def test_molecules_in_vacuum_of_several_elements_take_two_layers(tmp_path: Path) -> None:
    images = []
    for k in range(6):
        atoms = molecule("CH3CH2OH" if k % 2 else "CH4")
        atoms.rattle(0.05, seed=k)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - k, forces=np.zeros((len(atoms), 3)))
        images.append(atoms)
    ase.io.write(tmp_path / "m.xyz", images, format="extxyz")
    found = chosen([str(tmp_path / "m.xyz")])
    assert found["model.layers"] == 2 and found["model.l_max"] == 2 and found["model.cutoff"] == 5.0
    assert found["data.split"] == "shuffled"
    for atoms in images:  # two molecules
        apart = atoms.copy()
        apart.positions += [4.0, 0.0, 0.0]
        calculator, calculator.results["forces"] = atoms.calc, np.zeros((2 * len(atoms), 3))
        atoms += apart
        atoms.calc = calculator
    ase.io.write(tmp_path / "pairs.xyz", images, format="extxyz")
    assert chosen([str(tmp_path / "pairs.xyz")])["model.cutoff"] == 6.0


def test_kinds_of_configuration_are_split_alike(tmp_path: Path) -> None:
    path = copper(tmp_path / "cu.xyz", 12, kinds=3)
    assert chosen([path])["data.split"] == "stratified"
    other = copper(tmp_path / "v.xyz", 2)
    assert "data.split" not in chosen([path], f"data.validation=[{other}]")


def test_files_of_different_elements_get_one_list_of_elements(tmp_path: Path) -> None:
    text = Path(copper(tmp_path / "cu.xyz")).read_text()
    (tmp_path / "au.xyz").write_text(text.replace("Cu ", "Au "))
    config = choose_config([str(tmp_path / "cu.xyz"), str(tmp_path / "au.xyz")]).config
    assert config.data.elements == ["Cu", "Au"]


def test_the_users_settings_are_kept_and_the_others_can_be_read_again(tmp_path: Path) -> None:
    path = copper(tmp_path / "cu.xyz")
    found = choose_config([path], ["model.cutoff=4.0", "training.max_minutes=3"])
    config, choices = found.config, found.choices
    assert run_name([path]) == "cu"
    assert config.model.cutoff == 4.0 and config.training.max_minutes == 3
    assert {c.key: c.reason for c in choices}["model.cutoff"] == "as you say"
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "config.yaml") == config
    with pytest.raises(
        InputError, match=r"--set model\.cutof=4: model\.cutof is no setting; did you mean model\.cutoff"
    ):
        choose_config([path], ["model.cutof=4"])


def test_a_gap_between_shells_is_found() -> None:
    within = np.where(np.arange(100) < 30, 0.0, np.where(np.arange(100) < 50, 12.0, 18.0))
    assert Neighbors(within).distance(15) == pytest.approx(5.1)
    assert Neighbors(within).gap(3.5, 6.0) == pytest.approx(4.2, abs=0.6)
    uniform = (np.arange(100) + 1.0) ** 3
    assert Neighbors(uniform).gap(4.5, 5.5) is None


def test_a_gap_that_leaves_half_of_the_neighbors_is_not_taken(tmp_path: Path) -> None:
    facts = gather_facts([open_dataset(Path(copper(tmp_path / "cu.xyz")))])
    ends = 0.1 * (np.arange(100) + 1)  # 33 neighbors up to 4.6 angstrom, then evenly more: 60 at 5
    within = np.where(ends < 4.3, 10.0, np.where(ends < 4.65, 33.0, 33.0 + 27.0 * (ends - 4.6) / 0.4))
    choice = _cutoff(replace(facts, neighbors=Neighbors(within)))
    assert (choice.value, choice.reason) == (5.0, "60 neighbors, about 60 wanted")
    within = np.where((ends > 4.75) & (ends < 4.95), within[47], within)  # a gap with 46 of them
    choice = _cutoff(replace(facts, neighbors=Neighbors(within)))
    assert choice.value == pytest.approx(4.85)


def test_train_auto_writes_a_configuration_that_trains_the_same(tmp_path: Path) -> None:
    path = copper(tmp_path / "cu.xyz", 6)
    small = ["model.features=4", "model.width=4", "model.cutoff=3.5", "model.body_order=2"]
    small += ["training.epochs=1", "training.max_minutes=null", "training.loggers=[]", "training.stability_check=false"]
    small += [f"data.test=[{copper(tmp_path / 'test.xyz', 2, kinds=2)}]"]
    sets = [part for setting in small for part in ("--set", setting)]
    result = CliRunner().invoke(app, ["train", "auto", path, "--out", str(tmp_path / "run"), *sets])
    assert result.exit_code == 0, result.output
    assert "model.electrostatics=none: the data have no charges" in result.output
    test = json.loads((tmp_path / "run/evaluate-test.json").read_text())["datasets"][0]
    assert test["frames"] == 2 and set(test["per_config_type"]) == {"kind0", "kind1"}
    assert "Errors of the energies" in result.output and "kind1" in result.output
    again = ["train", str(tmp_path / "run/config.yaml"), "--out", str(tmp_path / "again")]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 0, result.output
    one, other = (load_model(tmp_path / name / "model.safetensors").model.state_dict() for name in ("run", "again"))
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)
    written = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert written["data"]["paths"] == [path]


def test_auto_without_data_is_refused() -> None:
    result = CliRunner().invoke(app, ["train", "auto"])
    assert result.exit_code == 2
    assert "auto: there are no data to choose settings from; give them with --data." in result.output


def test_energies_of_a_part_of_the_frames_are_learned(tmp_path: Path) -> None:
    path = copper(tmp_path / "cu.xyz")
    images = ase.io.read(path, index=":")
    for atoms in images[:3]:
        del atoms.calc.results["energy"], atoms.calc.results["stress"]
    ase.io.write(path, images, format="extxyz")
    found = {c.key: (c.value, c.reason) for c in choose_config([path]).choices}
    assert found["training.energy_weight"] == ("auto", "5 of 8 frames have energies; their errors count a twentieth")
    assert found["training.virial_weight"] == ("auto", "5 of 8 frames have virials; they set the pressure")


def test_a_run_is_named_after_its_data() -> None:
    assert run_name(["data/cu-liquid", "data/cu-solid"]) == "cu-liquid-and-cu-solid"
    assert run_name(["NaCl/train.xyz"]) == "NaCl-train"
    assert run_name(["./train.xyz"]) == "train"
    assert run_name(["/home/me/data/train.xyz"]) == "train"  # the folder tells no more
    assert run_name(["water/trajectory.dump"]) == "water"
    assert run_name(["my data/si (1).xyz"]) == "si-1"
    assert run_name([f"a-long-name-of-data-{k}.xyz" for k in range(5)]) == "a-long-name-of-data-0-and-4-more"
    assert run_name([".."]) == "auto"


def test_whole_systems_validate_where_there_are_many_with_several_frames_each(tmp_path: Path) -> None:
    images = []
    for size in range(1, 25):
        for k in range(4):
            atoms = Atoms("H" * size + "C", np.random.default_rng(k).uniform(0, 9, (size + 1, 3)))
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((size + 1, 3)))
            images.append(atoms)
    ase.io.write(tmp_path / "m.xyz", images, format="extxyz")
    assert chosen([str(tmp_path / "m.xyz")])["data.split"] == "compositions"
    ase.io.write(tmp_path / "few.xyz", images[::2], format="extxyz")
    assert chosen([str(tmp_path / "few.xyz")])["data.split"] == "shuffled"


def test_crystals_of_several_sizes_are_several_systems(tmp_path: Path) -> None:
    images = []
    for k in range(6):
        atoms = bulk("Cu", cubic=True) * (1 + k % 2, 1, 1)
        atoms.rattle(0.05, seed=k)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - k, forces=np.zeros((len(atoms), 3)))
        images.append(atoms)
    ase.io.write(tmp_path / "both.xyz", images, format="extxyz")
    assert chosen([str(tmp_path / "both.xyz")])["data.split"] == "shuffled"
    ase.io.write(tmp_path / "one.xyz", images[::2], format="extxyz")
    assert chosen([str(tmp_path / "one.xyz")])["data.split"] == "blocks"


def test_trajectories_of_several_systems_are_split_by_blocks(tmp_path: Path) -> None:
    images = []
    for size in (3, 4, 5):
        generator = np.random.default_rng(size)
        positions, velocities = generator.uniform(0, 9, (size, 3)), generator.normal(0, 0.05, (size, 3))
        for k in range(12):
            atoms = Atoms("H" * (size - 1) + "C", positions + k * velocities)
            atoms.calc = SinglePointCalculator(atoms, energy=-1.0 - k, forces=generator.normal(size=(size, 3)))
            images.append(atoms)
    ase.io.write(tmp_path / "runs.xyz", images, format="extxyz")
    assert chosen([str(tmp_path / "runs.xyz")])["data.split"] == "blocks"
    ase.io.write(tmp_path / "drawn.xyz", [images[k] for k in np.random.default_rng(0).permutation(36)])
    assert chosen([str(tmp_path / "drawn.xyz")])["data.split"] == "shuffled"
