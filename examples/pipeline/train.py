"""Step 4: train a network on the forces. Any setting of docs/config.md can be changed.

python train.py [EPOCHS]
"""

import sys
from pathlib import Path

from gnnformd.config import load_config
from gnnformd.training.train import train

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 20

config = load_config("argon", ["data.paths=[data/argon]", f"training.epochs={epochs}"])
done = train(config.model, config.data, config.training, Path("runs/argon"))
print(f"best epoch {done.best.epoch}: validation {done.best.validation_l1_per_atom:.3f} kcal/mol/angstrom per atom")
