"""How long the first forces of a model take in a new process: with nothing compiled yet, and later.

python -m benchmarks.first_use [--model water] [--atoms 648] [--turns 5]

What is timed is the first evaluation, after the model is loaded, and the second at other places. Processes collect
garbage as seldom as the command ``gnnformd``. Goals: 20 s and 0.2 s.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PROGRAM = """
import sys
from benchmarks.first_use import times
print(*times(sys.argv[1], int(sys.argv[2])))
"""


def times(model: str, atoms: int) -> tuple[float, float, float]:
    """Seconds for loading a model, its first and its second evaluation, in this process."""
    from gnnformd.cli import collect_seldom

    collect_seldom()
    import numpy as np
    import torch

    from gnnformd.inference.system import Evaluator
    from gnnformd.model.files.model_file import load_model
    from gnnformd.simulation.speed.liquids import liquid_commands, settled

    torch.set_num_threads(1)
    begin = time.perf_counter()
    loaded = load_model(model)
    loading = time.perf_counter() - begin
    with settled(liquid_commands(loaded, atoms)[1]) as (_, frame):
        evaluator = Evaluator(loaded, frame)
        found = [loading]
        for moved in (0.0, 0.01):
            positions = frame.positions + np.sin(np.arange(frame.positions.size)).reshape(-1, 3) * moved
            begin = time.perf_counter()
            evaluator.evaluate(positions, frame.cell, frame.periodic)
            found.append(time.perf_counter() - begin)
    return found[0], found[1], found[2]


def in_new_process(options: argparse.Namespace, cache: Path) -> tuple[float, ...]:
    """Do it in a new process that keeps its machine code in a folder."""
    words = [sys.executable, "-c", PROGRAM, options.model, str(options.atoms)]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return tuple(float(word) for word in done.stdout.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="water")
    parser.add_argument("--atoms", type=int, default=648)
    parser.add_argument("--turns", type=int, default=5, help="later processes, of which the median is shown")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = in_new_process(options, Path(folder))
        later = [in_new_process(options, Path(folder)) for _ in range(options.turns)]
    print("seconds          loading  first forces  second")
    for name, row in (("first process", first), ("later process", tuple(map(median, zip(*later, strict=True))))):
        print(f"{name}    {row[0]:7.2f}  {row[1]:12.3f}  {row[2]:6.4f}")


if __name__ == "__main__":
    main()
