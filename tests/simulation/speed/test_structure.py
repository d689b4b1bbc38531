"""A model is measured on any structure, beside any force field of LAMMPS, whatever the units of either."""

from pathlib import Path

import pytest
import torch
from ase.build import bulk
from ase.io import write
from tests.conftest import EPSILON, SIGMA, LennardJones

from gnnformd.errors import InputError
from gnnformd.graph.atomic_graph import AtomicGraph
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.library import load_lammps
from gnnformd.simulation.speed import measure, structure
from gnnformd.simulation.speed.structure import measure_on_structure
from gnnformd.simulation.speed.style_file import StyleFile
from gnnformd.units import KCAL_PER_MOL_PER_EV

POTENTIALS = Path(load_lammps().__file__).parent / "share" / "lammps" / "potentials"
SW = "units metal\npair_style sw\npair_coeff * * Si.sw Si\n"
SNAP = """units metal
variable name index Si_Zuo_JPCA2020
pair_style snap
pair_coeff * * ${name}.snapcoeff ${name}.snapparam Si  # found where LAMMPS has its potentials
"""


class Nothing(ForceModel):
    """No force at all: what another force field differs by is its own force."""

    cutoff, layers, conservative = 3.0, 1, True

    def forward(self, graph: AtomicGraph) -> Prediction:
        zero = torch.zeros_like(graph.positions)
        return Prediction(zero, zero.new_zeros(1), zero.new_zeros(1, 3, 3))


