"""The same seed gives the same bytes, on one machine with one number of threads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.model.files.model_file import load_model
from gnnformd.model.settings import GamdSettings
from gnnformd.reference.generate import generate
from gnnformd.training.settings import TrainingSettings
from gnnformd.training.train import train
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.settings import DataSettings
from tests.training.conftest import write_liquid


def test_generate_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate("argon", tmp_path / name, seed=5, frames=2, variables={"equilibration": "20"})
    files = {path.name for path in (tmp_path / "a").iterdir()} - {"log.lammps"}  # which holds times
    assert files == {"trajectory.dump", "topology.data", "thermo.csv", "reference.yaml"}
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_train_and_evaluate_give_the_same_files_and_numbers(tmp_path: Path) -> None:
    write_liquid(tmp_path / "liquid.dump")
    data = DataSettings(paths=[str(tmp_path / "liquid.dump")])
    model = GamdSettings(width=8, layers=2, node_features="embedding", dropout=0.1)
    settings = TrainingSettings(epochs=2, accelerator="cpu", threads=1, batch_size=4, warmup_epochs=1, loggers=())
    results = []
    for name in ("a", "b"):
        run = train(model, data, settings, tmp_path / name)
        judged = evaluate(load_model(run.model), [open_dataset(tmp_path / "liquid.dump")]).to_dict()
        for entry in judged["datasets"]:
            del entry["seconds_per_frame"]
        rows = list(csv.DictReader((run.folder / "metrics.csv").open()))
        losses = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        texts = [(run.folder / file).read_bytes() for file in ("training_log.txt", "config.yaml")]
        results.append((run.model.read_bytes(), texts, losses, json.dumps({**judged, "model": ""})))
    assert results[0] == results[1]
