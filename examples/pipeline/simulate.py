"""Step 7: run molecular dynamics with the learned forces and compare the liquid with the reference.

python simulate.py [STEPS]
"""

import sys
from pathlib import Path

from gnnformd.model.files.model_file import load_model
from gnnformd.simulation.settings import SimulationSettings
from gnnformd.simulation.simulate import simulate

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000

reference = Path("data/argon")
settings = SimulationSettings(temperature=50.0, timestep=1.0, steps=steps)
model = load_model("runs/argon/model.safetensors")
run = simulate(model, reference / "topology.data", settings, Path("runs/argon/md"), compare=reference)
for name, observable in run.comparison.observables.items():
    print(f"{name}: {observable.value.value:.4g}")
print(f"compared with the reference: {run.comparison.verdict.text}")
