"""The original result beside the product's: the test losses after each epoch, in a table and a figure.

Usage: python benchmarks/seed_protocol.py RUN [--figure FILE.svg]

RUN is the folder of ``gnnformd train seed-water`` on the 10 100 frames of ``gnnformd generate water-seed``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gnnformd.evaluation.figures.force_figures import learning_curve_figure, save_figure
from gnnformd.evaluation.report.history import ORIGINAL_LOG, read_history

ATOMS = 648


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    history = read_history(options.run)
    if history is None:
        raise SystemExit(f"{options.run}: has no epoch yet; train first.")
    seed = dict(zip(ORIGINAL_LOG["epoch"], ORIGINAL_LOG["validation_loss"], strict=True))
    print("epoch  this run  per atom      seed  per atom   ratio   minutes")
    for epoch, loss, seconds in zip(history.epoch, history.validation_loss, history.seconds, strict=True):
        theirs = seed.get(epoch)
        told = "" if theirs is None else f"{theirs:10.1f}{theirs / ATOMS:10.2f}{loss / theirs:8.3f}"
        print(f"{epoch:5d}{loss:10.1f}{loss / ATOMS:10.2f}{told:28s}{seconds / 60:10.1f}")
    if options.figure is not None:
        figure = learning_curve_figure(
            history.epoch,
            history.train_loss,
            history.validation_loss,
            history.learning_rate,
            original_epochs=ORIGINAL_LOG["epoch"],
            original_validation=ORIGINAL_LOG["validation_loss"],
        )
        save_figure(figure, options.figure)


if __name__ == "__main__":
    main()
