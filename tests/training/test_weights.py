from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from gnnformd.errors import InputError
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.graph.build import find_edges, join_frames
from gnnformd.model.density.classical_fit import _Fit
from gnnformd.model.files.model_file import load_model
from gnnformd.model.interface import Prediction
from gnnformd.model.settings import DensitySettings
from gnnformd.training.data import FrameData
from gnnformd.training.loss import Loss, measure_scales
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.frame import Frame, TargetWeights
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset, open_datasets
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import write_crystal

MODEL = DensitySettings(
    cutoff=4.0, layers=1, features=4, width=8, radial_functions=4, electrostatics="none", node_features="embedding"
)


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings(
        **{"epochs": 1, "batch_size": 2, "loggers": (), "accelerator": "cpu", "threads": 1, **changes}
    )


@pytest.fixture
def data(tmp_path: Path) -> DataSettings:
    """Twelve crystals: every third a 'surface', with stresses; two frames without forces, one without energy."""
    path = tmp_path / "crystals.xyz"
    images = write_crystal(path, frames=12, seed=0)
    for k, atoms in enumerate(images):
        atoms.info["config_type"] = "surface" if k % 3 == 0 else "bulk"
        if k in (1, 10):  # one trains, one validates
            del atoms.calc.results["forces"]
        if k == 4:
            del atoms.calc.results["energy"]
    ase.io.write(path, images, format="extxyz")
    return DataSettings(paths=[str(path)], validation_fraction=0.25)


class _Part:
    """Some frames of a dataset."""

    def __init__(self, dataset: PackedDataset, frames: tuple[int, ...]) -> None:
        self._dataset, self._frames = dataset, frames

    def __getattr__(self, name: str) -> object:
        return getattr(self._dataset, name)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        return self._dataset[self._frames[index]]

    def __iter__(self):
        return (self._dataset[k] for k in self._frames)


def batch(frames: list[Frame]):
    return join_frames(frames, [find_edges(f, 4.0) for f in frames], [None] * len(frames), dtype=torch.float64)


def test_a_weight_counts_as_so_many_copies_of_the_frame(data: DataSettings) -> None:
    frames = list(open_dataset(data.paths[0]))[6:9]
    training = settings(loss="huber", energy_weight=1.0, virial_weight=0.5, precision="64-true")
    weighted = [replace(f, weights=TargetWeights(w, w, w)) for f, w in zip(frames, (3.0, 1.0, 2.0), strict=True)]
    copies = [frames[0]] * 3 + [frames[1]] + [frames[2]] * 2

    def gradient(frames: list[Frame]) -> torch.Tensor:
        graph = batch(frames)
        fitting = Loss(training, measure_scales(batch(weighted)))
        scale = torch.tensor([0.5, 0.7, 0.9], dtype=torch.float64, requires_grad=True)
        prediction = Prediction(scale[0] * graph.forces, scale[1] * graph.energies, scale[2] * graph.virials)
        terms = fitting.terms(prediction, graph)
        terms = terms if graph.weights is None else terms * graph.weights.T
        return torch.autograd.grad((fitting.weights(terms.new_ones(3)) @ terms).sum(), scale)[0]

    torch.testing.assert_close(gradient(weighted), gradient(copies), rtol=1e-12, atol=0)


def test_missing_targets_cost_nothing_and_change_no_weight(data: DataSettings) -> None:
    frames = list(open_dataset(data.paths[0]))
    graph = batch([frames[1], frames[4], frames[5]])  # without forces, without energy, with all
    assert graph.known_targets.tolist() == [[False, True, True], [True, False, True], [True, True, True]]
    training = settings(loss="huber", energy_weight=1.0, virial_weight=1.0)
    loss = Loss(training, measure_scales(graph))
    atoms = graph.atoms_per_graph.tolist()
    forces = torch.ones(sum(atoms), 3, dtype=torch.float64, requires_grad=True)
    energies = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    terms = loss.terms(Prediction(forces, energies, torch.zeros(3, 3, 3, dtype=torch.float64)), graph)
    assert terms[0, 0] == 0 and terms[1, 1] == 0 and (terms > 0).sum() == 7
    of_forces, of_energies = torch.autograd.grad(terms.sum(), (forces, energies))
    assert (of_forces[: atoms[0]] == 0).all() and of_forces[atoms[0] :].isfinite().all()
    assert of_energies[1] == 0 and (of_energies[[0, 2]] != 0).all()
    alone = loss.terms(Prediction(forces[-atoms[2] :], energies[2:], torch.zeros(1, 3, 3).double()), batch([frames[5]]))
    torch.testing.assert_close(terms[:, 2], alone[:, 0], rtol=1e-12, atol=0)


