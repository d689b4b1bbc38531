import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.graph.build import build_graph
from gnnformd.model.interface import ForceModel, Prediction
from gnnformd.trajectory.frame import Frame
from gnnformd.units import KCAL_PER_MOL_PER_EV, SHOWN


def _frame(stand_ins, seed, molecules=8, error=0.0, energy=True):
    """A small box of water on a crooked lattice, with the classical model's own forces plus an error."""
    generator = np.random.default_rng(seed)
    side = 3.1
    lattice = np.array([(i % 2, i // 2 % 2, i // 4) for i in range(molecules)]) * side
    molecule = np.array([[0.0, 0, 0], [1.012, 0, 0], [-0.4, 0.929, 0]])
    positions = (lattice[:, None] + molecule + generator.normal(0, 0.02, (molecules, 3, 3))).reshape(-1, 3)
    first = 3 * np.arange(molecules)
    frame = Frame(
        timestep=seed,
        cell=np.eye(3) * 2 * side,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 3 * molecules + 1),
        types=np.tile([1, 2, 2], molecules),
        positions=positions,
        bonds=np.concatenate([np.stack([first, first + 1], 1), np.stack([first, first + 2], 1)]),
    )
    prediction = stand_ins.ClassicalModel(cutoff=6.0)(build_graph(frame, 6.0, stand_ins.WATER))
    forces = prediction.forces.detach().numpy() + generator.normal(0, error, (3 * molecules, 3)) * (error > 0)
    known = float(prediction.energies[0].detach()) if energy else None
    return Frame(**{**vars(frame), "forces": forces, "energy": known})


def _water(stand_ins, frames=5, **kwargs):
    return stand_ins.MemoryDataset([_frame(stand_ins, k, **kwargs) for k in range(frames)], stand_ins.WATER)


def test_a_model_judged_on_its_own_forces_has_no_error(stand_ins):
    result = evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [_water(stand_ins)], batch_size=2)
    (entry,) = result.datasets
    assert (entry.frames, entry.atoms, entry.force.atoms) == (5, 24, 120)
    assert entry.force.rmse < 1e-11
    assert entry.seconds_per_frame > 0


def test_an_error_put_into_the_data_is_found_per_type(stand_ins):
    data = _water(stand_ins, frames=40, error=0.5)
    (entry,) = evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [data]).datasets
    assert entry.force.rmse == pytest.approx(0.5, rel=0.05)
    assert {k: m.atoms for k, m in entry.force.per_type.items()} == {"O": 320, "H": 640}
    assert entry.samples.reference.shape == (960, 3)


def test_the_batch_size_does_not_change_the_numbers(stand_ins):
    model = stand_ins.load(stand_ins.ClassicalModel(6.0))
    data = _water(stand_ins, error=1.0)
    one, other = (evaluate(model, [data], batch_size=b).datasets[0] for b in (1, 5))
    assert one.force.rmse == pytest.approx(other.force.rmse, rel=1e-12)
    assert one.energy.rmse_per_atom == pytest.approx(other.energy.rmse_per_atom, abs=1e-12)


def test_a_constant_shift_of_the_energy_is_taken_off_and_told(stand_ins):
    model = stand_ins.load(stand_ins.ClassicalModel(6.0, offset=7.0))
    energy = evaluate(model, [_water(stand_ins)]).datasets[0].energy
    assert energy.offset_per_atom == energy.mean_per_atom == pytest.approx(7.0, abs=1e-10)
    assert energy.rmse_per_atom < 1e-10


def test_a_wrong_scale_of_the_energy_is_an_error(stand_ins):
    model = stand_ins.ClassicalModel(6.0)
    with torch.no_grad():
        model.scale.fill_(1.5)
    data = _water(stand_ins)
    expected = 0.5 * np.std([f.energy / 24 for f in data.frames])
    energy = evaluate(stand_ins.load(model), [data]).datasets[0].energy
    assert energy.rmse_per_atom == pytest.approx(expected, rel=1e-9)


