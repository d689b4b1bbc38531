"""Does a model trained on water learn argon more easily? Few argon frames, with and without a start from water.

Usage: python -m benchmarks.pretraining TRAIN TEST --seed-water MODEL [--seconds 20] [--out FOLDER]

TRAIN and TEST are folders of ``gnnformd generate argon`` with different seeds. MODEL is a GAMD network trained on water
(``gnnformd train seed-water``); the density model starts from the shipped ``water``. Every training gets the
same time. Errors are sums of absolute errors over sums of absolute forces on TEST. A run that is interrupted goes on
where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

from gnnformd.config import load_config
from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, panels
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.model.files.model_file import load_model
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.packed.dataset import open_dataset

FRAMES = {1: 2, 3: 4, 10: 11, 30: 33, 70: 78}
"""Training frames, and how many there are with those that validate."""

SEEDS = (0, 1, 2)
PRESETS = {"density": "finetune-argon", "seed": "seed-argon"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed-water", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=Path("runs/pretraining"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "pretraining.csv"
    errors = read(table)
    starts = {"density": "water", "seed": str(options.seed_water)}
    for kind, preset in PRESETS.items():
        for frames, total in FRAMES.items():
            for seed in SEEDS:
                for start in (None, starts[kind]):
                    key = (kind, frames, seed, "scratch" if start is None else "water")
                    if key not in errors:
                        errors[key] = one(preset, start, total, seed, options)
                        with table.open("a", newline="") as file:
                            csv.writer(file).writerow([*key, errors[key]])
    print("kind     frames   from scratch                  from water          (relative l1 of three seeds, per cent)")
    for kind in PRESETS:
        for frames in FRAMES:
            parts = [
                " ".join(f"{100 * errors[kind, frames, seed, start]:7.2f}" for seed in SEEDS)
                for start in ("scratch", "water")
            ]
            print(f"{kind:8s}{frames:7d}   {parts[0]}   {parts[1]}")
    draw(errors, options.out / "pretraining.png")


def one(preset: str, start: str | None, total: int, seed: int, options: argparse.Namespace) -> float:
    """Train once and judge."""
    changes = [
        f"data.paths=[{options.train}]",
        f"data.frames={total}",
        f"training.max_minutes={options.seconds / 60}",
        f"training.seed={seed}",
        f"data.seed={seed}",
        "training.loggers=[]",
        "training.threads=1",
    ]
    config = load_config(preset, changes)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        if start is None:
            train(config.model, config.data, config.training, out)
        else:
            finetune(start, config.model, config.data, config.training, out)
        judged = evaluate(load_model(out / "model.safetensors"), [open_dataset(options.test)], frames=50)
    return judged.datasets[0].force.relative_l1


def read(table: Path) -> dict[tuple[str, int, int, str], float]:
    """Errors of the trainings done before."""
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {(kind, int(n), int(seed), start): float(e) for kind, n, seed, start, e in csv.reader(file)}


def draw(errors: dict[tuple[str, int, int, str], float], path: Path) -> None:
    figure, axes = panels(1, len(PRESETS), (8.0, 3.4), sharey=True)
    for axis, kind in zip(axes[0], PRESETS, strict=True):
        for start, color, label in (
            ("scratch", "second", "from scratch"),
            ("water", "model", "trained on water before"),
        ):
            for seed in SEEDS:
                axis.plot(list(FRAMES), [100 * errors[kind, n, seed, start] for n in FRAMES], ".", color=COLORS[color])
            middle = [100 * statistics.median(errors[kind, n, seed, start] for seed in SEEDS) for n in FRAMES]
            axis.plot(list(FRAMES), middle, color=COLORS[color], label=label)
        axis.set(xscale="log", yscale="log", title=f"{kind} network", xlabel="argon frames")
    axes[0, 0].set_ylabel("error on other argon (% of force)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
