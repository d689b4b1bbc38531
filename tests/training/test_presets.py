"""Every preset trains, on a tiny crystal."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from gnnformd.config import load_config, preset_names
from gnnformd.force_field import AtomType, ForceField
from gnnformd.graph.dataset import GraphDataset
from gnnformd.model.files.model_file import load_model
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.packed.dataset import open_datasets
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import write_crystal

ARGON = ForceField(types=(AtomType("Ar", 39.948, epsilon=0.2378, sigma=3.405),))
QUANTUM = ("accurate", "best", "dft-water", "fast")
SHORT = ["training.epochs=1", "training.max_minutes=null", "training.loggers=[]", "training.threads=1"]


@pytest.fixture
def field(tmp_path: Path) -> Path:
    path = tmp_path / "field.yaml"
    path.write_text(yaml.safe_dump(ARGON.to_dict()))
    return path


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains(name: str, crystals: DataSettings, field: Path, tmp_path: Path) -> None:
    changes = [f"data.paths=[{crystals.paths[1]}]", "training.accelerator=cpu", *SHORT]
    if not name.startswith("finetune-"):
        changes.append("model.cutoff=5.0")  # atoms are 3.7 angstrom apart
    if name not in QUANTUM:
        changes.append(f"data.force_field={field}")
    config = load_config(name, changes)
    parts = (config.model, config.data, config.training, tmp_path / "run")
    run = finetune("water", *parts) if name.startswith("finetune-") else train(*parts)
    card = load_model(run.model).card
    assert card.settings == config.model
    assert (card.settings.node_features == "embedding") == (name in QUANTUM)
    assert card.type_names == ("Ar",)
    assert np.isfinite(run.best.validation_l1_per_atom)


def test_the_dft_preset_takes_folders_of_deepmd_kit(tmp_path: Path) -> None:
    images = write_crystal(tmp_path / "a.xyz", frames=4, seed=2)
    part = tmp_path / "dft" / "set.000"
    part.mkdir(parents=True)
    (tmp_path / "dft" / "type.raw").write_text(" ".join(["0"] * 32))
    (tmp_path / "dft" / "type_map.raw").write_text("Ar")
    np.save(part / "coord.npy", [a.positions.ravel() for a in images])
    np.save(part / "box.npy", [a.cell.array.ravel() for a in images])
    np.save(part / "force.npy", [a.get_forces().ravel() for a in images])
    np.save(part / "energy.npy", [a.get_potential_energy() for a in images])
    np.save(part / "virial.npy", [-a.get_volume() * a.get_stress(voigt=False).ravel() for a in images])
    runs = []
    for path in ("a.xyz", "dft"):
        exact = ["training.precision=64-true", "training.optimizer=adam"]  # the files have eight digits
        config = load_config("dft-water", [f"data.paths=[{tmp_path / path}]", *exact, *SHORT])
        runs.append(train(config.model, config.data, config.training, tmp_path / f"run-{path}").records[-1])
    assert runs[0].validation_l1_per_atom == pytest.approx(runs[1].validation_l1_per_atom, rel=1e-3)


def test_fine_tuning_on_other_types_keeps_what_is_learned_and_takes_the_rest_from_the_data(
    crystals: DataSettings, field: Path, tmp_path: Path
) -> None:
    changes = [f"data.paths=[{crystals.paths[1]}]", f"data.force_field={field}", "training.learning_rate=1e-12", *SHORT]
    config = load_config("finetune-argon", [*changes, "training.ema_decay=null"])
    run = finetune("water", config.model, config.data, config.training, tmp_path / "run")
    before, after = load_model("water").model.state_dict(), load_model(run.model, dtype=torch.float64)
    own = {"contacts.distances", "network.type_energies", "pair_terms.fitted.coefficients"}
    own |= {"network.floor.start", "network.floor.depth"}
    own |= {f"network.surroundings.{name}" for name in ("axes", "offset", "representatives", "scale")}
    for name, value in after.model.state_dict().items():
        if name not in own:
            torch.testing.assert_close(value.float(), before[name], rtol=0, atol=1e-6)
    cutoff = config.model.cutoff
    graphs = GraphDataset(open_datasets(config.data), [(0, k) for k in range(3)], cutoff, dtype=torch.float64)
    graph = graphs.batch(range(3))
    closest = graph.edge_vectors().norm(dim=1).min().item()
    assert after.model.contacts.distances.shape == (4, 1, 1)
    assert after.model.contacts.distances[0, 0, 0].item() == pytest.approx(min(0.95 * closest, 0.6 * cutoff), rel=1e-6)
    assert graph.energies is not None
    errors = after.model(graph).energies - graph.energies
    assert errors.mean().abs() < 0.1 * graph.energies.abs().mean()


def test_fine_tuning_on_the_same_types_never_widens_the_repulsion(
    crystals: DataSettings, field: Path, tmp_path: Path
) -> None:
    close, far = (load_config("argon", [f"data.force_field={field}", "model.cutoff=5.0", *SHORT]) for _ in range(2))
    data = replace_paths(close.data, crystals.paths[0])
    first = train(close.model, data, close.training, tmp_path / "first")
    again = finetune(first.model, far.model, replace_paths(far.data, crystals.paths[1]), far.training, tmp_path / "two")
    distances = [load_model(run.model).model.contacts.distances[0, 0, 0].item() for run in (first, again)]
    assert distances[1] <= distances[0]


def replace_paths(data: DataSettings, path: str) -> DataSettings:
    return data.model_copy(update={"paths": [path]})