class _Pressed(ForceModel):
    """No forces, and the same stress everywhere."""

    conservative, layers, cutoff = True, 1, 3.0

    def __init__(self, stress):
        super().__init__()
        self.stress = torch.tensor(stress)

    def forward(self, graph):
        volumes = torch.linalg.det(graph.cells).abs()
        return Prediction(
            torch.zeros_like(graph.positions), torch.zeros(len(volumes)), volumes[:, None, None] * self.stress
        )


def test_errors_of_stresses_are_those_of_virial_over_volume_and_pressures_are_off_by_a_third_of_the_trace(stand_ins):
    # in eV/angstrom^3: what ASE calls 0.02 eV/angstrom^3 is 3.2 GPa
    off = np.array([[0.03, 0.01, 0.0], [0.01, 0.02, -0.02], [0.0, -0.02, -0.01]]) * KCAL_PER_MOL_PER_EV
    base = _frame(stand_ins, 0)
    strained = [base.cell @ (np.eye(3) + 0.02 * k * np.outer([1, 0, 0], [1, 1, 0])) for k in range(4)]
    frames = [
        replace(base, timestep=k, cell=cell, virial=np.zeros((3, 3)), config_type="sheared" if k else "cubic")
        for k, cell in enumerate(strained)
    ]
    frames += [replace(base, timestep=4), replace(frames[0], timestep=5, periodic=(True, True, False))]
    data = stand_ins.MemoryDataset(frames, stand_ins.WATER)
    found = evaluate(stand_ins.load(_Pressed(off)), [data]).datasets[0]
    assert found.stress.frames == 4  # one has no virial, and a slab has no volume
    mae, rmse = 0.09 / 6 / units.GPa, np.sqrt(0.0019 / 6) / units.GPa
    to_gpa = SHOWN["metal"].stress
    assert to_gpa * found.stress.mae == pytest.approx(mae, rel=1e-5)  # LAMMPS's constants are of 2006
    assert to_gpa * found.stress.rmse == pytest.approx(rmse, rel=1e-5)
    assert to_gpa * found.stress.pressure_offset == pytest.approx(0.04 / 3 / units.GPa, rel=1e-5)
    assert SHOWN["real"].stress * 101325e-9 == pytest.approx(to_gpa)
    assert [found.per_config_type[kind].stress.frames for kind in ("cubic", "sheared")] == [1, 3]
    assert evaluate(stand_ins.load(stand_ins.SidewaysModel(4.0)), [data]).datasets[0].stress is None  # has no virial


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1), (1, 2, 0), (0, 2, 1)])
def test_virials_in_another_order_are_told_with_their_order(stand_ins, order):
    rng = np.random.default_rng(1)
    pressed = np.array([[0.3, 0.2, -0.5], [0.2, 0.1, 0.7], [-0.5, 0.7, 0.2]])
    rows, columns, names = [1, 0, 0], [2, 2, 1], ("yz", "xz", "xy")
    base, frames = _frame(stand_ins, 0), []
    for step in range(8):
        virial = (pressed + rng.normal(0.0, 0.02, (3, 3))) * abs(np.linalg.det(base.cell))
        written = [virial[rows[place], columns[place]] for place in order]  # what stands where yz, xz, xy are read
        virial[rows, columns] = virial[columns, rows] = written
        frames.append(replace(base, timestep=step, virial=virial))
    data, model = stand_ins.MemoryDataset(frames, stand_ins.WATER), stand_ins.load(_Pressed(pressed))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        evaluate(model, [data])
    said = [str(warning.message) for warning in told if "order" in str(warning.message)]
    if order == (0, 1, 2):
        assert not said
    else:
        assert f"as xx yy zz {' '.join(names[place] for place in order)} they fit the forces" in said[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diagonal = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
        evaluate(stand_ins.load(_Pressed(pressed * diagonal)), [data])
    if order == (0, 1, 2):
        with pytest.warns(UserWarning, match="fit the forces of this model with the other sign; write stresses that"):
            evaluate(stand_ins.load(_Pressed(-pressed)), [data])


def test_the_size_of_systems_is_that_of_the_smallest_and_the_largest(stand_ins):
    data = stand_ins.MemoryDataset(
        [_frame(stand_ins, k, molecules=m) for k, m in enumerate((8, 4, 6))], stand_ins.WATER
    )
    found = evaluate(stand_ins.load(stand_ins.ClassicalModel(3.0)), [data]).datasets[0]
    assert (found.atoms, found.most_atoms) == (12, 24)


def test_without_energies_in_the_data_or_with_one_frame_there_is_no_energy_error(stand_ins):
    model = stand_ins.load(stand_ins.ClassicalModel(6.0))
    assert evaluate(model, [_water(stand_ins, energy=False)]).datasets[0].energy is None
    assert evaluate(model, [_water(stand_ins, frames=1)]).datasets[0].energy is None


def test_a_model_left_in_training_mode_is_judged_without_dropout(stand_ins):
    model = stand_ins.SidewaysModel(4.0).train()
    (entry,) = evaluate(stand_ins.load(model), [_water(stand_ins, frames=2)]).datasets
    np.testing.assert_array_equal(entry.samples.predicted, np.tile([0.0, 2.0, 0.0], (48, 1)))


def test_some_frames_are_chosen_evenly_over_the_trajectory(stand_ins):
    data = _water(stand_ins, frames=10)
    data.frames = [Frame(**{**vars(f), "forces": np.full((24, 3), float(k))}) for k, f in enumerate(data.frames)]
    (entry,) = evaluate(stand_ins.load(stand_ins.SidewaysModel(4.0)), [data], frames=5).datasets
    assert entry.frames == 5
    assert sorted(set(entry.samples.reference[:, 0])) == [1, 3, 5, 7, 9]


def test_progress_counts_the_frames_of_all_datasets(stand_ins):
    seen = []
    data = [_water(stand_ins, frames=3), _water(stand_ins, frames=2)]
    evaluate(stand_ins.load(stand_ins.SidewaysModel(4.0)), data, batch_size=2, progress=lambda *a: seen.append(a))
    assert seen == [(2, 5), (3, 5), (5, 5)]


def test_the_json_has_the_agreed_keys_and_can_be_written(stand_ins):
    result = evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [_water(stand_ins, error=1.0)]).to_dict()
    entry = json.loads(json.dumps(result, allow_nan=False))["datasets"][0]
    assert {"path", "frames", "atoms", "force", "energy", "seconds_per_frame", "parity"} <= set(entry)
    keys = {"mae", "rmse", "l1_per_atom", "relative_l1", "relative_norm", "per_axis", "per_type"}
    assert set(entry["force"]) == keys
    assert set(entry["force"]["per_axis"]) == {"x", "y", "z"}
    assert set(entry["force"]["per_type"]) == {"O", "H"}
    assert np.shape(entry["parity"]["reference"]) == (120, 3)


