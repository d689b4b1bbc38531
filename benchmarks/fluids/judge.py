"""How well the functions that many liquids share do on liquids they have never seen, and on those of the training.

Usage: python -m benchmarks.fluids.judge [MODEL] [--data data/fluids] [--only held-out|training]

MODEL is a file of ``python -m benchmarks.fluids.train``, or ``fluids``. Errors are sums of absolute errors of the
forces over sums of absolute forces (``relative_l1``); of the liquids of the training every fifth frame is taken, which
the training left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from gnnformd.evaluation.forces.force_errors import ForceErrorAccumulator
from gnnformd.graph.build import build_graph
from gnnformd.model.choose_engine import GraphPredictor
from gnnformd.model.fluids.functions import FluidFunctions, load_fluids
from gnnformd.model.fluids.specialize import specialize
from gnnformd.trajectory.packed.dataset import PackedDataset, open_dataset


def error(functions: FluidFunctions, liquid: PackedDataset, frames: range) -> float:
    """``relative_l1`` on some frames of a liquid, in float32 as in use."""
    field = liquid.force_field
    assert field is not None
    model = specialize(functions, field, liquid.path).float()
    predict = GraphPredictor(model)
    errors = ForceErrorAccumulator([f"{n} {name}" for n, name in enumerate(field.names)])
    for k in frames:
        frame = liquid[k]
        found = predict([build_graph(frame, model.cutoff, field)])
        errors.add(found.forces.double().numpy(), frame.forces, frame.types)
    return errors.metrics().relative_l1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="fluids")
    parser.add_argument("--data", type=Path, default=Path("data/fluids"))
    parser.add_argument("--only", choices=["held-out", "training"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    functions = load_fluids(options.model)
    if options.only != "training":
        print("held out                               relative_l1", flush=True)
        for manifest in sorted(options.data.glob("held-out/*/reference.yaml")):
            liquid = open_dataset(manifest.parent)
            print(f"{manifest.parent.name:38s} {error(functions, liquid, range(len(liquid))):8.2%}", flush=True)
    if options.only != "held-out":
        print("liquids of the training, other frames    mean     worst", flush=True)
        kinds: dict[str, list[float]] = {}
        for manifest in sorted(options.data.glob("training/*/reference.yaml")):
            liquid = open_dataset(manifest.parent)
            kind = manifest.parent.name.rsplit("-", 1)[0]
            kinds.setdefault(kind, []).append(error(functions, liquid, range(4, len(liquid), 5)))
        kinds["all"] = [value for errors in kinds.values() for value in errors]
        for kind, errors in kinds.items():
            print(f"{kind:38s} {np.mean(errors):8.2%} {max(errors):8.2%}", flush=True)


if __name__ == "__main__":
    main()
