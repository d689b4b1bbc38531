from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.model.density.test_model import density
from tests.simulation.lammps.rank_cases import WATER, water_frame

from gnnformd.inference.batch import Predictor
from gnnformd.model.files.model_file import LoadedModel, ModelCard
from gnnformd.model.interface import Prediction
from gnnformd.trajectory.frame import Frame

CUBE = np.diag([9.3, 9.4, 9.5])


def frames() -> list[Frame]:
    """Water in a box, wrapped otherwise, in a larger and a tilted box, and as a cluster."""
    frame = water_frame(3, CUBE)
    wrapped = replace(frame, positions=frame.positions + np.arange(81)[:, None] % 3 * CUBE[0])
    tilted = water_frame(3, np.array([[9.3, 0, 0], [3.0, 9.4, 0], [-2.0, 2.5, 9.5]]))
    return [frame, wrapped, replace(frame, cell=1.1 * CUBE), tilted, replace(frame, periodic=(False,) * 3)]


def both(model: torch.nn.Module, some: list[Frame]) -> tuple[Prediction, Prediction]:
    loaded = LoadedModel(model.eval(), ModelCard(model.settings, ("O", "H"), WATER), Path("made here"))
    by_loops = Predictor(loaded, WATER)
    return by_loops(some), Predictor(replace(loaded, compiled=False), WATER)(some)


@pytest.mark.parametrize("electrostatics", ["fixed", "learned", "none"])
def test_compiled_loops_say_of_a_batch_what_pytorch_says(electrostatics):
    model = density(cutoff=4.0, electrostatics=electrostatics).double()
    fast, plain = both(model, frames())
    for name in ("forces", "energies", "virials"):
        one, other = getattr(fast, name).detach(), getattr(plain, name).detach()
        assert one.shape == other.shape
        assert float((one - other).norm() / other.norm()) < 1e-8
    assert float(plain.forces.abs().max()) > 1


def test_atoms_far_outside_of_the_box_are_brought_back():
    frame = water_frame(3, CUBE)
    far = replace(frame, positions=frame.positions + np.arange(81)[:, None] % 3 * 1.5e6 * CUBE[1])
    model = density(cutoff=4.0).double()
    for near, other in zip(both(model, [frame]), both(model, [far]), strict=True):
        assert float((near.forces - other.forces).norm() / near.forces.norm()) < 1e-7


def test_what_has_no_compiled_loops_is_left_to_pytorch(monkeypatch):
    monkeypatch.setattr("gnnformd.model.density.model.MOST_KINDS", 1)  # kinds of atoms
    fast, plain = both(density(cutoff=4.0).double(), frames()[:2])
    assert torch.equal(fast.forces, plain.forces)
