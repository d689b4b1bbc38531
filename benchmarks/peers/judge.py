# mypy: ignore-errors
"""Errors of a trained model of a peer on files of frames, and the time of its forces through ASE, as a line of JSON.

Usage: python judge.py {mace,nequip} MODEL SYSTEM.xyz FILE.xyz...  (with the python of its environment)

Energies and forces of the files are called REF_energy and REF_forces; SYSTEM is what is timed.
"""

from __future__ import annotations

import json
import sys

import ase.io
import numpy as np
import torch
from ase_time import microseconds


def mace(model: str):
    """Return the calculator of a model that MACE saved."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=model, device="cpu", default_dtype="float32")


def nequip(model: str):
    """Return the calculator of a model that ``nequip-compile`` made."""
    from nequip.integrations.ase import NequIPCalculator

    return NequIPCalculator.from_compiled_model(model)


torch.set_num_threads(1)
peer, model, system, *files = sys.argv[1:]
calculator = {"mace": mace, "nequip": nequip}[peer](model)
result = {}
for file in files:
    forces, energies = [], []
    for atoms in ase.io.read(file, ":"):
        atoms.calc = calculator
        forces.append(atoms.get_forces() - atoms.arrays["REF_forces"])
        energies.append((atoms.get_potential_energy() - atoms.info["REF_energy"]) / len(atoms))
    result[file] = {"forces": np.concatenate(forces).tolist(), "energies": energies}
atoms = ase.io.read(system)
atoms.calc = calculator
result["microseconds"] = microseconds(atoms)
print(json.dumps(result))