def silicon_model(names: tuple[str, ...] = ("Si",)) -> LoadedModel:
    return LoadedModel(Nothing(), ModelCard(GamdSettings(cutoff=3.0), names), Path("m.safetensors"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few steps: the times are not looked at."""
    for module in (measure, structure):
        monkeypatch.setattr(module, "BLOCKS", 2)
    monkeypatch.setattr(measure, "BLOCK", 2)
    monkeypatch.setattr(structure, "TURNS", 1)


@pytest.fixture
def silicon(tmp_path: Path) -> Path:
    atoms = bulk("Si", cubic=True) * 2
    atoms.rattle(0.1, seed=1)
    write(tmp_path / "Si.cif", atoms)
    return tmp_path / "Si.cif"


def written(folder: Path, text: str) -> Path:
    (folder / "style.lmp").write_text(text)
    return folder / "style.lmp"


def test_a_model_without_a_force_field_is_measured_on_a_structure(silicon):
    calls = []
    speed = measure_on_structure(silicon_model(), silicon, progress=lambda done, total: calls.append((done, total)))
    data = speed.to_dict()
    assert (data["atoms"], data["system"], data["lammps"], data["against"]) == (64, str(silicon), None, None)
    assert data["ratio_to_lammps"] is None
    assert data["edges_per_atom"] == pytest.approx(4.0, abs=0.2)
    assert data["microseconds_per_atom_step"]["forces"] > 0
    assert calls[0][0] == 0 and calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize(("text", "style"), [(SW, "sw"), (SNAP, "snap")])
def test_silicon_is_run_with_the_potentials_of_lammps(silicon, tmp_path, text, style):
    speed = measure_on_structure(silicon_model(), silicon, against=written(tmp_path, text))
    found = speed.against
    assert (found.pair_style, found.units) == (style, "metal")
    assert found.rms_difference == pytest.approx(found.rms_force, rel=1e-12)  # the model's own forces are zero
    # atoms a tenth of an angstrom from their sites: 1 to 3 eV/angstrom by either potential
    assert 0.3 < found.rms_force / KCAL_PER_MOL_PER_EV < 5.0
    assert found.mean_absolute_difference < found.rms_difference
    data = speed.to_dict()
    own, other = data["microseconds_per_atom_step"], data["against"]
    if other["ratio"] is not None:  # else the machine is too busy to say
        assert other["ratio"]["forces"] == pytest.approx(own["forces"] / other["microseconds_per_atom_step"])


UNITS = {
    "real": (EPSILON, SIGMA),
    "metal": (EPSILON / KCAL_PER_MOL_PER_EV, SIGMA),
    "electron": (EPSILON / 627.5094740631, SIGMA / 0.529177210903),
    "si": (EPSILON * 6.9476954e-21, SIGMA * 1e-10),
    f"lj epsilon={EPSILON} sigma={SIGMA} mass=39.948": (1.0, 1.0),
}


@pytest.mark.parametrize("units", UNITS)
def test_forces_are_compared_whatever_the_units_of_the_style(argon, tmp_path, helpers, units):
    epsilon, sigma = UNITS[units]
    style = f"units {units}\npair_style lj/cut {8.0 / SIGMA * sigma!r}\npair_coeff 1 1 {epsilon!r} {sigma!r}\n"
    found = measure_on_structure(helpers.load(LennardJones(8.0)), argon, against=written(tmp_path, style)).against
    assert found.rms_force > 0.5
    assert found.rms_difference < 1e-5 * found.rms_force


def test_copies_are_measured(argon, helpers):
    speed = measure_on_structure(helpers.load(LennardJones(8.0)), argon, copies=(2, 1, 1))
    assert (speed.atoms, speed.system) == (216, f"{argon} (2 x 1 x 1)")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pair_style sw\npair_coeff * * Si.sw Si\n", r"style\.lmp: does not say the units of the potential once"),
        ("units metal\n", r"style\.lmp: has no pair_style; write it"),
        (SW + "run 10\n", r"style\.lmp, line 4: 'run' defines no force field"),
        ("units parsec\npair_style sw\n", r"style\.lmp, line 1: units 'parsec' are not supported"),
        (SW.replace("Si.sw", "none.sw"), r"style\.lmp, line 3: .*none\.sw"),
        (SW.replace("Si.sw Si", "Si.sw C"), r"line 3: maps type 1 to C, but it is Si in .*Si\.cif; write the elements"),
        (SW.replace("Si.sw Si", "Si.sw Si Si"), r"style\.lmp, line 3: .*; the types of .*Si\.cif are 1 Si\.$"),
        (SW.replace("pair_coeff * * Si.sw Si\n", ""), r"style\.lmp: .*coeff.*; the types of .*Si\.cif are 1 Si\.$"),
        ("units metal\npair_style swan\n", r"style\.lmp, line 2: .*pair style 'swan'"),
    ],
)
def test_a_style_file_that_does_not_fit_is_named(silicon, tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        measure_on_structure(silicon_model(), silicon, against=written(tmp_path, text))
    assert str(caught.value).endswith(".")


def test_a_missing_style_file_and_a_structure_of_other_atoms_are_named(silicon, tmp_path):
    with pytest.raises(InputError, match=r"none\.lmp: cannot be read"):
        StyleFile.read(tmp_path / "none.lmp")
    with pytest.raises(InputError, match=r"Si\.cif: its atom types are Si, but those of the model are Ge"):
        measure_on_structure(silicon_model(("Ge",)), silicon)


def test_a_model_that_is_not_stable_on_the_structure_is_named(silicon):
    loaded = LoadedModel(LennardJones(8.0), ModelCard(GamdSettings(cutoff=8.0), ("Si",)), Path("m.safetensors"))
    with pytest.raises(InputError, match=r"Si\.cif: the model m\.safetensors is not stable there, step \d+: "):
        measure_on_structure(loaded, silicon)


def test_the_environment_is_left_as_it_was(silicon, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(tmp_path))
    with pytest.raises(InputError, match=r"line 3: .*Si\.sw"):
        measure_on_structure(silicon_model(), silicon, against=written(tmp_path, SW))
    (tmp_path / "Si.sw").write_bytes((POTENTIALS / "Si.sw").read_bytes())  # beside the file
    assert measure_on_structure(silicon_model(), silicon, against=written(tmp_path, SW)).against is not None
