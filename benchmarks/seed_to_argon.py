"""The GAMD network trained on water: its errors on water and on argon, and on argon after some training on argon.

Usage: python -m benchmarks.seed_to_argon MODEL --water TEST... --argon TRAIN --argon-test TEST
                                           [--minutes 5] [--out DIR]

MODEL is a network of ``gnnformd train seed-water``. It is judged with GraphNorm's averages over the
frames evaluated together, as the original study takes them, and with those stored in training; then it is fine-tuned
on argon by the preset
``seed-argon`` with two frames a step, since there are few, and beside it the same network is trained on argon from
scratch, each for so many minutes. Errors are ``l1_per_atom`` in kcal/mol/angstrom and sums of absolute errors over sums
of absolute forces.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from gnnformd.config import load_config
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.model.files.model_file import LoadedModel, load_model
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.packed.dataset import open_dataset

FRAMES = 30  # of each test set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--water", type=Path, nargs="+", required=True)
    parser.add_argument("--argon", type=Path, required=True)
    parser.add_argument("--argon-test", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("runs/seed-to-argon"))
    options = parser.parse_args()
    print("network                          data                        l1_per_atom   relative")
    changes = [f"data.paths=[{options.argon}]", f"training.max_minutes={options.minutes}", "training.loggers=[]"]
    changes += ["training.batch_size=2", "training.threads=1"]
    config = load_config("seed-argon", changes)
    trained = load_model(options.model)
    for statistics in ("batch", "stored"):
        loaded = trained.with_statistics(statistics)
        for path in options.water:
            judge(f"as trained, {statistics} averages", loaded, path)
        # 3.4 angstrom, the cutoff for water, joins hardly any atoms of argon
        loaded.model.cutoff = config.model.cutoff
        settings = loaded.card.settings.model_copy(update={"cutoff": config.model.cutoff})
        wider = replace(loaded, card=replace(loaded.card, settings=settings))
        judge(f"as trained, {statistics} averages", wider, options.argon_test)
    for name, start in (("fine-tuned", options.model), ("from scratch", None)):
        out = options.out / name.replace(" ", "-")
        if not (out / "model.safetensors").exists():
            if start is None:
                train(config.model, config.data, config.training, out)
            else:
                finetune(start, config.model, config.data, config.training, out)
        for statistics in ("batch", "stored"):
            judge(f"{name}, {statistics} averages", load_model(out).with_statistics(statistics), options.argon_test)


def judge(name: str, loaded: LoadedModel, path: Path) -> None:
    error = evaluate(loaded, [open_dataset(path)], frames=FRAMES).datasets[0].force
    print(f"{name:33s}{path!s:28s}{error.l1_per_atom:11.2f}{100 * error.relative_l1:10.1f} %", flush=True)


if __name__ == "__main__":
    main()
