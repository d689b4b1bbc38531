"""Fine-tuning of a model for many liquids on a few frames of a liquid that it has never seen, and learning curves.

Usage: python -m benchmarks.fluids.few_frames [--data data/fluids] [--model fluids] [--frames 1 3 10 30 70] [--seeds 3]
                                              [--long NAME=FOLDER ...] [--out few_frames.csv]

Every fit is that of `gnnformd.model.fluids.tune`: the functions of the model, fitted once more by least squares. It
starts from nothing (from scratch), from functions that were fitted to SPC/Fw water alone, or from those of many
liquids. Errors are ``relative_l1`` on the last five frames of the held-out liquids of
``python -m benchmarks.fluids.make_data``, which no fit sees; a seed draws the training frames from the others.
``--long`` adds liquids with more frames, 70 of which can be training frames; their last five frames are tested.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from gnnformd.graph.build import build_graph
from gnnformd.model.fluids.functions import FluidFunctions, load_fluids
from gnnformd.model.fluids.tune import Equations, LiquidEquations, Tuned, tune
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset

TESTED = 5


class Liquid:
    """Equations of the frames of a liquid, each computed once.

    Parameters
    ----------
    data
        Its frames, the last five of which are tested.
    """

    def __init__(self, data: PackedDataset) -> None:
        field = data.force_field
        assert field is not None
        self.data, self.field, self.maker = data, field, LiquidEquations(field)
        self.known: dict[int, Equations] = {}

    def __getitem__(self, k: int) -> Equations:
        if k not in self.known:
            self.known[k] = self.maker.equations(build_graph(self.data[k], self.maker.cutoff, self.field))
        return self.known[k]

    @property
    def tested(self) -> range:
        """Frames that no fit sees."""
        return range(len(self.data) - TESTED, len(self.data))

    def fitted(self, start: FluidFunctions | None, frames: Sequence[int]) -> Tuned:
        """Fit to some frames."""
        return tune(start, [self[k] for k in frames])

    def error(self, functions: FluidFunctions) -> float:
        """``relative_l1`` of the functions on the tested frames, with coefficients in float32 as in a model file."""
        coefficients = torch.tensor([*functions.pair, *functions.bond, *functions.angle]).double()
        wrong, size = 0.0, 0.0
        for k in self.tested:
            frame = self[k]
            wrong += float((frame.columns @ coefficients - frame.wanted).abs().sum() * frame.size)
            size += float(frame.forces.abs().sum() * frame.size)
        return wrong / size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/fluids"))
    parser.add_argument("--model", default="fluids")
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 3, 10, 30, 70])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--long", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--only", nargs="*", help="names of held-out liquids")
    parser.add_argument("--out", type=Path, default=Path("few_frames.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    folders = {path.parent.name: path.parent for path in sorted(options.data.glob("held-out/*/reference.yaml"))}
    water = Liquid(open_dataset(folders["spc-fw"]))
    starts = {
        "scratch": None,
        "water": water.fitted(None, range(water.tested.start)).functions,
        "fluids": load_fluids(options.model),
    }
    if options.only is not None:
        folders = {name: folders[name] for name in options.only}
    folders |= {name: Path(folder) for name, _, folder in (text.partition("=") for text in options.long)}
    print("liquid              start      frames  relative_l1 of each seed, %   seconds of the first fit", flush=True)
    with options.out.open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["liquid", "start", "frames", "seed", "relative_l1"])
        for name, folder in folders.items():
            for row in rows(name, Liquid(open_dataset(folder)), starts, options):
                write.writerow(row)
            file.flush()


def rows(
    name: str, liquid: Liquid, starts: dict[str, FluidFunctions | None], options: argparse.Namespace
) -> Iterator[tuple[str, str, int, int, float]]:
    """Errors of one liquid, and print them."""
    for start, functions in starts.items():
        if functions is not None:
            value = liquid.error(functions)
            yield name, start, 0, 0, value
            print(f"{name:20s}{start:11s}{0:6d}  {100 * value:8.3f}", flush=True)
    free = liquid.tested.start
    for frames in options.frames:
        if frames > free:
            continue
        draws = [np.random.default_rng(seed) for seed in range(options.seeds)]
        chosen = [sorted(draw.choice(free, frames, replace=False).tolist()) for draw in draws]
        for start in reversed(list(starts)):
            if start == "water" and name.startswith("spc-fw"):
                continue  # it has seen these frames
            errors, kept, seconds = [], 0, 0.0
            for seed, picked in enumerate(chosen):
                began = time.process_time()
                made = liquid.fitted(starts[start], picked)
                seconds = seconds or time.process_time() - began
                errors.append(liquid.error(made.functions))
                kept += not made.better
                yield name, start, frames, seed, errors[-1]
            text = " ".join(f"{100 * value:8.3f}" for value in errors)
            note = f"  ({kept} of the fits no better than the start, which was kept)" if kept else ""
            print(f"{name:20s}{start:11s}{frames:6d}  {text}   {seconds:5.1f}{note}", flush=True)


if __name__ == "__main__":
    main()
