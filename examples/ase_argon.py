"""Run molecular dynamics in ASE with a trained model.

python ase_argon.py MODEL [STEPS]
"""

import sys

from ase import units
from ase.build import bulk
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

import gnnformd

steps = int(sys.argv[2]) if len(sys.argv) > 2 else 500

atoms = bulk("Ar", "fcc", a=5.74, cubic=True) * (4, 4, 4)
atoms.calc = gnnformd.Calculator(sys.argv[1])
MaxwellBoltzmannDistribution(atoms, temperature_K=90)

VelocityVerlet(atoms, timestep=2 * units.fs, trajectory="argon.traj").run(steps)

print(f"temperature after {steps} steps: {atoms.get_temperature():.1f} K; trajectory in argon.traj")
