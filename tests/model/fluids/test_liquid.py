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


IONS = """units real
atom_style charge
lattice fcc 5.4
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
set type 1 type/ratio 2 0.5 11
set type 1 charge 0.2
set type 2 charge -0.2
mass * 40
pair_style {style}
{commands}
velocity all create 90 3
fix 1 all nve
dump 1 all custom 5 ions.dump id type x y z
run 5
"""
LONG = "lj/cut/coul/long 5.0 5.0\nkspace_style ewald 1e-4"
CUT = "lj/cut/coul/cut 5.0 5.0"


@pytest.fixture(params=["input", "folder"])
def ions(request, tmp_path):
    def source(style, commands):
        path = tmp_path / "in.lmp"
        path.write_text(IONS.format(style=style, commands=commands))
        if request.param == "input":
            return path
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is said of the data is not asked here
            return generate(path, tmp_path / "run").folder

    return source


def said_of(source):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_liquid(source)
    return [str(warning.message) for warning in caught]


def test_a_command_after_a_print_that_shows_nothing_is_seen(ions):
    source = ions(LONG, 'pair_coeff * * 0.2378 3.405\nprint "told" file told.txt screen no\ndielectric 4.0')
    with pytest.raises(InputError, match=r"(in\.lmp|reference\.yaml): 'dielectric' screens its charges"):
        read_liquid(source)


@pytest.mark.parametrize("printed", ["", '\nprint "dielectric 1.0"', '\nvariable e index 1\nprint "dielectric ${e}"'])
def test_screened_charges_are_refused(ions, printed):
    source = ions(LONG, f"pair_coeff * * 0.2378 3.405\nvariable d index 4\ndielectric ${{d}}{printed}")
    with pytest.raises(InputError, match=r"(in\.lmp|reference\.yaml): 'dielectric' screens its charges"):
        read_liquid(source)


@pytest.mark.parametrize(
    ("style", "commands", "said"),
    [
        (LONG, "dielectric 4.0\ndielectric 1", []),
        ("lj/cut 5.0", "dielectric 4.0", ["pair style 'lj/cut' has no Coulomb energy"]),
        (CUT, "", ["pair style 'lj/cut/coul/cut' is outside the training"]),
    ],
)
def test_charges_without_screening_are_not_refused(ions, style, commands, said):
    found = said_of(ions(style, f"pair_coeff * * 0.2378 3.405\n{commands}"))
    assert len(found) == len(said)
    assert all(text in warning for text, warning in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("style", "commands", "named"),
    [
        (LONG, "pair_coeff * * 0.2378 3.405\npair_coeff 2 2 0.2378 3.405 4", "4 or 5"),
        (LONG, "pair_coeff * * 0.2378 3.405 4\npair_coeff *2 2* 0.1 3.4 4.5", "4 or 4.5"),
        ("lj/cut 5.0", "pair_coeff * * 0.2378 3.405\npair_coeff 1 2 0.2378 3.405 6", "5 or 6"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*atoms have charges")
def test_different_cutoffs_of_pairs_are_refused(ions, style, commands, named):
    source = ions(style, commands)
    with pytest.raises(InputError, match=rf"(in\.lmp|reference\.yaml): Lennard-Jones ends at {named}, .*one cutoff"):
        read_liquid(source)


@pytest.mark.parametrize(
    ("commands", "cutoff"),
    [
        ("pair_coeff * * 0.2378 3.405 4.0", 4.0),
        ("pair_coeff 1*2 * 0.2378 3.405 4\npair_coeff * * 0.2378 3.405", 5.0),
        ("pair_coeff * * 0.2378 3.405 4\npair_style lj/cut/coul/long 4.5 5.0", 4.5),
        ("pair_coeff 1 1 0.2378 3.405\npair_coeff 2 2 0 0 4", 5.0),
        ("pair_coeff * * 0.2378 3.405 5.5", 5.5),
    ],
)
def test_one_cutoff_of_all_pairs_is_taken(ions, commands, cutoff):
    source = ions(LONG, commands)
    assert said_of(source) == []
    assert read_liquid(source).field.lj_cutoff == cutoff


def test_tail_corrections_are_named(ions):
    coefficients = "pair_coeff * * 0.2378 3.405\npair_modify mix geometric tail yes\n"
    (found,) = said_of(ions(LONG, f"{coefficients}pair_modify shift no"))
    assert "pressures of the model lack the tail correction that 'pair_modify tail yes' adds in LAMMPS" in found


def test_tail_corrections_that_are_taken_back_are_not_named(ions):
    assert said_of(ions(LONG, "pair_coeff * * 0.2378 3.405\npair_modify tail yes\npair_modify tail no")) == []


def test_a_style_whose_parameters_are_not_known_is_named(ions):
    with pytest.raises(InputError, match=r"has no force field of .*\(pair style 'lj/cut/coul/dsf'\)"):
        read_liquid(ions("lj/cut/coul/dsf 0.2 5.0 5.0", "pair_coeff * * 0.2378 3.405"))


@pytest.mark.filterwarnings("ignore:.*does not say the whole force field")
def test_different_cutoffs_in_a_data_file_are_refused(water, tmp_path):
    path = copy_of(water, tmp_path, ("Pair Coeffs #", "PairIJ Coeffs #"), ("\n1 0.155", "\n1 1 0.155"))
    text = path.read_text()
    start = text.index("\n1 1 0.155")
    end = text.index("\n\n", start)
    path.write_text(text[:start] + "\n1 1 0.155 3.165 9\n1 2 0.1 3.1 8\n2 2 0.1 3.1 8" + text[end:])
    with pytest.raises(InputError, match=r"my\.data, line \d+: Lennard-Jones ends at 8 to 9 angstrom"):
        read_liquid(path)
