"""Energies of electrons, -580 or -14 000 eV an atom, change nothing but the energies of the types."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator

from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.graph.build import build_graph, collate
from gnnformd.inference.system import Evaluator
from gnnformd.interfaces.ase import Calculator
from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import DensitySettings
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import TrainedRun, finetune, train
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.settings import DataSettings
from gnnformd.units import KCAL_PER_MOL_PER_EV
from tests.training.conftest import write_crystal

pytestmark = pytest.mark.filterwarnings("ignore:.*the model was trained on frames of this dataset")

MODEL = DensitySettings(
    cutoff=5.0, features=8, width=16, electrostatics="none", body_order=2, node_features="embedding"
)
TRAINING = TrainingSettings(
    epochs=3, batch_size=4, learning_rate=1e-3, energy_weight=1.0, virial_weight=0.1, schedule="cosine"
)
OFFSETS = (0.0, -580.0, -14354.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[float, tuple[Path, TrainedRun]]:
    """Trainings on the same crystals with these energies added to each atom, eV."""
    folder = tmp_path_factory.mktemp("offsets")
    write_crystal(folder / "plain.xyz", frames=12, seed=0)
    found = {}
    for offset in OFFSETS:
        images = ase.io.read(folder / "plain.xyz", ":")
        for atoms in images:
            results = dict(atoms.calc.results)
            results["energy"] += len(atoms) * offset
            atoms.calc = SinglePointCalculator(atoms, **results)
        path = folder / f"off{abs(offset):g}.xyz"
        ase.io.write(path, images, format="extxyz")
        data = DataSettings(paths=[str(path)], validation_fraction=0.25)
        found[offset] = path, train(MODEL, data, TRAINING, folder / f"run{abs(offset):g}")
    return found


@pytest.mark.parametrize("offset", OFFSETS[1:])
def test_a_training_in_single_precision_is_the_same_with_any_zero_of_the_energy(runs, offset: float) -> None:
    plain, other = runs[0.0][1], runs[offset][1]
    for before, after in zip(plain.records, other.records, strict=True):
        for name in ("train_loss", "validation_l1_per_atom", "validation_energy_rmse_per_atom"):
            assert getattr(after, name) == pytest.approx(getattr(before, name), rel=1e-4), name


@pytest.mark.parametrize("offset", OFFSETS)
def test_the_model_file_keeps_the_energies_of_the_types_to_the_last_digit(runs, offset: float) -> None:
    run = runs[offset][1]
    single, double = (load_model(run.model, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert single.model.network.type_energies.dtype == torch.float64
    assert torch.equal(single.model.network.type_energies, double.model.network.type_energies)
    shifted = double.model.network.type_energies - offset * KCAL_PER_MOL_PER_EV
    plain = load_model(runs[0.0][1].model).model.network.type_energies
    assert (shifted - plain).abs().max() < 1e-4


@pytest.mark.parametrize("offset", OFFSETS)
def test_every_way_to_the_energy_has_its_digits(runs, offset: float) -> None:
    path, run = runs[offset]
    expected = load_model(runs[0.0][1].model, dtype=torch.float64).model
    own = load_model(run.model, dtype=torch.float64).model
    with torch.no_grad():
        expected.load_state_dict({**own.state_dict(), "network.type_energies": torch.zeros(1, dtype=torch.float64)})
    (frame,) = open_dataset(path)[:1]
    count = len(frame.types)
    rest = float(expected(build_graph(frame, MODEL.cutoff)).energies[0])
    base = count * float(own.network.type_energies[0])
    for compiled in (True, False):
        loaded = load_model(run.model, compiled=compiled)  # float32
        graph = build_graph(frame, MODEL.cutoff, dtype=torch.float32)
        found = {
            "evaluator": Evaluator(loaded, frame).evaluate(frame.positions, frame.cell, frame.periodic).energies[0],
            "model": loaded.model(graph).energies[0],
            "batch": loaded.model(collate([graph, graph])).energies[1],
            "pairs": loaded.model.pair_forces(replace(graph, owned=torch.ones(count, dtype=torch.bool)))[0],
        }
        atoms = ase.Atoms("Ar" * count, frame.positions, cell=frame.cell, pbc=True)
        atoms.calc = Calculator(loaded)
        found["ase"] = atoms.get_potential_energy() * KCAL_PER_MOL_PER_EV
        for name, energy in found.items():
            assert float(energy) - base == pytest.approx(rest, rel=1e-5, abs=1e-3), name


def test_the_errors_of_the_energy_do_not_depend_on_its_zero(runs) -> None:
    errors = [evaluate(load_model(run.model), [open_dataset(path)]).datasets[0].energy for path, run in runs.values()]
    for error in errors[1:]:
        assert error.rmse_per_atom == pytest.approx(errors[0].rmse_per_atom, rel=1e-3)


def test_energies_that_were_not_learned_are_right_on_average(runs, tmp_path: Path) -> None:
    path, _ = runs[-580.0]
    write_crystal(tmp_path / "other.xyz", frames=2, seed=1)
    data = DataSettings(paths=[str(path)], validation=[str(tmp_path / "other.xyz")])
    forces = TRAINING.model_copy(update={"energy_weight": 0.0, "virial_weight": 0.0, "learning_rate": 0.01})
    model = load_model(train(MODEL, data, forces, tmp_path / "run").model).model
    frames = list(open_dataset(path))
    graphs = collate([build_graph(frame, MODEL.cutoff, dtype=torch.float32) for frame in frames])
    errors = model(graphs).energies.numpy() - [frame.energy for frame in frames]
    assert np.abs(errors).max() > 1.0
    assert abs(errors.mean()) < 1e-8


def test_fine_tuning_takes_the_zero_of_the_energy_from_the_data(runs, tmp_path: Path) -> None:
    still = TRAINING.model_copy(update={"learning_rate": 1e-12, "epochs": 1})
    energies = []
    for offset in (0.0, -14354.0):
        data = DataSettings(paths=[str(runs[offset][0])], validation_fraction=0.25)
        run = finetune(runs[0.0][1].model, MODEL, data, still, tmp_path / f"run{abs(offset):g}")
        energies.append(float(load_model(run.model).model.network.type_energies[0]))
    assert energies[1] - energies[0] == pytest.approx(-14354.0 * KCAL_PER_MOL_PER_EV, abs=1e-4)


def test_targets_stay_float64_in_graphs_of_float32(runs) -> None:
    path, _ = runs[-14354.0]
    frames = open_dataset(path)
    graph = build_graph(frames[0], MODEL.cutoff, dtype=torch.float32)
    assert graph.positions.dtype == graph.forces.dtype == graph.virials.dtype == torch.float32
    for moved in (graph, graph.to(dtype=torch.float32), collate([graph, graph])):
        assert moved.energies.dtype == torch.float64
        assert float(moved.energies[0]) == frames[0].energy
    assert float(np.float32(frames[0].energy)) != frames[0].energy