def test_data_without_a_force_field_is_refused_by_a_model_that_needs_one(stand_ins):
    data = _water(stand_ins)
    data.force_field = None
    with pytest.raises(InputError, match=r"^memory: has no force field"):
        evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [data])


def test_data_of_other_types_is_refused_by_a_model_of_learned_types(stand_ins):
    model = stand_ins.load(stand_ins.SidewaysModel(4.0), stand_ins.ARGON, node_features="embedding")
    with pytest.raises(InputError, match="types are O, H, but those of the model are Ar"):
        evaluate(model, [_water(stand_ins)])
    data = _water(stand_ins)
    data.force_field = None
    with pytest.raises(InputError, match="has atom type 2, but only 1 are known"):
        evaluate(model, [data])


@pytest.mark.filterwarnings("ignore:.*bonds")
def test_a_model_of_parameters_takes_types_that_it_was_not_trained_on(stand_ins):
    # its pairs of types were looked up by numbers that are those of its own data
    model = stand_ins.load(stand_ins.ClassicalModel(6.0), stand_ins.ARGON)
    seen = {"closest_pairs": [[0, "Ar", "Ar", 3.0]], "largest_forces": {"Ar": 10.0}}
    model = replace(model, card=replace(model.card, trained_on=(seen,)))
    errors = evaluate(model, [_water(stand_ins)]).datasets[0].force
    assert list(errors.per_type) == ["O", "H"]
    assert not model.knows_types


