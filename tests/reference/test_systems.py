import pytest

from gnnformd.force_field import ForceField
from gnnformd.reference.generate import generate
from gnnformd.reference.script import read_script
from gnnformd.reference.systems import SYSTEMS

# Just enough of each system that LAMMPS sets it up and writes a frame.
SHORT = {
    "argon": {"equilibration": "0", "spacing": "1"},
    "argon-liquid": {"equilibration": "0", "spacing": "1"},
    "argon-finetune": {"equilibration": "0", "spacing": "1"},
    "water-seed": {},
    "water-large-seed": {"equilibration": "0", "spacing": "1"},
    "water": {"equilibration": "0", "melting": "0", "spacing": "1"},
    "water-large": {"equilibration": "0", "melting": "0", "spacing": "1"},
}
DRAWN = sorted(name for name, system in SYSTEMS.items() if system.force_field is None)
ATOMS = {"argon": 400, "argon-liquid": 500, "argon-finetune": 400, "water": 648, "water-seed": 648}


@pytest.mark.parametrize("name", sorted(set(SHORT) - {"water-large", "water-large-seed"}))
def test_the_force_field_of_a_system_is_the_one_lammps_used(tmp_path, name):
    run = generate(name, tmp_path / "run", frames=1, variables=SHORT[name])
    assert run.force_field == SYSTEMS[name].force_field
    assert run.manifest["atoms"] == ATOMS[name]
    assert run.manifest["frames"] == 1
    assert ForceField.from_dict(run.manifest["force_field"]) == SYSTEMS[name].force_field
    changes = ", ".join(f"{variable} {value}" for variable, value in sorted(SHORT[name].items()))
    description = SYSTEMS[name].description + (f" Here with {changes}." if changes else "")
    assert run.manifest["description"] == description


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_stated_number_of_frames_is_what_the_input_writes(name):
    system = SYSTEMS[name]
    lines = [line.words for line in read_script(system.input).commands("variable")]
    in_file = {words[1]: words[3] for words in lines}["frames"]
    assert int(system.variables.get("frames", in_file)) == system.frames
    assert system.name == name


def test_the_seeds_values_are_the_defaults():
    text = SYSTEMS["argon"].input.read_text()
    for line in (
        "create_atoms 1 random $N ${seed} NULL overlap 2.0 maxtry 50",
        "velocity all create $T ${seed} dist gaussian",
        "fix 2 all npt temp 1 $T 1.0 iso $P $P 1000.0",
        "variable seed index 42 ",
        "variable equilibration index 20000 ",
    ):
        assert line in text
    text = SYSTEMS["water-seed"].input.read_text()
    for line in (
        "create_atoms 0 random 216 ${seed} NULL mol h2omol 1 overlap 1.0 maxtry 50",
        "minimize 1e-4 1e-6 100 1000",
        "timestep 2",
    ):
        assert line in text
