"""Does a model trained on other liquids learn argon more easily? Few argon frames, from scratch and after those.

Usage: python -m benchmarks.pretraining TRAIN TEST [--seed-water MODEL] [--seed-fluids MODEL] [--kinds seed density]
                                        [--starts scratch water "many liquids"] [--seconds 120] [--seeds 0 1 2]
                                        [--out FOLDER]

TRAIN and TEST are folders of ``gnnformd generate argon`` with different seeds. The density model starts from the
included ``water``, the GAMD network from the included ``seed-water`` or from MODEL, a training of the preset
``seed-water``, and, if it is given, from one of the liquids of ``python -m benchmarks.fluids.make_data``. Every
training gets the same time. Errors are sums of absolute errors over sums of
absolute forces on TEST. A run that is interrupted goes on where it stopped; the figure has all trainings of its folder.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import tempfile
from pathlib import Path

from matplotlib.ticker import NullLocator, StrMethodFormatter

from gnnformd.config import load_config
from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, panels
from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.model.files.model_file import load_model
from gnnformd.training.train import finetune, train
from gnnformd.trajectory.packed.dataset import open_dataset

FRAMES = {1: 2, 3: 4, 10: 11, 30: 33, 70: 78}
"""Training frames, and how many there are with those that validate."""

PRESETS = {"density": "finetune-argon", "seed": "seed-argon"}
TITLES = {"density": "density network", "seed": "original network"}
LOOKS = {
    "scratch": ("second", "from scratch"),
    "water": ("model", "trained on water before"),
    "many liquids": ("third", "trained on many liquids before"),
}
"""Color and label of each start."""

STEPS = 41
"""Of an epoch of the GAMD network on all 81 frames that train, in twos."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed-water", default="seed-water")
    parser.add_argument("--seed-fluids")
    parser.add_argument("--kinds", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--starts", nargs="+", choices=list(LOOKS), default=list(LOOKS))
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/pretraining"))
    options = parser.parse_args()
    if options.seed_fluids is None and options.starts == ["many liquids"]:
        parser.error("many liquids: give --seed-fluids")
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / "pretraining.csv"
    errors = read(table)
    starts = {
        "density": {"scratch": None, "water": "water"},
        "seed": {"scratch": None, "water": options.seed_water},
    }
    if options.seed_fluids is not None:
        starts["seed"]["many liquids"] = options.seed_fluids
    starts = {
        kind: {name: start for name, start in starts[kind].items() if name in options.starts} for kind in options.kinds
    }
    print(f"Relative l1 after {options.seconds:g} s, seeds {options.seeds}, per cent")
    for kind, of_kind in starts.items():
        for frames in FRAMES:
            for name, start in of_kind.items():
                for seed in options.seeds:
                    key = (kind, frames, seed, name)
                    if key not in errors:
                        errors[key] = one(PRESETS[kind], start, frames, seed, options)
                        with table.open("a", newline="") as file:
                            csv.writer(file).writerow([*key, errors[key]])
                found = " ".join(f"{100 * errors[kind, frames, seed, name]:7.2f}" for seed in options.seeds)
                print(f"{kind:8s}{frames:4d} frames, after {name:14s}{found}", flush=True)
    draw(errors, options.kinds, options.out / "pretraining.png")


def one(preset: str, start: str | None, frames: int, seed: int, options: argparse.Namespace) -> float:
    """Train once and judge."""
    changes = [
        f"data.paths=[{options.train}]",
        f"data.frames={FRAMES[frames]}",
        f"training.max_minutes={options.seconds / 60}",
        f"training.seed={seed}",
        f"data.seed={seed}",
        "training.loggers=[]",
        "training.threads=1",
        *(schedule(frames) if preset == PRESETS["seed"] else []),
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


def schedule(frames: int) -> list[str]:
    """Rates that rise and fall over as many steps as with all frames: an epoch of few frames is a step or two."""
    longer = STEPS / math.ceil(frames / 2)
    return [
        f"training.epochs={round(36 * longer)}",
        f"training.warmup_epochs={round(5 * longer)}",
        f"training.decay={0.9 ** (1 / longer)}",
        "training.batch_size=2",
        "training.round_gradients=true",
    ]


def read(table: Path) -> dict[tuple[str, int, int, str], float]:
    """Errors of the trainings done before."""
    if not table.is_file():
        return {}
    with table.open(newline="") as file:
        return {(kind, int(n), int(seed), start): float(e) for kind, n, seed, start, e in csv.reader(file)}


def draw(errors: dict[tuple[str, int, int, str], float], kinds: list[str], path: Path) -> None:
    """Plot medians and single errors."""
    figure, axes = panels(1, len(kinds), (max(6.0, 4.0 * len(kinds)), 3.4), sharey=True)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for name, (color, label) in LOOKS.items():
            found = {n: [100 * e for (k, m, _, s), e in errors.items() if (k, m, s) == (kind, n, name)] for n in FRAMES}
            found = {n: of_seeds for n, of_seeds in found.items() if of_seeds}
            for n, of_seeds in found.items():
                axis.plot([n] * len(of_seeds), of_seeds, ".", color=COLORS[color])
            if found:
                middle = [statistics.median(of_seeds) for of_seeds in found.values()]
                axis.plot(list(found), middle, color=COLORS[color], label=label)
        axis.set(xscale="log", yscale="log", title=TITLES[kind], xlabel="argon frames")
        axis.set_xticks(list(FRAMES), [str(n) for n in FRAMES])
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.legend(loc="upper right", bbox_to_anchor=(1.0, 0.92))  # below what stays at a hundred per cent
    axes[0, 0].set_ylabel("error on other argon (% of force)")
    save_figure(figure, path)


if __name__ == "__main__":
    main()