def test_an_empty_dataset_and_one_without_forces_are_refused(stand_ins):
    model = stand_ins.load(stand_ins.SidewaysModel(4.0))
    with pytest.raises(InputError, match="contains no frames"):
        evaluate(model, [stand_ins.MemoryDataset([], stand_ins.WATER)])
    bare = Frame(**{**vars(_frame(stand_ins, 0)), "forces": None})
    with pytest.raises(InputError, match="frame 0 has no forces"):
        evaluate(model, [stand_ins.MemoryDataset([bare], stand_ins.WATER)])


def test_data_whose_bonds_are_not_known_is_pointed_out_to_a_model_that_learned_bonds(stand_ins):
    data = _water(stand_ins, frames=2)
    data.frames = [Frame(**{**vars(f), "bonds": None}) for f in data.frames]
    with pytest.warns(UserWarning, match="memory: its bonds are unknown"):
        evaluate(stand_ins.load(stand_ins.SidewaysModel(4.0)), [data])


def _changed(field, *kinds, **others):
    """The force field with other parameters of its types."""
    return replace(field, types=tuple(replace(t, **new) for t, new in zip(field.types, kinds, strict=True)), **others)


def _said_of_force_fields(model, data):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        evaluate(model, [data])
    return [str(warning.message) for warning in told if "force field" in str(warning.message)]


@pytest.mark.parametrize(
    ("kinds", "others", "difference"),
    [
        (({"charge": -0.834}, {"charge": 0.417}), {}, "charge of O -0.82 there, -0.834 e here"),
        (({"epsilon": 0.1521}, {}), {}, "epsilon of O 0.155 there, 0.1521 kcal/mol here"),
        (({"sigma": 3.1507}, {}), {}, "sigma of O 3.165 there, 3.1507 angstrom here"),
        (({}, {"epsilon": 0.046, "sigma": 0.4}), {}, "epsilon of H 0 there, 0.046 kcal/mol here"),
        (({}, {}), {"lj_cutoff": 3.6}, "lj_cutoff 10 there, 3.6 angstrom here"),
        (({}, {}), {"lj_cutoff": 9.0}, None),  # where next to nothing is left of the potential
        (({}, {"sigma": 1.0}), {}, None),  # of no depth
        (({"charge": -0.8201}, {"epsilon": 1e-9}), {}, None),
    ],
)
def test_data_of_another_force_field_are_pointed_out_to_a_model_that_takes_types_as_they_are(
    stand_ins, kinds, others, difference
):
    data = _water(stand_ins, frames=2)
    data.force_field = _changed(stand_ins.WATER, *kinds, **others)
    learned = stand_ins.load(stand_ins.SidewaysModel(4.0), node_features="embedding")
    expected = (
        f"memory: its force field is not that of the data the model was trained on ({difference}); errors are those of "
        "another liquid."
    )
    assert _said_of_force_fields(learned, data) == ([] if difference is None else [expected])
    assert not _said_of_force_fields(stand_ins.load(stand_ins.SidewaysModel(4.0)), data)  # is told the parameters
    unknown = replace(learned, card=replace(learned.card, force_field=None))
    assert not _said_of_force_fields(unknown, data)
    several = replace(learned, card=replace(learned.card, trained_on=({"sources": ["one", "other"]},)))
    assert not _said_of_force_fields(several, data)  # the card has the force field of one of them


