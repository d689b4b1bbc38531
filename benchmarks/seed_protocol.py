"""The original result beside the product's: test losses after each epoch, as shares of what zero forces cost.

Usage: python benchmarks/seed_protocol.py RUN [--zero 16930.59 | --data data/water-seed]
                                           [--checkpoints FILE.txt] [--figure FILE.svg]

RUN is the folder of ``gnnformd train seed-water`` on the 10 100 frames of ``gnnformd generate water-seed``, or one with
its ``metrics.csv``. What zero forces cost, the mean over the validation frames of the sum of the absolute components of
all forces (kcal/mol/angstrom), is given, or found from the data and the settings of the preset. FILE.txt is what
``benchmarks/seed_checkpoints.py`` printed; its errors are drawn, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gnnformd.evaluation.figures.force_figures import save_figure
from gnnformd.evaluation.figures.style import COLORS, panels
from gnnformd.evaluation.report.history import ORIGINAL_LOG, read_history
from gnnformd.trajectory.packed.dataset import open_dataset
from gnnformd.trajectory.split import split_frames

ATOMS = 648
ORIGINAL_ZERO = 17121.6
"""What zero forces cost on the frames of the original study, per frame."""

ORIGINAL_BEST = 4.18
"""The error per atom that the original study reports, of its epoch 30."""


def zero_cost(folder: Path) -> float:
    """Mean of the sum of absolute components over the frames that the preset validates on."""
    data = open_dataset(folder)
    _, validation = split_frames([len(data)], method="shuffled", validation_fraction=0.1, seed=0)
    return float(np.mean([np.abs(data[frame].forces).sum() for _, frame in validation]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=Path("data/water-seed"))
    parser.add_argument("--zero", type=float)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    history = read_history(options.run)
    if history is None:
        raise SystemExit(f"{options.run}: has no epoch yet; train first.")
    zero = options.zero or zero_cost(options.data)
    print(f"Zero forces cost {zero:.1f} per frame here and {ORIGINAL_ZERO} there.")
    seed = dict(zip(ORIGINAL_LOG["epoch"], ORIGINAL_LOG["validation_loss"], strict=True))
    shares = [loss / zero for loss in history.validation_loss]
    print("epoch  test loss  per atom   share   share of the original")
    for epoch, loss, share in zip(history.epoch, history.validation_loss, shares, strict=True):
        theirs = f"{seed[epoch] / ORIGINAL_ZERO:10.4f}" if epoch in seed else ""
        print(f"{epoch:5d}{loss:11.1f}{loss / ATOMS:10.2f}{share:8.4f}{theirs}")
    best = ORIGINAL_BEST * ATOMS / ORIGINAL_ZERO
    print(f"{ORIGINAL_BEST} per atom is a share of {best:.4f}; the best here is {min(shares):.4f}.")
    if options.figure is not None:
        judged = [] if options.checkpoints is None else read_table(options.checkpoints)
        draw(list(history.epoch), [loss / zero for loss in history.train_loss], shares, judged, best, options.figure)


def read_table(path: Path) -> list[tuple[int, float]]:
    """Epochs and shares of what ``benchmarks/seed_checkpoints.py`` printed."""
    rows = [line.split() for line in path.read_text().splitlines()]
    return [(int(row[0]), float(row[2])) for row in rows if len(row) == 3 and row[0].isdigit()]


def draw(
    epochs: list[int],
    training: list[float],
    test: list[float],
    judged: list[tuple[int, float]],
    best: float,
    path: Path,
) -> None:
    figure, axes = panels(1, 1, (6.4, 3.6))
    axis = axes[0, 0]
    axis.plot(epochs, training, color=COLORS["reference"], label="training, with dropout")
    axis.plot(epochs, test, color=COLORS["model"], label="test during the training, frames in order of time")
    if judged:
        axis.plot(*zip(*judged, strict=True), color=COLORS["third"], label="test afterwards, frames shuffled")
    known = [loss / ORIGINAL_ZERO for loss in ORIGINAL_LOG["validation_loss"]]
    style = {"linestyle": "none", "marker": "D", "markersize": 4.5, "markerfacecolor": "white"}
    axis.plot(ORIGINAL_LOG["epoch"], known, color=COLORS["second"], label="test, original log", **style)
    axis.plot([30], [best], color=COLORS["second"], label="original, best model (epoch 30)", **style | {"marker": "s"})
    axis.set(yscale="log", xlabel="epoch", ylabel="error as a share of what zero forces cost")
    axis.set_yticks([0.15, 0.2, 0.3, 0.5, 1.0], ["0.15", "0.2", "0.3", "0.5", "1"])
    axis.minorticks_off()
    axis.legend()
    save_figure(figure, path)


if __name__ == "__main__":
    main()
