"""Step 2: read frames. Any LAMMPS dump or extxyz file is read in the same way.

python read.py
"""

from pathlib import Path

import numpy as np

from gnnformd.trajectory.read import read_frames

for frame in read_frames(Path("data/argon")):
    size = np.linalg.norm(frame.forces, axis=1).mean()
    print(f"step {frame.timestep}: {len(frame.types)} atoms, mean force {size:.3f} kcal/mol/angstrom")