def test_force_fields_are_compared_by_the_types_that_have_atoms_whatever_their_numbers(stand_ins):
    data = _water(stand_ins, frames=2)
    data.frames = [replace(frame, types=3 - frame.types) for frame in data.frames]
    oxygen, hydrogen = stand_ins.WATER.types
    ion = replace(oxygen, name="Na", mass=22.99, charge=1.0)
    model = stand_ins.load(
        stand_ins.SidewaysModel(4.0), replace(stand_ins.WATER, types=(oxygen, hydrogen, ion)), node_features="embedding"
    )
    data.force_field = replace(stand_ins.WATER, types=(hydrogen, oxygen, replace(ion, charge=0.8, sigma=9.0)))
    assert not _said_of_force_fields(model, data)
    data.force_field = replace(data.force_field, types=(replace(hydrogen, charge=0.5), oxygen, ion))
    assert "charge of H 0.41 there, 0.5 e here" in _said_of_force_fields(model, data)[0]


def test_errors_of_each_kind_of_configuration_are_told_apart(stand_ins):
    data = _water(stand_ins, frames=6)
    frames = [replace(f, config_type=("cold", "hot", None)[k % 3]) for k, f in enumerate(data.frames)]
    frames = [replace(f, forces=f.forces + 0.5) if f.config_type == "hot" else f for f in frames]
    frames = [replace(f, energy=f.energy + (2.4 if f.config_type == "hot" else 0) * len(f.types)) for f in frames]
    found = evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [replace(data, frames=frames)]).datasets[0]
    assert list(found.per_config_type) == ["cold", "hot"]
    cold, hot = found.per_config_type["cold"], found.per_config_type["hot"]
    assert (cold.frames, hot.frames) == (2, 2)
    assert cold.force.mae < 1e-9 and hot.force.mae == pytest.approx(0.5)
    # the offset of all six frames, -0.8 an atom, is taken off: 0.8 is left where there was no error, -1.6 elsewhere
    assert found.energy.offset_per_atom == pytest.approx(-0.8)
    assert cold.energy.mae_per_atom == pytest.approx(0.8) and hot.energy.rmse_per_atom == pytest.approx(1.6)
    assert cold.energy.mean_per_atom == pytest.approx(0.0, abs=1e-9) and hot.energy.mean_per_atom == pytest.approx(-2.4)
    assert found.energy.mae_per_atom == pytest.approx((4 * 0.8 + 2 * 1.6) / 6)
    assert set(found.to_dict()["per_config_type"]["hot"]) == {"frames", "force", "energy", "stress"}


class _Graded(ForceModel):
    """No forces; grades in the first half are 0.5 (oxygen), 1.5 and 3 (hydrogen), in the other 0.9 but for one."""

    cutoff, layers, conservative = 6.0, 1, False

    def forward(self, graph):
        forces = torch.zeros_like(graph.positions)
        grades = torch.tensor([0.5, 1.5, 3.0], dtype=torch.float64).repeat(len(forces) // 3)
        grades[len(forces) // 2 :] = 0.9
        grades[-1] = torch.nan
        return Prediction(forces, grades=grades)


def test_errors_by_extrapolation_grade_are_those_of_the_atoms_with_such_grades(stand_ins):
    data = _water(stand_ins, frames=3)
    forces = np.stack([data[k].forces for k in range(3)])  # what is left without forces
    (entry,) = evaluate(stand_ins.load(_Graded()), [data], batch_size=1).datasets
    found = entry.to_dict()["extrapolation"]
    assert (found["largest_grade"], found["frames"]) == (3.0, 3)
    parts = found["by_grade"]
    assert [(part["above"], part["up_to"], part["atoms"]) for part in parts] == [
        (0.0, 1.0, 45),
        (1.0, 2.0, 12),
        (2.0, None, 12),
        (None, None, 3),
    ]
    likely = np.concatenate([forces[:, :12:3], forces[:, 12:-1]], axis=1)
    for part, own in zip(parts, (likely, forces[:, 1:12:3], forces[:, 2:12:3], forces[:, -1]), strict=True):
        assert part["rmse"] == pytest.approx(np.sqrt((own**2).mean()), rel=1e-12)
    assert evaluate(stand_ins.load(stand_ins.ClassicalModel(6.0)), [data]).datasets[0].extrapolation is None