def test_the_least_squares_start_weighs_rows_and_leaves_out_what_is_not_known(data: DataSettings) -> None:
    frames = list(open_dataset(data.paths[0]))
    frames = [frames[1], replace(frames[5], weights=TargetWeights(4.0, 1.0, 9.0))]
    graph = batch(frames)
    distances = graph.half_edge_vectors().norm(dim=1), torch.ones(graph.edge_count // 2).double(), 4.0

    def rows(graph, frame: int, begin: int):
        fit = _Fit(graph, graph.half_edge_vectors(), distances, graph.forces, graph.virials)
        fit.pairs = [(torch.arange(graph.edge_count // 2), 6)]
        return fit._rows(frame, begin, len(frames[frame].types))

    first = len(frames[0].types)
    assert rows(graph, 0, 0).shape == (9, 7)  # a virial alone
    weighted, plain = rows(graph, 1, first), rows(replace(graph, weights=None), 1, first)
    forces = 3 * len(frames[1].types)
    torch.testing.assert_close(weighted[:forces], 2 * plain[:forces])
    torch.testing.assert_close(weighted[forces:], 3 * plain[forces:])


def test_a_training_takes_weights_and_missing_targets_and_validates_without(data: DataSettings, tmp_path: Path) -> None:
    training = settings(loss="huber", energy_weight="auto", virial_weight="auto", batch_size=1)
    weighted = data.model_copy(update={"config_type_weights": {"surface": 5.0, "bulk": 0.5}})
    with pytest.warns(UserWarning, match="1 of 9 training frames has no forces; what else it has is learned"):
        run = train(MODEL, weighted, training, tmp_path / "run")
    assert np.isfinite(run.best.validation_loss) and np.isfinite(run.best.train_loss)
    dataset = open_dataset(data.paths[0])
    with pytest.warns(UserWarning, match="2 of 12 frames have no forces; errors of forces are those of the others"):
        (judged,) = evaluate(load_model(run.model), [dataset]).datasets
    assert judged.energy is not None and judged.energy.frames == 11
    assert judged.force.per_type["Ar"].atoms == 10 * 32
    (validated,) = evaluate(load_model(run.model), [_Part(dataset, (9, 11))]).datasets
    assert run.best.validation_l1_per_atom == pytest.approx(validated.force.l1_per_atom, rel=1e-4)  # without weights
    assert run.best.validation_rmse == pytest.approx(validated.force.rmse, rel=1e-4)
    assert {name: kind.frames for name, kind in judged.per_config_type.items()} == {"surface": 4, "bulk": 8}
    with pytest.raises(InputError, match=r"the weights of its frames were others; give the same data\.config_type_w"):
        train(MODEL, data, training, tmp_path / "run", resume=True)
    with pytest.raises(InputError, match="the weights of its frames were others"):
        changed = weighted.model_copy(update={"config_type_weights": {"surface": 4.0, "bulk": 0.5}})
        train(MODEL, changed, training, tmp_path / "run", resume=True)


def test_frames_of_weight_zero_are_not_learned(data: DataSettings) -> None:
    chosen = data.model_copy(update={"config_type_weights": {"surface": 0.0}})
    with pytest.warns(UserWarning, match="4 of 9 training frames have weight zero"):
        frames = FrameData(open_datasets(chosen), chosen, settings(), 4.0)
    used = [frames.train_graphs.datasets[d][k].config_type for d, k in frames.train_graphs.frames]
    assert used and set(used) == {"bulk"}
    nothing = data.model_copy(update={"config_type_weights": {"default": 0.0}})
    with pytest.raises(InputError, match="no training frame has forces and a weight above zero"):
        FrameData(open_datasets(nothing), nothing, settings(), 4.0)


def test_frames_without_forces_are_left_out_where_forces_alone_are_learned(data: DataSettings) -> None:
    with pytest.warns(UserWarning, match="1 of 9 training frames has weight zero, or none of the targets"):
        frames = FrameData(open_datasets(data), data, settings(), 4.0)
    assert len(frames.train_graphs) == 8


@pytest.mark.parametrize("count", [1, 2])
def test_few_validation_frames_are_taken_among_those_with_forces(
    data: DataSettings, tmp_path: Path, count: int
) -> None:
    few = settings(validation_frames=count, energy_weight=1.0)
    frames = FrameData(open_datasets(data), data, few, 4.0)  # frame 10 of 9 to 11 has none
    batches = list(frames.validation_batches())
    assert sum(graph.graph_count for graph in batches) == count
    assert all(graph.known_targets[0].all() for graph in batches)
    first = train(MODEL, data, few, tmp_path / "first")
    again = finetune(first.model, MODEL, data, few, tmp_path / "again")
    assert again.before == pytest.approx(first.best.validation_l1_per_atom, rel=1e-5)


def test_all_validation_frames_are_taken_where_so_many_are_asked(data: DataSettings) -> None:
    for count in (3, 4, None):
        frames = FrameData(open_datasets(data), data, settings(validation_frames=count), 4.0)
        known = [has for graph in frames.validation_batches() for has in graph.known_targets[0].tolist()]
        assert known == [True, False, True]
