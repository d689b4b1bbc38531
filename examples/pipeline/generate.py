"""Step 1: make reference data. LAMMPS runs 400 argon atoms and keeps positions, forces and energies.

python generate.py [FRAMES] [STEPS OF EQUILIBRATION]
"""

import sys
from pathlib import Path

from gnnformd.reference.generate import generate

frames = int(sys.argv[1]) if len(sys.argv) > 1 else 100
equilibration = sys.argv[2] if len(sys.argv) > 2 else "20000"

for name, seed in (("argon", 42), ("argon-test", 113)):
    variables = {"equilibration": equilibration}
    run = generate("argon", Path("data") / name, seed=seed, frames=frames, variables=variables, overwrite=True)
    print(f"{run.trajectory}: {run.manifest['frames']} frames of {run.manifest['atoms']} atoms")
