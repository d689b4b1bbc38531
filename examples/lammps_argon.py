"""Run a LAMMPS input of your own with a trained model in the place of its force field.

python lammps_argon.py MODEL [STEPS]
"""

import sys
from pathlib import Path

from gnnformd.model.files.model_file import load_model
from gnnformd.reference.library import open_lammps
from gnnformd.simulation.lammps.coupling import Coupling

model = load_model(sys.argv[1])
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 500

lmp = open_lammps(["-log", "argon.log"])
lmp.file(str(Path(__file__).with_name("argon.lmp")))
Coupling(lmp, model).run(steps)

print(f"temperature after {steps} steps: {lmp.get_thermo('temp'):.1f} K; trajectory in argon.dump")
