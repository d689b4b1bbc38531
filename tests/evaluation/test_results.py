"""What the commands wrote is read back with types; a wrong or old file gives one sentence."""

import copy
import json

import numpy as np
import pytest

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
from gnnformd.evaluation.forces.metrics import ConfigTypeErrors, EnergyMetrics, StressMetrics, evaluate
from gnnformd.evaluation.results import CurvesResult, EvaluationResult, SimulationResult
from gnnformd.trajectory.frame import Frame

SIMULATION = {
    "model": "water",
    "settings": {"ensemble": "nve", "timestep": 0.5, "velocities": "file"},
    "steps": 100,
    "atoms": 648,
    "microseconds_per_atom_step": None,
    "stable": True,
    "verdict": {"answer": "differs", "text": "differs: heat of the common center, K (above 3)"},
    "observables": {
        "temperature, K": {"value": 301.5, "reference": 299.0, "difference": 1.0},
        "heat of the common center, K": {"value": 4.0, "reference": 0.0, "difference": None, "verdict": "differs"},
    },
    "rdf": {"O-O": {"r": [0.1, 0.2], "g": [0.0, None], "reference": None, "error": [None, None]}},
    "angles": {},
    "thermo": {"step": [0, 10], "temperature": [300, None], "total_energy": [-5.0, None]},
}


@pytest.fixture
def written(stand_ins):
    """The mappings of the three commands as they come back from JSON, with their readers."""
    model = stand_ins.load(stand_ins.ClassicalModel())
    curves = curves_to_dict("water", force_curves(model, points=3))
    types, generator = np.array([1, 2, 2]), np.random.default_rng(0)
    frame = Frame(
        timestep=0,
        cell=np.eye(3) * 20,
        origin=np.zeros(3),
        periodic=(True, True, True),
        ids=np.arange(1, 4),
        types=types,
        positions=np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        forces=generator.normal(0, 10, (3, 3)),
        bonds=np.array([[0, 1], [0, 2]]),
    )
    evaluation = evaluate(model, [stand_ins.MemoryDataset([frame], stand_ins.WATER)]).to_dict()
    found = {EvaluationResult: evaluation, CurvesResult: curves, SimulationResult: SIMULATION}
    return {reader: json.loads(json.dumps(data)) for reader, data in found.items()}


def test_what_evaluate_and_curves_write_is_read_back(written):
    data = written[EvaluationResult]
    result = EvaluationResult.from_dict(data, "evaluate.json")
    (dataset,), (entry,) = result.datasets, data["datasets"]
    assert (result.model, dataset.frames, dataset.atoms) == (data["model"], 1, 3)
    assert dataset.force.relative_l1 == entry["force"]["relative_l1"]
    assert dataset.force.per_type["H"].mae == entry["force"]["per_type"]["H"]["mae"]
    assert dataset.parity.predicted == entry["parity"]["predicted"]
    kind, energy = (
        ConfigTypeErrors(3, None, EnergyMetrics(0.2, -7.0, 0.1, 2, -6.5)),
        EnergyMetrics(0.4, 1.0, 0.3, 5, 1.0),
    )
    entry |= {"energy": vars(energy), "per_config_type": {"melt": kind.to_dict()}}
    entry |= {"stress": vars(StressMetrics(0.1, 0.2, -0.05, 4))}
    (dataset,) = EvaluationResult.from_dict(data, "evaluate.json").datasets
    assert (dataset.energy.rmse_per_atom, dataset.energy.mae_per_atom, dataset.energy.frames) == (0.4, 0.3, 5)
    assert (dataset.stress.mae, dataset.stress.rmse, dataset.stress.pressure_offset) == (0.1, 0.2, -0.05)
    melt = dataset.per_config_type["melt"]
    assert (melt.frames, melt.force, melt.energy.rmse_per_atom) == (3, None, 0.2)
    data = written[CurvesResult]
    for curve, entry in zip(CurvesResult.from_dict(data, "curves.json").curves, data["curves"], strict=True):
        assert (curve.name, curve.distance) == (entry["name"], entry["distance"])
        assert curve.predicted.y == entry["predicted"]["y"]


def test_what_simulate_writes_is_read_back_with_its_curves_by_family(written):
    result = SimulationResult.from_dict(written[SimulationResult], "simulate.json")
    assert (result.steps, result.settings.timestep, result.settings.temperature) == (100, 0.5, None)
    assert set(result.curves) == {"rdf"}
    curve = result.curves["rdf"]["O-O"]
    assert (curve.x, curve.y, curve.reference) == ([0.1, 0.2], [0.0, None], None)
    assert result.thermo.temperature == [300, None]


@pytest.mark.parametrize(("atoms", "told"), [(0, None), (327, None), (3273, "5% of the atoms, on average, had")])
def test_a_run_far_from_the_training_data_is_told(written, atoms, told):
    data = written[SimulationResult] | {"outside_training": {"steps": 0, "unusual_steps": 50, "unusual_atoms": atoms}}
    result = SimulationResult.from_dict(data, "simulate.json")
    assert result.unusual_share == atoms / (648 * 101)
    assert (result.extrapolation or "").replace(" %", "%").startswith(told or "")
    assert (result.extrapolation is None) == (told is None)


def test_a_file_with_the_old_name_of_an_observable_gives_the_new_one(written):
    result = SimulationResult.from_dict(written[SimulationResult], "simulate.json")
    assert list(result.observables) == ["temperature, K", "center-of-mass temperature, K"]
    assert result.observables["center-of-mass temperature, K"].value == 4.0
    assert result.verdict.text == "differs: center-of-mass temperature, K (above 3)"


@pytest.mark.parametrize(
    ("reader", "keys", "value", "message"),
    [
        (EvaluationResult, ("datasets", 0, "force", "mae"), None, r"'datasets\.0\.force\.mae' is missing"),
        (EvaluationResult, ("datasets",), "none", r"'datasets' is wrong: input should be a valid list"),
        (CurvesResult, ("curves", 0, "predicted", "z"), None, r"'curves\.0\.predicted\.z' is missing"),
        (CurvesResult, ("curves", 0, "distance"), [1.0, "2"], r"'curves\.0\.distance\.1' is wrong: .* number"),
        (SimulationResult, ("thermo",), None, "'thermo' is missing"),
        (SimulationResult, ("rdf", "O-O", "g"), None, r"'rdf\.O-O\.g' is missing"),
        (SimulationResult, ("rdf",), ["r"], "'rdf' is wrong"),
        (SimulationResult, ("observables",), [1], "'observables' is wrong"),
        (SimulationResult, ("steps",), 1.5, "'steps' is wrong: .* integer"),
    ],
)
def test_a_missing_key_or_a_wrong_type_is_one_sentence_with_the_file(written, reader, keys, value, message):
    data = copy.deepcopy(written[reader])
    part = data
    for key in keys[:-1]:
        part = part[key]
    if value is None:
        del part[keys[-1]]
    else:
        part[keys[-1]] = value
    with pytest.raises(InputError) as caught:
        reader.from_dict(data, "some/file.json")
    text = str(caught.value)
    assert text.startswith(f"some/file.json: is not what 'gnnformd {reader.command}' writes (")
    assert text.endswith("); write it again or remove it.")
    with pytest.raises(InputError, match=message):
        reader.from_dict(data, "some/file.json")
