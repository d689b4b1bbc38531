"""A model for many liquids is specialized from a folder, a data file, or an input, with the same forces."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from gnnformd.cli import app
from gnnformd.errors import InputError
from gnnformd.graph.build import build_graph
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.fluids.functions import load_fluids
from gnnformd.model.fluids.liquid import read_liquid
from gnnformd.model.fluids.load import load_for
from gnnformd.model.fluids.specialize import warn_outside
from gnnformd.reference.generate import generate
from gnnformd.trajectory.packed.dataset import open_dataset

VARIABLES = {"molecules": "48", "edge": "11.4", "melting": "100", "equilibration": "50", "spacing": "5"}


@pytest.fixture(scope="module")
def water(tmp_path_factory):
    return generate("water", tmp_path_factory.mktemp("water") / "run", seed=2, frames=2, variables=VARIABLES)


def copy_of(run, folder, *changes):
    """The data file of a run by itself, with texts replaced by others."""
    text = run.topology.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "my.data"
    path.write_text(text)
    return path


def test_a_data_file_and_an_input_give_the_forces_of_the_folder(water, tmp_path):
    data = open_dataset(water.folder)
    sources = [water.folder, water.topology, copy_of(water, tmp_path), tmp_path / "in.lmp"]
    sources[-1].write_text(
        "units real\natom_style full\npair_style lj/cut/coul/long 10.0\nkspace_style pppm 1e-4\nbond_style harmonic\n"
        "angle_style harmonic\nspecial_bonds lj/coul 0 0 0.5\nread_data my.data\nfix 1 all nve\nrun 10000000\n"
    )
    found = []
    for source in sources:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = load_for("fluids", source)
        assert ["assumed" in str(w.message) for w in caught] == ([True] if source.name == "my.data" else [])
        graph = build_graph(data[0], made.model.cutoff, made.card.force_field)
        found.append(GraphPredictor(made.model)([graph]).forces)
    assert found[0].abs().max() > 1.0
    for forces in found[1:]:
        np.testing.assert_array_equal(forces, found[0])


def test_simulate_takes_a_data_file_with_coefficients(water, tmp_path):
    path = copy_of(water, tmp_path)
    arguments = ["simulate", "fluids", str(path), "--steps", "3", "--out", str(tmp_path / "md")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "md" / "simulate.json").is_file()
    bare = copy_of(water, tmp_path, ("Pair Coeffs # lj/cut/coul/long", "Pair Coeffs # lj/charmm/coul/long"))
    refused = CliRunner().invoke(app, ["simulate", "fluids", str(bare), "--out", str(tmp_path / "none")])
    assert refused.exit_code == 2
    assert "pair style 'lj/charmm/coul/long' is not Lennard-Jones with a cutoff" in " ".join(refused.output.split())
    assert not (tmp_path / "none").exists()


@pytest.mark.filterwarnings("ignore:.*does not say the whole force field")
@pytest.mark.parametrize(
    ("style", "warning", "charge"),
    [
        ("lj/cut", "atoms have charges, but pair style 'lj/cut' has no Coulomb energy", 0.0),
        ("lj/cut/coul/cut", "pair style 'lj/cut/coul/cut' is outside the training of the model", -0.82),
        ("lj/cut/coul/dsf/omp", "pair style 'lj/cut/coul/dsf' is outside the training", -0.82),
    ],
)
def test_a_style_with_another_coulomb_energy_is_named(water, tmp_path, style, warning, charge):
    path = copy_of(water, tmp_path, ("# lj/cut/coul/long", f"# {style}"))
    with pytest.warns(UserWarning, match=f"my\\.data: .*{warning}"):
        assert read_liquid(path).field.types[0].charge == charge


@pytest.mark.filterwarnings("ignore:.*does not say the whole force field")
@pytest.mark.parametrize(
    ("style", "reason"),
    [
        ("lj/cut/tip4p/long", "is not Lennard-Jones with a cutoff"),
        ("lj/cut/coul/debye", "is none whose energies"),
        ("lj/cut/soft/omp", "is not Lennard-Jones with a cutoff"),
    ],
)
def test_a_style_with_other_energies_is_refused_by_name(water, tmp_path, style, reason):
    path = copy_of(water, tmp_path, ("# lj/cut/coul/long", f"# {style}"))
    with pytest.raises(InputError, match=rf"my\.data.*: pair style '{style.removesuffix('/omp')}' {reason}"):
        read_liquid(path)


def test_unknown_mixing_is_refused(water, tmp_path):
    path = copy_of(water, tmp_path, ("\n2 0 0\n", "\n2 0.046 0.4\n"))
    with pytest.raises(
        InputError, match=r"does not say how sigmas .* are combined; write .* 'write_data FILE pair ij'"
    ):
        read_liquid(path)


def test_dihedrals_of_a_run_are_refused(water, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "reference.yaml").write_text((water.folder / "reference.yaml").read_text())
    (folder / "topology.data").write_text(
        water.topology.read_text().replace("1 bond types", "1 bond types\n2 dihedrals")
    )
    with pytest.raises(InputError, match=r"topology\.data: has dihedrals, which no model for many liquids has"):
        read_liquid(folder)


def test_density_and_temperature_outside_the_training_are_named(water):
    functions = load_fluids("fluids")
    functions = replace(functions, ranges=functions.ranges | {"density": (0.1, 0.5), "temperature": (0.5, 2.0)})
    liquid = read_liquid(water.folder)
    expected = len(liquid.topology.ids) / 3 * 3.165**3 / abs(np.linalg.det(liquid.topology.cell))
    with pytest.warns(UserWarning, match=rf"density in 1/sigma\^3 {expected:.3f}.*temperature in epsilon/k_B 3\.846"):
        warn_outside(functions, liquid.field, "here", topology=liquid.topology, temperature=300.0)
