"""The path of a user with an input of LAMMPS in units metal, by the commands alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.model.files.model_file import load_model
from gnnformd.reference.library import load_lammps, open_lammps
from gnnformd.trajectory.read import read_frames

POTENTIALS = Path(load_lammps().__file__).parent / "share" / "lammps" / "potentials"

COPPER = """units metal
variable seed index 11
lattice fcc 3.64
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 63.55
pair_style eam
pair_coeff * * Cu_u3.eam
velocity all create 1600 ${seed}
fix 1 all nvt temp 800 800 0.05
timestep 0.002
run 100
dump 1 all custom 20 cu.dump id type x y z vx vy vz
run 800
"""


def gnnformd(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("copper")
    (path / "cu.lmp").write_text(COPPER)
    (path / "Cu_u3.eam").write_bytes((POTENTIALS / "Cu_u3.eam").read_bytes())
    for seed, name in ((11, "data"), (12, "test")):
        gnnformd("generate", path / "cu.lmp", "--seed", seed, "--out", path / name)
    return path


@pytest.fixture(scope="module")
def training(folder):
    small = ("model.cutoff=5.0", "model.features=4", "model.width=8", "training.epochs=6", "training.max_minutes=null")
    changes = [part for change in (*small, "training.stability_check=false") for part in ("--set", change)]
    return gnnformd("train", "argon", "--data", folder / "data", "--out", folder / "run", *changes)


def test_training_speaks_the_units_of_the_input(folder, training):
    assert "meV/angstrom per atom" in training
    assert "kcal" not in training
    card = load_model(folder / "run" / "model.safetensors").card
    assert (card.type_names, card.shown_units) == (("Cu",), "metal")


def test_a_run_folder_is_inspected_and_reported_in_the_units_of_its_data(folder, training):
    card = load_model(folder / "run" / "model.safetensors").card
    inspected = gnnformd("inspect", folder / "run")
    assert "kcal" not in inspected
    assert f"{1000 / 23.060549 * card.largest_forces[0]:.4g}" in inspected
    assert "validation: |dF| per atom, meV/angstrom" in inspected
    for words, unit in (((), "meV Å⁻¹"), (("--units", "real"), "kcal mol⁻¹ Å⁻¹")):
        gnnformd("report", folder / "run", "--out", folder / "page.html", *words)
        assert f"Forces are in {unit}." in (folder / "page.html").read_text(encoding="utf-8")


def test_a_preset_learns_from_a_bare_dump_what_it_has(folder):
    (folder / "bare").mkdir()
    (folder / "bare" / "cu.dump").write_bytes((folder / "data" / "trajectory.dump").read_bytes())
    small = ("model.cutoff=4.0", "model.features=4", "model.width=8", "training.epochs=1", "training.max_minutes=null")
    changes = [
        part for change in (*small, "data.frames=6", "training.stability_check=false") for part in ("--set", change)
    ]
    printed = gnnformd(
        "train", "argon", "--data", folder / "bare" / "cu.dump", "--out", folder / "bare" / "run", *changes
    )
    assert "The data have no virials, so none are learned (preset argon, training.virial_weight: 0)." in printed
    assert "meV/angstrom per atom" in printed
    hint = "The data have virials, which the preset fast does not learn; for simulations at constant pressure add --set"
    for name, more in (("forces", ()), ("virials", ("--set", "training.virial_weight=auto"))):
        run = ("--data", folder / "data", "--out", folder / "bare" / name)
        assert (hint in gnnformd("train", "fast", *run, *changes, *more)) == (name == "forces")
    asked = CliRunner().invoke(
        app,
        [
            *("train", "argon", "--data", str(folder / "bare" / "cu.dump"), "--out", str(folder / "bare" / "no")),
            *("--set", "training.energy_weight=1.0"),
        ],
    )
    assert asked.exit_code == 2  # what a user asks for is not left out
    assert "has no energy; add it to the data or set training.energy_weight to 0" in asked.output + asked.stderr
    assert "force on an atom, meV/angstrom" in gnnformd("inspect", folder / "bare" / "cu.dump")


def test_evaluation_is_in_millielectronvolts_and_in_kilocalories_if_asked(folder, training):
    json_file = folder / "errors.json"
    metal = gnnformd("evaluate", folder / "run" / "model.safetensors", folder / "test", "--json", json_file)
    real = gnnformd("evaluate", folder / "run" / "model.safetensors", folder / "test", "--units", "real")
    assert "Errors of the forces, meV/angstrom" in metal
    assert "Errors of the forces, kcal/mol/angstrom" in real
    shown = [float(next(line for line in text.splitlines() if " 41 " in line).split()[-6]) for text in (metal, real)]
    force = json.loads(json_file.read_text())["datasets"][0]["force"]
    assert force["mae"] == pytest.approx(shown[1], rel=5e-3)  # three digits are shown
    assert force["mae"] * 1000 / 23.060549 == pytest.approx(shown[0], rel=5e-3)
    assert force["relative_l1"] < 0.2


@pytest.mark.parametrize("engine", ["lammps", "ase"])
def test_a_simulation_goes_on_from_the_data_and_has_lammps_own_energies(folder, training, engine):
    out = folder / f"md-{engine}"
    start = folder / "data" / "topology.data"
    printed = gnnformd(
        "simulate", folder / "run" / "model.safetensors", start, "--out", out, "--engine", engine, "--ensemble", "nve",
        "--velocities", "file", "--timestep", 2, "--steps", 40, "--compare", folder / "test",
    )  # fmt: skip
    assert "energy drift, meV per atom and ns" in printed
    assert "kcal" not in printed
    lmp = open_lammps()
    for command in (
        "units metal",
        f"read_data {folder}/data/topology.data",
        "pair_style eam",
        f"pair_coeff * * {POTENTIALS}/Cu_u3.eam",
        "run 0",
    ):
        lmp.command(command)
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3) * 23.060549
    lmp.close()
    first = next(read_frames(out / "trajectory.dump"))
    assert np.abs(first.forces - forces).mean() < 0.2 * np.abs(forces).mean()
    table = np.genfromtxt(out / "thermo.csv", delimiter=",", names=True)
    before = np.genfromtxt(folder / "data" / "thermo.csv", delimiter=",", names=True)
    assert table["temperature_K"][0] == pytest.approx(before["temperature_K"][-1], rel=1e-6)
    drift = np.ptp(table["total_energy"])
    assert drift < 0.02 * np.ptp(table["potential_energy"])
